#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs a command in a new Debian 12. `system.sh --help` explains its use.
set -euo pipefail
umask 022 # every user of the system is to see its folders
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

RELEASE=bookworm
PACKAGES=ca-certificates,git,sudo # what every installation has, besides the packages without which there is no Debian
DAYS=14                           # a system in the cache is made anew when it is older
space=1000                        # MB that making one or a copy of it needs
export PATH=$PATH:/usr/sbin:/sbin # which not every root has in it
[ -n "${HOME:-}" ] || { unset HOME; export HOME=~; } # as the system knows it
cache=${XDG_CACHE_HOME:-$HOME/.cache}/nanospan/debian

usage() {
    cat <<TEXT
usage: tools/debian/system.sh [OPTION...] [--] [COMMAND [ARGUMENT...]]

Makes a Debian 12 with debootstrap, once, keeps it in
$cache
and runs the command in a copy of it, which is removed when the command ends. Without a command, only makes it.
The exit code is the command's, or 125 if it could not be run.

  --user NAME          run the command as this ordinary user, in a login shell in a home directory. The user may do
                       anything by sudo, without a password. Otherwise the command is run by root
  --read FOLDER:PLACE  the command finds this folder of the machine at PLACE, and cannot write to it
  --space MB           what has to be free in the cache (default $space)
  --renew              make the system anew, which otherwise happens after $DAYS days

It is the smallest Debian that counts as one: packages without which there is none, and $PACKAGES.
Mirrors, proxies, certificate authorities and pip's configuration are those of this machine. The command has its own
files, processes, devices, shared memory and host name, and shares the kernel and the network; there is no init, so
packages do not start services. What it leaves running is ended. Its input is the caller's, unless that is a terminal.

This needs the package debootstrap, about 1 GB and what the command needs, and root, for which it calls sudo.
TEXT
}

say() { printf 'system: %s\n' "$*" >&2; }
fail() { say "$@"; exit 125; }

renew='' user='' shared=() arguments=("$@")
while [ $# -gt 0 ]; do
    case $1 in
    --help | -h) usage; exit 0 ;;
    --renew) renew=1 ;;
    --user | --read | --space | --cache)
        [ $# -ge 2 ] || fail "$1 needs a value; see --help"
        case $1 in
        --user) user=$2 ;;
        --read) shared+=("$2") ;;
        --space) space=$2 ;;
        --cache) cache=$2 ;; # the caller's, which root does not know
        esac
        shift
        ;;
    --) shift; break ;;
    -*) fail "there is no option '$1'; see --help" ;;
    *) break ;;
    esac
    shift
