# SPDX-License-Identifier: Apache-2.0
"""Certificates for a test, made with the command openssl in the test's folder."""
import subprocess
from pathlib import Path


def openssl(folder, *arguments):
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr}")


class Certificates:
    """One authority and what it has signed: server (localhost, 127.0.0.1), client, other_host (a server
    elsewhere), expired (the server until yesterday); and other_ca, which has signed nothing. Each has a
    certificate and a key."""

    def __init__(self, folder):
        self.folder = Path(folder)
        for name in ("ca", "other_ca"):
            self._authority(name)
        own_names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
        self._issue("server", own_names)
        self._issue("client", "extendedKeyUsage=clientAuth")
        self._issue("other_host", "subjectAltName=DNS:elsewhere.invalid")
        self._issue("expired", own_names, "-startdate", "20200101000000Z", "-enddate", "20200102000000Z")

    def path(self, name):
        """The path of the certificate NAME or of the key NAME_key."""
        path = self.folder / (f"{name[:-4]}.key" if name.endswith("_key") else f"{name}.pem")
        if not path.exists():
            raise ValueError(f"there is no {path}")
        return str(path)

    def _key(self, name):
        openssl(self.folder, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")

    def _authority(self, name):
        self._key(name)
        openssl(self.folder, "req", "-x509", "-new", "-key", f"{name}.key", "-out", f"{name}.pem", "-days", "2",
                "-subj", f"/CN=test {name}", "-addext", "basicConstraints=critical,CA:TRUE")

    def _issue(self, name, extension, *dates):
        self._key(name)
        openssl(self.folder, "req", "-new", "-key", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN=test {name}")
        (self.folder / f"{name}.issued").mkdir()
        (self.folder / f"{name}.index").touch()
        (self.folder / f"{name}.cnf").write_text(
            f"[ca]\ndefault_ca = us\n[us]\ndatabase = {name}.index\nnew_certs_dir = {name}.issued\nrand_serial = yes\n"
            f"default_md = sha256\npolicy = any\ncertificate = ca.pem\nprivate_key = ca.key\n"
            f"[any]\ncommonName = supplied\n[more]\n{extension}\n", encoding="utf-8")
        openssl(self.folder, "ca", "-batch", "-notext", "-config", f"{name}.cnf", "-extensions", "more", "-in", f"{name}.csr",
                "-out", f"{name}.pem", *(dates or ("-days", "2")))
