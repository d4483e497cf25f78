#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# inside.sh ROOT USER [SOURCE:PLACE...] -- COMMAND...: the first process in new namespaces, which makes the folder
# ROOT its file system and runs the command there. system.sh starts it. Whatever the command has left running
# ends with this process, and all that is mounted here is unmounted, because no other process is in these namespaces.
set -eEuo pipefail
trap 'echo "system: this could not be done for the new Debian: $BASH_COMMAND" >&2; exit 125' ERR

device() { mknod -m "$2" "$root/dev/$1" c "$3" "$4" 2>/dev/null || { : >"$root/dev/$1" && mount --bind "/dev/$1" "$root/dev/$1"; }; }

# What the kernel and udev show a program of a Debian that was booted.
mount_devices() {
    mount -t tmpfs -o mode=755,nosuid dev "$root/dev"
    device null 666 1 3
    device zero 666 1 5
    device full 666 1 7
    device random 666 1 8
    device urandom 666 1 9
    device tty 666 5 0
    mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue"
    mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5,nosuid,noexec devpts "$root/dev/pts"
    mount -t tmpfs -o mode=1777,nosuid,nodev shm "$root/dev/shm"
    mount -t mqueue -o nosuid,nodev,noexec mqueue "$root/dev/mqueue" 2>/dev/null || true
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    ln -s fd/0 "$root/dev/stdin"
    ln -s fd/1 "$root/dev/stdout"
    ln -s fd/2 "$root/dev/stderr"
}

mount_system() {
    # Whether the host lets programs run from the folder that ROOT lies in does not matter here.
    mount --bind "$root" "$root"
    mount -o remount,bind,exec,suid,dev "$root"
    mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
    mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
    mount -t cgroup2 -o ro,nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup" 2>/dev/null || true
    mount -t tmpfs -o mode=755,nosuid,nodev run "$root/run"
    mkdir -m 1777 "$root/run/lock"
    mount_devices
}

# Read only, so that no command in the system can change a file of the host's.
mount_shared() {
    local source=${1%:*} place=$root/${1##*:}
    mkdir -p "$place"
    mount --bind "$source" "$place"
    mount -o remount,bind,ro,nosuid,nodev "$place"
}

# An ordinary user, who administers the system by sudo without a password.
make_user() {
    useradd --create-home --shell /bin/bash "$1"
    printf '%s ALL=(ALL:ALL) NOPASSWD: ALL\n' "$1" >/etc/sudoers.d/"$1"
    chmod 440 /etc/sudoers.d/"$1"
}

main() {
    local root=$1 user=$2 line result=0 clean=(env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root)
    shift 2
    mount_system
    while [ "$1" != -- ]; do
        mount_shared "$1"
        shift
    done
    shift
    hostname debian
    umask 022
    # Not chroot: then user namespaces, in which browsers put their pages, would be forbidden; and in the new root nothing of
    # the host can be reached.
    mkdir "$root/run/host"
    cd "$root"
    pivot_root . run/host
    cd /
    umount -l /run/host
    rmdir /run/host

    # There is no init that could start the services of packages; the host's ports would be theirs as well.
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    "${clean[@]}" update-ca-certificates >/dev/null 2>&1 || echo "system: the certificates of this machine were not taken over" >&2
    if [ -n "$user" ]; then
        make_user "$user"
        printf -v line '%q ' "$@"
        set -- su --login "$user" --command "$line"
    else # what a login would read
        while IFS= read -r line; do
            line=${line%\"}
            clean+=("${line/=\"/=}")
        done </etc/environment
    fi
    trap - ERR
    # The kernel and its clock are the host's.
    setpriv --bounding-set -sys_module,-sys_rawio,-sys_boot,-sys_time,-mknod --inh-caps -all "${clean[@]}" "$@" || result=$?
    exit $result
}

main "$@"
