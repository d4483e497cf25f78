#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# build.sh FOLDER [--next]: builds the Debian packages of these sources from a copy of them, so that nothing is written
# beside them, puts the packages into FOLDER, and lets lintian judge them. Packages that lay there before are removed.
# --next: builds them once more, with a higher version, into FOLDER/next, for those who want to try an upgrade.
set -euo pipefail
export LC_ALL=C.UTF-8
umask 022 # whoever installs the packages has to read them
folder=${1:?usage: build.sh FOLDER [--next]}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf 'deb: %s\n' "$*"; }
fail() { printf 'deb: %s\n' "$*" >&2; exit 1; }

exec 9>"$folder/lock"
flock -n 9 || { say "waiting for another one that builds into $folder"; flock 9; }

# Sets work to a new folder from which programs can be run. Not below FOLDER: dpkg-buildflags cannot name every path to the
# compiler.
work=''
trap '[ -z "$work" ] || rm -rf "$work"' EXIT
new_folder() {
    local place
    for place in "${TMPDIR:-/tmp}" /tmp /var/tmp; do
        [[ $place =~ ^/[A-Za-z0-9/._+-]*$ ]] || continue
        work=$(mktemp -d -p "$place" 2>/dev/null) || continue
        printf '#!/bin/sh\n' >"$work/try"
        chmod 755 "$work/try"
        if "$work/try" 2>/dev/null; then
            rm "$work/try"
            export TMPDIR=$place
            return
        fi
        rm -rf "$work"
        work=''
    done
    fail "no programs can be run from $(printf '%s, ' ${TMPDIR:+"$TMPDIR"})/tmp and /var/tmp; TMPDIR names another place"
}
new_folder
mkdir "$work/nanospan"
tar --exclude=./build --exclude=./.git --exclude=./.venv --exclude=__pycache__ --exclude=./compile_commands.json -cf - . |
    tar -xf - --no-same-owner -C "$work/nanospan"
cd "$work/nanospan"
[[ ${DEB_BUILD_OPTIONS:-} == *parallel=* ]] ||
    export DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:+$DEB_BUILD_OPTIONS }parallel=${JOBS:-$(nproc)}"

# build FOLDER OPTION...
build() {
    local to=$1 log=$1/build.log
    shift
    mkdir -p "$to"
    say "building nanospan $(dpkg-parsechangelog -S Version)"
    if ! dpkg-buildpackage --no-sign "$@" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        fail "the packages could not be built; $log has all that was said"
    fi
    rm -f "$to"/*.deb "$to"/*.dsc "$to"/*.tar.* "$to"/*.changes "$to"/*.buildinfo
    find .. -maxdepth 1 -type f -exec cp -t "$to" {} +
}

build "$folder" --build=full
say "lintian"
# Of the files here, because it cannot deal with every path.
lintian --no-cfg --allow-root --fail-on error,warning --info ../*.changes || fail "lintian complains, as above"
find .. -maxdepth 1 -type f -delete

if [ "${2:-}" = --next ]; then
    dh_clean # and no more: nothing has to be compiled again
    sed -i '1s/(\(.*\))/(\1+next)/' debian/changelog
    build "$folder/next" --build=binary --no-pre-clean
fi