done
[ -z "$user" ] || [[ $user =~ ^[a-z][a-z0-9-]{0,30}$ ]] || fail "'$user' cannot be a user's name"
for pair in "${shared[@]}"; do
    [[ $pair =~ ^(/.*):/[^:]+$ ]] || fail "--read takes two absolute paths, FOLDER:PLACE, not '$pair'"
    [ -d "${BASH_REMATCH[1]}" ] || fail "there is no folder ${BASH_REMATCH[1]}"
    [[ $pair/ != */../* ]] || fail "'$pair' contains '..'"
done
[[ $space =~ ^[1-9][0-9]{0,8}$ ]] || fail "--space takes a number of MB, not '$space'"
[[ $cache == /* ]] || fail "the cache's path is not absolute: $cache"

if [ "$(id -u)" -ne 0 ]; then
    mkdir -p "$cache" || exit 125
    command -v sudo >/dev/null || fail "a Debian of its own is made by root; there is no sudo here, so run this as root"
    sudo -n true 2>/dev/null || say "sudo asks for your password, because a Debian of its own is made by root"
    sudo -v || fail "sudo does not let $(id -un) be root, who alone can make a Debian of its own"
    variables=()
    for name in $("$here/host.sh" variables); do
        [ -z "${!name:-}" ] || variables+=("$name=${!name}")
    done
    exec sudo env "${variables[@]}" "$here/system.sh" --cache "$cache" "${arguments[@]}"
fi
for program in debootstrap unshare tar; do
    command -v $program >/dev/null || fail "$program is missing; on Debian, the package $program has it"
done
unshare --mount --pid --uts --ipc --fork -- true 2>/dev/null ||
    fail "this root may not make namespaces, as in many containers; use a machine, or a container that is privileged"

# Whatever happens, folders with systems lie below the cache, and are removed only if nothing is mounted in them. What is
# mounted for a system is so in its own namespace; if that were wrong, files of the host could be lost.
remove() {
    local folder=$1 tries mounts
    [[ $folder == "$cache"/?* ]] && [ -d "$folder" ] || return 0
    printf -v mounts '%b\n' "$(cut -d ' ' -f 5 /proc/self/mountinfo)" # blanks are written as \040
    if grep -qF "$folder" <<<"$mounts"; then
        say "something is mounted in $folder, so it stays"
        return
    fi
    for tries in 1 2 3; do # a process that is being killed may still write
        ! rm -rf --one-file-system "$folder" 2>/dev/null || return 0
        sleep "$tries"
    done
    say "$folder could not be removed"
}

# What runs in namespaces of its own is ended by the end of its first process, which unshare's death causes. The kernel
# ends all others before the first one is gone.
child='' work=''
# shellcheck disable=SC2317 # the trap calls it
end_child() {
    local first='' tries
    [ -n "$child" ] || return 0
    { read -r first <"/proc/$child/task/$child/children"; } 2>/dev/null || true # no line end follows the number
    kill -KILL "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
    for tries in {1..100}; do
        [ -n "$first" ] || break
        kill -0 "$first" 2>/dev/null || break
        sleep 0.1
    done
    child=''
}
trap 'end_child; [ -z "$work" ] || remove "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP PIPE

# isolated COMMAND...: runs it as the first process of new namespaces. It gets no terminal, from whose signals it would
# die in another order, and the background's ignored signals would be ignored by all its children.
exec 3<&0
[ ! -t 0 ] || exec 3</dev/null
isolated() {
    local result=0
    env --default-signal=INT,QUIT setsid unshare --mount --pid --uts --ipc --fork --kill-child -- "$@" <&3 3<&- &
    child=$!
    wait "$child" || result=$?
    child=''
    return $result
}

need_space() {
    local free
    free=$(df --output=avail -B 1M "$cache" | tail -n 1)
    [ "$free" -ge "$space" ] || fail "$cache has only $((free)) MB of free space, but $space are needed"
}

# new_folder NAME: sets work to a new folder. Its name contains this process, so that a later one can see that it was left
# by one which was killed.
new_folder() {
    work=$(mktemp -d "$cache/$1.$$.XXXXXX") || fail "$cache cannot be written to by root; XDG_CACHE_HOME names another place"
    chmod 755 "$work"
}
remove_left() {
    local folder process
    for folder in "$cache"/{making,copy}.*.*; do
        process=${folder%.*}
        [ ! -d "$folder" ] || [ -d "/proc/${process##*.}" ] || remove "$folder"
    done
}

# In namespaces of its own, because debootstrap mounts things; at a place without blanks, with which it cannot deal.
# shellcheck disable=SC2016 # it is a program for another shell
DEBOOTSTRAP='mount --bind "$1" /mnt && mount -o remount,bind,exec,suid,dev /mnt && mount -t proc proc /proc && shift && exec debootstrap "$@"'

make_system() {
    local log=$cache/debootstrap.log mirror mirrors made=''
    need_space
    new_folder making
    # debootstrap downloads with wget, which does not know the proxy that apt has.
    http_proxy=${http_proxy:-$(apt-config shell proxy Acquire::http::Proxy 2>/dev/null | sed -n "s/^proxy='\(.*\)'$/\1/p")}
    export http_proxy
    mapfile -t mirrors < <(sed -n "s/^deb \(.*\) $RELEASE main\$/\1/p" <<<"$sources")
    for mirror in "${mirrors[@]}"; do
        say "making a Debian 12 from $mirror, once; this takes a minute or more"
        remove "$work/root" # what the mirror before has left
        mkdir "$work/root"
        if isolated bash -c "$DEBOOTSTRAP" - "$work/root" --variant=minbase --include="$PACKAGES" "$RELEASE" /mnt "$mirror" \
            >"$log" 2>&1; then
            made=1
            break
        fi
        { tail -n 3 "$work/root/debootstrap/debootstrap.log" 2>/dev/null || true; tail -n 5 "$log"; } >&2
        say "debootstrap could not make it from $mirror; its output is in $log"
    done
    [ -n "$made" ] || fail "there is no system to run a command in"
    # The same sources whose first mirror delivered the system.
    { grep "^deb $mirror $RELEASE main\$" <<<"$sources"; grep -v " $RELEASE main\$" <<<"$sources" || true; } >"$work/root/etc/apt/sources.list"
    rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
    # Without devices, which not every root may make, and which are mounted over.
    tar --numeric-owner --one-file-system --exclude='./dev/*' -C "$work/root" -czf "$work/system" . || fail "the system could not be stored in $cache"
    rm -f "$cache"/system-*
    mv -T "$work/system" "$system"
    remove "$work"
    work=''
}

mkdir -p "$cache"
cache=$(readlink -f "$cache")
sources=$("$here/host.sh" sources)
# Other mirrors or packages are another system.
key=$(printf '%s\n' "$RELEASE" "$PACKAGES" "$sources" "$(uname -m)" | sha256sum | cut -c 1-12)
system=$cache/system-$key.tar.gz
exec 9>"$cache/lock"
flock -n 9 || { say "waiting for another one that is being made"; flock 9; }
remove_left
if [ -e "$system" ] && ! gzip -qt "$system" 2>/dev/null; then
    say "$system is damaged, so it is made anew"
    renew=1
fi
if [ -n "$renew" ] || [ ! -e "$system" ] || [ -n "$(find "$system" -mtime "+$DAYS")" ]; then
    make_system 9>&-
fi
[ $# -gt 0 ] || { say "it is in $system"; exit 0; }

need_space
new_folder copy
exec 8<"$system" # another process may be about to replace it
exec 9>&-
tar --numeric-owner -xzpf - -C "$work" <&8 || fail "$system could not be unpacked"
exec 8<&-
"$here/host.sh" take "$work"
{ # bash reads this to its end first, so that this file may change while the command runs
    isolated "$here/inside.sh" "$work" "$user" "${shared[@]}" -- "$@"
    exit
}
