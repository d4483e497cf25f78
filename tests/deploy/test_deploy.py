# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 500
# Sanitizers: none, because it runs nothing that is built here
"""deploy/ as docker-compose reads it: every profile, the production back end, and what they mount."""
import functools
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from peers import missing, need

SOURCE = Path(os.environ.get("NSP_SOURCE_DIR", Path(__file__).parents[2]))
BUILD = Path(os.environ.get("NSP_BUILD_DIR", SOURCE / "build"))
DEPLOY = SOURCE / "deploy"
SEVEN = {"SERVICE_NAME", "SERVICE_VERSION", "ENVIRONMENT", "ENABLE_TRACING", "OTLP_ENDPOINT", "OTLP_INSECURE",
         "TRACE_SAMPLE_RATE"}
SERVICES = {"backend": ("quantum_backend", "quantum-backend"), "ai-engine": ("quantum_ai_engine", "ai-engine"),
            "execution": ("quantum_execution", "execution")}

try:
    import yaml
except ImportError:
    missing("PyYAML is not installed (tests/requirements.txt)")


def compose(folder, *arguments, **environment):
    """(exit code, output, errors) of docker-compose in the folder, with only these settings."""
    clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    done = subprocess.run(["docker-compose", *arguments], cwd=folder, capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, env=clean | environment)
    return done.returncode, done.stdout, done.stderr


@functools.cache
def understood(folder, *arguments, **environment):
    code, out, err = compose(folder, *arguments, "config", **environment)
    if code != 0:
        raise AssertionError(f"docker-compose {' '.join(arguments)} config in {folder}: {err}")
    return yaml.safe_load(out)


def published(service):
    """Returns {port in the container: (address, port on the host)}."""
    found = {}
    for text in service.get("ports", []):
        address, host, inside = re.fullmatch(r"(?:([0-9.]+):)?(\d+):(\d+)(?:/tcp)?", text).groups()
        found[int(inside)] = (address, int(host))
    return found


def bytes_of(text):
    number, unit = re.fullmatch(r"(\d+)([kmg]?)b?", str(text)).groups()
    return int(number) << {"": 0, "k": 10, "m": 20, "g": 30}[unit]


