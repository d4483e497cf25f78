#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the keys, certificates, tokens and passwords for production/compose.yaml, in secrets/ beside this
# file. Existing files are not changed. The certificates are signed by a new private authority; replace them
# with those of a real one.
set -euo pipefail
umask 077

if [ $# -lt 1 ] || [ "${1#-}" != "$1" ]; then
    echo "usage: $0 HOST [USER]"
    echo "  HOST  the name by which services and browsers reach the gateway, such as tracing.example.com"
    echo "  USER  the user of the UI (default: trader); the password is written to secrets/ui-password"
    exit 2
fi
host=$1 user=${2:-trader}
folder=${SECRETS:-$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/secrets}
# Only the owner has access to the folder. The files in it are readable for everybody, because the containers
# run as various users, and each container sees only the files that are mounted into it.
mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"

authority() {
    [ -e ca.crt ] && return
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 3650 -subj "/CN=quantum traces CA" \
        -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -keyout ca.key -out ca.crt 2>/dev/null
}

# certificate NAME ALTERNATIVE_NAMES
certificate() {
    [ -e "$1.crt" ] && return
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=$1" -keyout "$1.key" -out "$1.csr" 2>/dev/null
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 397 -out "$1.crt" -extfile <(
        printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\nkeyUsage=critical,digitalSignature\n' "$2"
    ) 2>/dev/null
    rm "$1.csr"
}

random() { openssl rand -hex "${1:-24}"; }

authority
certificate gateway "DNS:$host,DNS:gateway,DNS:localhost,IP:127.0.0.1"
certificate elasticsearch "DNS:elasticsearch,DNS:localhost"
[ -e otlp-tokens ] || random 32 >otlp-tokens
[ -e elastic-password ] || random >elastic-password
[ -e jaeger-password ] || random >jaeger-password
if [ ! -e ui-passwords ]; then
    random 12 >ui-password
    printf '%s:%s\n' "$user" "$(openssl passwd -apr1 -in ui-password)" >ui-passwords
fi
find . -type f ! -name ca.key ! -name ui-password -exec chmod 644 {} +

cat <<TEXT
The secrets are in $folder
Services that send to this gateway need:
  OTLP_ENDPOINT=https://$host:4317
  OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20$(head -n 1 otlp-tokens)
  OTEL_EXPORTER_OTLP_CERTIFICATE=$folder/ca.crt
UI: https://$host:16686, user $user; the password is in ui-password
TEXT
