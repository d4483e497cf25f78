#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What a new Debian needs to know of the network of this machine, and nothing else of it.
#
#   host.sh sources [HOST]    prints a sources.list for Debian 12: the mirrors that the host uses, if it is a
#                             Debian 12 itself, otherwise Debian's own
#   host.sh take ROOT [HOST]  gives the system in the folder ROOT the host's name servers, proxies, certificate
#                             authorities, and configuration of apt's downloads and of pip
#   host.sh variables         names the variables that are taken over, if they are set
#
# HOST is the folder that is the host's file system; the tests have one of their own.
set -euo pipefail
export LC_ALL=C
umask 022 # every user of the system reads what is written here
[[ ${TMPDIR:-} == /* && -d $TMPDIR ]] || unset TMPDIR

VARIABLES="http_proxy https_proxy ftp_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY \
PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_PROXY PIP_CERT PIP_DEFAULT_TIMEOUT PIP_RETRIES"

# apt_of HOST COMMAND...: runs it with that host's configuration of apt. Packages of the host's desktop may have apt
# download more than lists of packages, which is left out.
apt_of() {
    local host=$1 configuration result=0
    shift
    configuration=$(mktemp)
    printf 'Dir::Etc "%s/etc/apt";\n' "${host%/}" >"$configuration"
    APT_CONFIG=$configuration "$@" 2>/dev/null || result=$?
    rm -f "$configuration"
    return $result
}

# A source that is not Debian's is no part of a fresh Debian: only main of Debian's suites is looked at, and debootstrap
# later refuses a mirror whose signature is not Debian's.
sources() {
    local host=$1 found='' lists
    if grep -qs '^VERSION_CODENAME=bookworm' "$host/etc/os-release" && grep -qs '^ID=debian' "$host/etc/os-release" &&
        command -v apt-get >/dev/null; then
        lists=$(mktemp -d)
        mkdir "$lists/partial"
        found=$(apt_of "$host" apt-get -o "Dir::State::lists=$lists" update --print-uris |
            sed -nE "s,^'(https?://[^ ']+)/dists/(bookworm(-updates|-security)?)/main/binary-[^ ']*Packages[^ ']*'.*,deb \1 \2 main,p" |
            awk '!seen[$0]++') || true
        rm -rf "$lists"
    fi
    if grep -q ' bookworm main$' <<<"$found"; then
        printf '%s\n' "$found"
    else
        echo "deb http://deb.debian.org/debian bookworm main"
        echo "deb http://deb.debian.org/debian bookworm-updates main"
        echo "deb http://deb.debian.org/debian-security bookworm-security main"
    fi
}

# A file of the host that the configuration names, at the same place, unless the system has one there.
take_file() {
    [ -f "$host/$1" ] && [ ! -e "$root/$1" ] || return 0
    mkdir -p "$(dirname "$root/$1")"
    cp -L "$host/$1" "$root/$1"
}

take_apt() {
    local file
    {
        if command -v apt-config >/dev/null; then
            # How to download, not what: no indexes of desktops, and no program of the host's.
            apt_of "$host" apt-config dump Acquire |
                grep -E '^Acquire::(http|https|ftp|Retries|Check-Valid-Until|Check-Date|ForceIPv[46])(::|[^:]* ")' |
                grep -vE 'Proxy-Auto-Detect|"";$' || true
        fi
        # As the installer would have noted it; sudo keeps no variables of its caller.
        [ -z "${http_proxy:-}" ] || printf 'Acquire::http::Proxy "%s";\n' "$http_proxy"
        [ -z "${https_proxy:-}" ] || printf 'Acquire::https::Proxy "%s";\n' "$https_proxy"
    } >"$root/etc/apt/apt.conf.d/90network"
    sed -nE 's,^Acquire::https(::.*)?::(CaInfo|SslCert|SslKey) "(/.*)";$,\3,p' "$root/etc/apt/apt.conf.d/90network" |
        while read -r file; do take_file "$file"; done
    # What the mirrors ask of who downloads from them.
    for file in "$host/etc/apt/auth.conf" "$host"/etc/apt/auth.conf.d/*.conf; do
        [ ! -r "$file" ] || install -D -m 600 "$file" "$root/${file#"$host"}"
    done
}

take_certificates() {
    [ -d "$host/usr/local/share/ca-certificates" ] || return 0
    mkdir -p "$root/usr/local/share/ca-certificates"
    cp -RL "$host/usr/local/share/ca-certificates/." "$root/usr/local/share/ca-certificates/"
}

take_pip() {
    local file
    [ ! -f "$host/etc/pip.conf" ] || cp -L "$host/etc/pip.conf" "$root/etc/pip.conf"
    { sed -nE 's,^ *cert *= *(/.*),\1,p' "$root/etc/pip.conf" 2>/dev/null || true; echo "${PIP_CERT:-}"; } |
        while read -r file; do [ -z "$file" ] || take_file "$file"; done
}

take() {
    local host=${2%/} root=${1%/} name
    # Never the host itself, whose files would be replaced.
    [[ -n $root && -d $root/etc/apt/apt.conf.d ]] || { echo "host: '$1' is not the folder of another Debian" >&2; exit 1; }
    rm -f "$root/etc/resolv.conf" "$root/etc/hosts" # a link, perhaps, to somewhere in the system that is not there yet
    [ ! -r "$host/etc/resolv.conf" ] || cp -L "$host/etc/resolv.conf" "$root/etc/resolv.conf"
    { printf '127.0.0.1 localhost\n::1 localhost\n127.0.1.1 debian\n'; cat "$host/etc/hosts" 2>/dev/null || true; } >"$root/etc/hosts"
    echo debian >"$root/etc/hostname"
    take_apt
    take_certificates
    take_pip
    for name in $VARIABLES; do
        [ -z "${!name:-}" ] || printf '%s="%s"\n' "$name" "${!name}"
    done >"$root/etc/environment"
}

case ${1:-} in
sources) sources "${2:-}" ;;
take) take "${2:?usage: host.sh take ROOT [HOST]}" "${3:-}" ;;
variables) tr -s ' ' '\n' <<<"$VARIABLES" ;;
*) sed -n 's/^#   //p' "$0" >&2; exit 2 ;;
esac
