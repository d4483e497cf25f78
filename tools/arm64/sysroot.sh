#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# sysroot.sh PACKAGE...: unpacks the arm64 versions of these Debian packages, and of what they depend on, into
# a folder of the user's cache, once, and prints its path.
#
# Nothing is installed: apt gets a state of its own, in which arm64 is the only architecture and nothing is
# installed yet. It uses the system's package sources, proxies and keys, and needs no root.
set -euo pipefail
export LC_ALL=C

say() { printf 'arm64: %s\n' "$*" >&2; }
fail() { say "$@"; exit 1; }

[ $# -gt 0 ] || fail "name the packages"
for program in apt-get dpkg-deb; do
    command -v "$program" >/dev/null || fail "this needs $program, that is, Debian"
done
[ -n "${HOME:-}" ] || { unset HOME; export HOME=~; } # as the system knows it
cache=${XDG_CACHE_HOME:-$HOME/.cache}/nanospan
# Another list of packages, another release or another version of this script is another folder.
key=$({ printf '%s\n' "$@"; cat /etc/debian_version "${BASH_SOURCE[0]}"; } 2>/dev/null | sha256sum | cut -c 1-12)
sysroot=$cache/arm64-$key
[ ! -d "$sysroot" ] || { echo "$sysroot"; exit 0; }

mkdir -p "$cache"
work=$(mktemp -d "$cache/arm64-new.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/apt/{state/lists/partial,cache/archives/partial,parts} "$work/root/usr/lib"
: >"$work/apt/state/status"

# The system's own configuration is replaced, because it may run programs that tend the system's caches. Only
# how to download is kept of it, without the indexes that graphical package managers read.
{
    apt-config dump Acquire | grep -v '^Acquire::IndexTargets' || true
    cat <<TEXT
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Dir::State "$work/apt/state";
Dir::State::status "$work/apt/state/status";
Dir::Cache "$work/apt/cache";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "$work/apt/parts";
TEXT
} >"$work/apt/configuration"
export APT_CONFIG=$work/apt/configuration

# A source that has nothing for arm64 does no harm: what is missing in the end is said by the second command.
say "downloading arm64 packages from Debian, once"
timeout 300 apt-get -qq update >"$work/log" 2>&1 || true
timeout 300 apt-get -qq -y --download-only install "$@" </dev/null >>"$work/log" 2>&1 || {
    tail -n 20 "$work/log" >&2
    fail "the package sources in /etc/apt did not deliver these packages for arm64: $*"
}

# /lib is a link in a real system, too.
ln -s usr/lib "$work/root/lib"
for package in "$work"/apt/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink --no-same-owner -C "$work/root" \
        --exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./etc'
done
mv -T "$work/root" "$sysroot" 2>/dev/null || [ -d "$sysroot" ] || fail "$sysroot cannot be made"
echo "$sysroot"