class Platform(unittest.TestCase):
    """deploy/compose.yaml"""

    def test_every_profile(self):
        for profiles in (["observability"], ["dev"], ["prod"], ["observability", "dev"], []):
            with self.subTest(profiles):
                config = understood(DEPLOY, *[word for name in profiles for word in ("--profile", name)])
                started = {name for name, service in config["services"].items()
                           if not service.get("profiles") or set(service["profiles"]) & set(profiles)}
                expected = {"jaeger"} if profiles else set()
                if {"dev", "prod"} & set(profiles):
                    expected |= set(SERVICES)
                self.assertEqual(started, expected)

    def test_jaeger(self):
        jaeger = understood(DEPLOY)["services"]["jaeger"]
        self.assertEqual(jaeger["container_name"], "quantum_jaeger")
        self.assertEqual(set(jaeger["profiles"]), {"observability", "dev", "prod"})
        self.assertEqual({inside: host for inside, (_, host) in published(jaeger).items()},
                         {port: port for port in (16686, 4317, 4318, 5778)})
        self.assertEqual({address for address, _ in published(jaeger).values()}, {"127.0.0.1"})
        self.assertRegex(jaeger["image"], r"^jaegertracing/jaeger:2\.\d+\.\d+$")

    def test_services(self):
        services = understood(DEPLOY)["services"]
        for name, (container, service_name) in SERVICES.items():
            with self.subTest(name):
                service = services[name]
                self.assertEqual(service["container_name"], container)
                self.assertEqual(set(service["profiles"]), {"dev", "prod"})
                self.assertLessEqual(SEVEN, set(service["environment"]))
                self.assertEqual(service["environment"]["SERVICE_NAME"], service_name)
                self.assertEqual(service["environment"]["OTLP_ENDPOINT"], "http://jaeger:4317")
                self.assertEqual(service["environment"]["TRACE_SAMPLE_RATE"], "1.0")
                self.assertGreater(bytes_of(service["shm_size"]), 64 << 20)
                self.assertGreater(bytes_of(service["mem_limit"]), bytes_of(service["shm_size"]))
                self.assertEqual(service["restart"], "unless-stopped")
                self.assertTrue(service["healthcheck"]["test"])
        self.assertEqual(services["backend"]["depends_on"], {
            "jaeger": {"condition": "service_started"}, "ai-engine": {"condition": "service_healthy"},
            "execution": {"condition": "service_healthy"}})

    def test_what_is_started(self):
        """Which services docker-compose chooses for `up` with profiles and with names; needs no Docker
        engine."""
        script = """
import json, sys
from unittest.mock import MagicMock
from compose.config import config
from compose.config.environment import Environment
from compose.project import Project
content = config.load(config.find(".", None, Environment()))
for profiles, names in json.load(sys.stdin):
    project = Project.from_config("quantum", content, MagicMock(), enabled_profiles=profiles)
    print(json.dumps(sorted(service.name for service in project.get_services(names, include_deps=True))))
"""
        python = "/usr/bin/python3"
        need(subprocess.run([python, "-c", "import compose.project"], capture_output=True).returncode == 0,
             "docker-compose is not Debian's")
        everything = sorted(["jaeger", *SERVICES])
        cases = [((["observability", "dev"], []), everything), (([], ["backend", "jaeger"]), everything), (([], ["jaeger"]), ["jaeger"]),
                 (([], ["backend"]), everything), (([], ["execution"]), ["execution"]), ((["prod"], []), everything),
                 ((["observability"], []), ["jaeger"])]
        done = subprocess.run([python, "-c", script], cwd=DEPLOY, input=json.dumps([case for case, _ in cases]), text=True,
                              capture_output=True, env={"PATH": os.environ["PATH"]}, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([json.loads(line) for line in done.stdout.splitlines()], [expected for _, expected in cases])

    def test_the_seven_variables_come_through(self):
        settings = {"SERVICE_NAME": "quantum-b", "SERVICE_VERSION": "2.3.4", "ENVIRONMENT": "staging", "ENABLE_TRACING": "no",
                    "OTLP_ENDPOINT": "https://gateway:4317", "OTLP_INSECURE": "false", "TRACE_SAMPLE_RATE": "0.1"}
        services = understood(DEPLOY, **settings)["services"]
        for name in SERVICES:
            expected = dict(settings) if name == "backend" else settings | {"SERVICE_NAME": SERVICES[name][1]}
            environment = services[name]["environment"]
            self.assertEqual({key: environment[key] for key in SEVEN}, expected, name)

    def test_the_example_says_the_defaults(self):
        example = dict(line.split("=", 1) for line in (DEPLOY / ".env.example").read_text(encoding="utf-8").splitlines()
                       if re.match(r"[A-Z]", line))
        self.assertLessEqual(SEVEN, set(example))
        self.assertEqual(understood(DEPLOY), understood(DEPLOY, **example))
        for name in example:
            self.assertIn("${" + name + ":-", (DEPLOY / "compose.yaml").read_text(encoding="utf-8"))

    def test_an_authority_of_ones_own(self):
        """Each service mounts the file named in .env at the path that its variable names."""
        inside = "/etc/nanospan/ca.pem"
        self.assertIn(f"OTEL_EXPORTER_OTLP_CERTIFICATE={inside} ", (DEPLOY / ".env.example").read_text(encoding="utf-8"))
        services = understood(DEPLOY, "--profile", "dev", OTLP_CA_FILE="/some/ca.crt",
                              OTEL_EXPORTER_OTLP_CERTIFICATE=inside)["services"]
        for name in SERVICES:
            self.assertIn(f"/some/ca.crt:{inside}:ro", services[name]["volumes"])
            self.assertEqual(services[name]["environment"]["OTEL_EXPORTER_OTLP_CERTIFICATE"], inside)

    def test_storage(self):
        for setting, file in (({}, "memory"), ({"JAEGER_STORAGE": "disk"}, "disk")):
            mounted = understood(DEPLOY, **setting)["services"]["jaeger"]["volumes"]
            source = next(text.split(":")[0] for text in mounted if ":/etc/jaeger/config.yaml" in text)
            self.assertEqual(Path(source).resolve(), (DEPLOY / f"jaeger/{file}.yaml").resolve())

    def test_a_broken_file_is_refused(self):
        text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
        for right, wrong in (("shm_size: 256m", "shm_sise: 256m"), ("jaeger: {condition: service_started}", "jaegr: {condition: service_started}"),
                             ("container_name: quantum_jaeger", "container_name: [quantum_jaeger]")):
            self.assertIn(right, text)
            with self.subTest(wrong), tempfile.TemporaryDirectory() as folder:
                Path(folder, "compose.yaml").write_text(text.replace(right, wrong), encoding="utf-8")
                self.assertNotEqual(compose(folder, "config")[0], 0)


class WithAnAgent(unittest.TestCase):
    """deploy/compose.agent.yaml, on top of compose.yaml"""

    def test_everybody_shares_the_folder_of_sessions(self):
        config = understood(DEPLOY, "-f", "compose.yaml", "-f", "compose.agent.yaml", "--profile", "dev")
        services, shared = config["services"], "/run/nanospan"
        for name in (*SERVICES, "agent"):
            with self.subTest(name):
                self.assertEqual(services[name]["environment"]["NSP_SHM_DIR"], shared)
                self.assertIn(f"sessions:{shared}:rw", services[name]["volumes"])
                self.assertNotIn("user", services[name])  # the image's, in all of them
                self.assertEqual(services[name]["image"], services["backend"]["image"])
        for name in SERVICES:
            self.assertEqual(services[name]["environment"]["NSP_COLLECTOR"], "external")
            self.assertEqual(services[name]["environment"]["SERVICE_NAME"], SERVICES[name][1])
        self.assertNotIn("NSP_COLLECTOR", services["agent"]["environment"])
        self.assertEqual(services["agent"]["command"], ["nanospan", "agent"])
        self.assertEqual(services["agent"]["environment"]["OTLP_ENDPOINT"], services["backend"]["environment"]["OTLP_ENDPOINT"])
        self.assertEqual(set(services["agent"]["profiles"]), {"dev", "prod"})
        options = config["volumes"]["sessions"]["driver_opts"]
        user = re.search(r"useradd .*--uid (\d+)", (DEPLOY / "Dockerfile").read_text(encoding="utf-8")).group(1)
        self.assertEqual(options["type"], "tmpfs")
        self.assertLessEqual({f"uid={user}", "mode=0700"}, set(options["o"].split(",")))


class Unit(unittest.TestCase):
    """deploy/nanospan-agent@.service"""

    path = DEPLOY / "nanospan-agent@.service"

    def run_systemd(self, *arguments, unit=None):
        """systemd-analyze with a copy of the unit, whose name it wants at the end of the path."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, self.path.name)
            copy.write_text(unit or self.path.read_text(encoding="utf-8"), encoding="utf-8")
            return subprocess.run(["systemd-analyze", *arguments, str(copy)], capture_output=True, text=True, timeout=60)

    def setUp(self):
        need(shutil.which("systemd-analyze"), "there is no systemd-analyze")
        need("--offline" in subprocess.run(["systemd-analyze", "--help"], capture_output=True, text=True).stdout,
             "this systemd-analyze cannot judge a unit that is not loaded")

    def test_exposure(self):
        """Below 2.5, and the bound can fail."""
        result = self.run_systemd("security", "--offline=yes", "--threshold=25")
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn("Overall exposure level", result.stdout)
        open_unit = "[Service]\nExecStart=/usr/local/bin/nanospan agent\n"
        self.assertNotEqual(self.run_systemd("security", "--offline=yes", "--threshold=25", unit=open_unit).returncode, 0)

    def test_every_setting_is_known(self):
        def complaints(unit=None):
            return self.run_systemd("verify", "--man=no", unit=unit).stderr
        self.assertNotRegex(complaints(), "Unknown|ignoring|Invalid")
        text = self.path.read_text(encoding="utf-8")
        self.assertRegex(complaints(text.replace("ProtectHome=yes", "ProtectHouse=yes")), "Unknown")

    def test_sessions_can_be_reached(self):
        """Nothing hides /dev/shm, or deletes what is in it."""
        settings = dict(line.split("=", 1) for line in self.path.read_text(encoding="utf-8").splitlines()
                        if re.match(r"[A-Z]\w+=", line))
        self.assertEqual(settings["RemoveIPC"], "no")
        hiding = {"InaccessiblePaths", "TemporaryFileSystem", "RootDirectory", "RootImage", "ReadOnlyPaths", "NoExecPaths", "DynamicUser"}
        self.assertEqual(hiding & set(settings), set())
        self.assertEqual(settings["User"], "%i")


class Production(unittest.TestCase):
    """deploy/production/"""

    folder = DEPLOY / "production"

    def test_what_can_be_reached(self):
        services = understood(self.folder)["services"]
        self.assertEqual({name for name in services if published(services[name])}, {"gateway", "proxy"})
        self.assertEqual(set(published(services["gateway"])), {4317, 4318})
        self.assertEqual(set(published(services["proxy"])), {16686})
        networks = understood(self.folder)["networks"]
        for name, service in services.items():
            outside = {network for network in service["networks"] if not (networks[network] or {}).get("internal")}
            self.assertEqual(outside, {"outside"} if name in ("gateway", "proxy") else set(), name)

    def test_images_are_pinned(self):
        for name, service in understood(self.folder)["services"].items():
            self.assertRegex(service["image"], r":\d+\.\d+\.\d+(-alpine)?$", name)

    def test_secrets_are_files(self):
        config = understood(self.folder)
        for name, secret in config["secrets"].items():
            self.assertTrue(Path(secret["file"]).is_relative_to(self.folder / "secrets"), name)
        for name, service in config["services"].items():
            for variable, value in service.get("environment", {}).items():
                if re.search("PASSWORD|TOKEN|KEY", variable):
                    self.assertTrue(str(value).startswith("/run/secrets/"), f"{name}: {variable}={value}")
        self.assertIn("/production/secrets/", (DEPLOY / ".gitignore").read_text(encoding="utf-8").split())

    def test_tail_sampling_agrees_with_head_sampling(self):
        gateway = understood(self.folder)["services"]["gateway"]
        self.assertIn("--feature-gates=processor.tailsamplingprocessor.usetracestate", gateway["command"])

    def test_the_example_says_the_defaults(self):
        example = dict(line.split("=", 1) for line in (self.folder / ".env.example").read_text(encoding="utf-8").splitlines()
                       if re.match(r"[A-Z]", line))
        self.assertEqual(understood(self.folder), understood(self.folder, **example))

    def test_make_secrets(self):
        """Creates every file that compose.yaml names, and leaves existing ones alone."""
        with tempfile.TemporaryDirectory() as folder:
            def make():
                subprocess.run([self.folder / "make-secrets.sh", "tracing.example.com", "ann"], check=True, timeout=60,
                               stdout=subprocess.DEVNULL, env=os.environ | {"SECRETS": folder})
                return {path.name: path.read_bytes() for path in Path(folder).iterdir()}
            made = make()
            self.assertEqual(make(), made)
            named = set(re.findall(r"\./secrets/([a-z.-]+)", (self.folder / "compose.yaml").read_text(encoding="utf-8")))
            self.assertGreater(len(named), 7)
            self.assertLessEqual(named, set(made))
            self.assertEqual(os.stat(folder).st_mode & 0o777, 0o700)
            for name in ("gateway", "elasticsearch"):
                subprocess.run(["openssl", "verify", "-CAfile", "ca.crt", f"{name}.crt"], cwd=folder, check=True,
                               stdout=subprocess.DEVNULL)
            subprocess.run(["openssl", "x509", "-in", "gateway.crt", "-noout", "-checkhost", "tracing.example.com"], cwd=folder,
                           check=True, stdout=subprocess.DEVNULL)
            user, secret = made["ui-passwords"].decode().strip().split(":")
            salt = secret.split("$")[2]
            again = subprocess.run(["openssl", "passwd", "-apr1", "-salt", salt, "-in", "ui-password"], cwd=folder, check=True,
                                   capture_output=True, text=True).stdout.strip()
            self.assertEqual((user, secret), ("ann", again))


class Files(unittest.TestCase):
    def test_mounted_files_are_there(self):
        for folder in (DEPLOY, DEPLOY / "production"):
            for name, service in understood(folder)["services"].items():
                for text in service.get("volumes", []):
                    source = text.split(":")[0]
                    if source.startswith("/") and "/secrets/" not in source:
                        self.assertTrue(Path(source).is_file() or source == "/dev/null", f"{name}: {source}")

    def test_configurations_parse(self):
        files = [*DEPLOY.glob("jaeger/*.yaml"), *DEPLOY.glob("collector/*.yaml")]
        self.assertGreaterEqual(len(files), 5)
        for file in files:
            with self.subTest(file.name):
                config = yaml.safe_load(file.read_text(encoding="utf-8"))
                for pipeline in config["service"]["pipelines"].values():
                    for kind, names in pipeline.items():
                        self.assertLessEqual(set(names), set(config[kind]))
                self.assertLessEqual(set(config["service"]["extensions"]), set(config["extensions"]))
        json.loads((DEPLOY / "jaeger/sampling.json").read_text(encoding="utf-8"))

    def test_jaeger_listens_where_compose_publishes(self):
        ports = set(published(understood(DEPLOY)["services"]["jaeger"]))
        for name in ("memory", "disk"):
            text = (DEPLOY / f"jaeger/{name}.yaml").read_text(encoding="utf-8")
            listening = {int(port) for port in re.findall(r"endpoint: \$\{env:JAEGER_LISTEN_HOST:-localhost\}:(\d+)", text)}
            self.assertLessEqual(ports, listening, name)


class Image(unittest.TestCase):
    """deploy/Dockerfile: its packages are those that the build needs and that the built programs load."""

    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    build_stage, run_stage = re.split(r"(?m)^FROM debian:12-slim$", text)

    @staticmethod
    def packages(stage):
        return set(re.search(r"--no-install-recommends\s+(.*?)&&", stage, re.S).group(1).split())

    def test_build_packages(self):
        run = (SOURCE / "run").read_text(encoding="utf-8")
        known = set(re.search(r'BUILD_PACKAGES="([^"]*)"', run).group(1).split())
        only_tests = {"g++", "libcmocka-dev", "libnghttp2-dev", "libseccomp-dev"}
        self.assertEqual(self.packages(self.build_stage), known - only_tests)

    def test_runtime_packages(self):
        programs = [BUILD / "bin" / name for name in ("platform-backend", "platform-ai-engine", "platform-execution", "nanospan")]
        programs = [program for program in programs if program.exists()]
        need(programs and shutil.which("dpkg-query"), "no programs here, or not a Debian")
        needed = set()
        for program in programs:
            libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
            wanted = subprocess.run(["readelf", "-d", program, *BUILD.glob("libnanospan*.so")], capture_output=True, text=True,
                                    check=True).stdout
            for name in re.findall(r"\(NEEDED\).*\[(.+)\]", wanted):
                path = re.search(rf"{re.escape(name)} => (\S+)", libraries)
                if not path or not path.group(1).startswith(("/lib/", "/usr/lib/")):
                    continue
                for place in (path.group(1), os.path.realpath(path.group(1)), path.group(1).removeprefix("/usr")):
                    owner = subprocess.run(["dpkg-query", "-S", place], capture_output=True, text=True).stdout
                    if owner:
                        needed.add(owner.split(":")[0])
                        break
        base = {"libc6", "libgcc-s1"} | {name for name in needed if re.match("lib[at]san|libubsan", name)}
        self.assertLessEqual(needed - base, self.packages(self.run_stage))

    def test_what_is_sent_can_be_built(self):
        """Docker is sent only what Dockerfile.dockerignore names, and CMake finds there all that it reads."""
        everything, *names = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
        self.assertEqual(everything, "**")
        options = re.search(r"cmake -S \. -B /build (.*?)&&", self.build_stage, re.S).group(1).split()
        with tempfile.TemporaryDirectory() as folder:
            for name in names:
                self.assertTrue(name.startswith("!"), name)
                source, target = SOURCE / name[1:], Path(folder) / "source" / name[1:]
                target.parent.mkdir(parents=True, exist_ok=True)
                if source.is_dir():
                    shutil.copytree(source, target)
                else:
                    shutil.copy(source, target)
            made = subprocess.run(["cmake", "-S", f"{folder}/source", "-B", f"{folder}/build", *options], capture_output=True,
                                  text=True, timeout=600)
            self.assertEqual(made.returncode, 0, made.stderr)

    def test_commands_are_targets(self):
        for name in re.findall(r"/build/bin/(\S+)", self.build_stage):
            with self.subTest(name):
                part = name.removeprefix("platform-").replace("-", "_")
                self.assertTrue((SOURCE / "examples/platform" / part / "main.c").exists())


if __name__ == "__main__":
    if not shutil.which("docker-compose"):
        missing("docker-compose is not installed")
    unittest.main()
