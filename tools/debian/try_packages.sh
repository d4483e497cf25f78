#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# try_packages.sh FOLDER NEXT: in a Debian 12 that may be spoiled, as a user who has sudo: installs the packages in FOLDER
# by apt, uses them as a developer and as an operator would, upgrades to the packages in NEXT, and purges them. Fails if
# something is not as it should be. `./run deb --try` runs it in a new Debian.
set -euo pipefail
packages=${1:?usage: try_packages.sh FOLDER NEXT}
next=${2:?usage: try_packages.sh FOLDER NEXT}
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
cd "$work"

say() { printf 'try: %s\n' "$*"; }
fail() { printf 'try: FAIL: %s\n' "$*" >&2; exit 1; }
# Nobody is there to be asked.
apt() {
    sudo -E apt-get -qq -y --no-install-recommends "$@" </dev/null 2>&1 | cat >apt.log || { cat apt.log >&2; fail "apt-get $*"; }
}
installed() { dpkg-query -W -f '${Status} ${Package}\n' 2>/dev/null | sed -n 's/^install ok installed //p'; }
is_installed() { installed | grep -qx "$1"; }
# wait_for WHAT COMMAND...: until the command succeeds.
wait_for() {
    local what=$1 deadline=$((SECONDS + 120))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || fail "$what did not happen"
        sleep 0.1
    done
}

# Only ours, without the debug symbols, which need the packages that they are for.
debs() { find "$1" -maxdepth 1 -name '*.deb' ! -name '*-dbgsym_*' | sort; }
names() { debs "$1" | while read -r deb; do dpkg-deb -f "$deb" Package; done; }
mapfile -t first < <(debs "$packages")
mapfile -t second < <(debs "$next")
mapfile -t ours < <(names "$packages")
mapfile -t libraries < <(printf '%s\n' "${ours[@]}" | grep -E '[0-9]$')
core=$(printf '%s\n' "${libraries[@]}" | grep -- -core)
version() { dpkg-query -W -f '${Version}' "$1"; }
apt update

say "the core alone brings no curl, no TLS and no protobuf"
installed | sort >packages_before
apt install "$packages/$core"_*.deb
new=$(installed | sort | comm -13 packages_before -)
! grep -E 'curl|ssl|tls|protobuf|microhttpd|deflate' <<<"$new" || fail "the packages above came with $core"
apt purge "$core"

# What packages need and what is used below is there before, so that what is new afterwards is the packages' own.
say "their dependencies, compilers, and what an operator has"
mapfile -t needed < <(apt-get -s --no-install-recommends install "${first[@]}" | sed -n 's/^Inst \([^ ]*\) .*/\1/p' |
    grep -vxF "$(printf '%s\n' "${ours[@]}")")
apt install "${needed[@]}" gcc g++ libc6-dev cmake ninja-build pkg-config man-db groff-base bash-completion systemd
sudo ldconfig

files() { sudo find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/tmp -o -path /var/cache \
    -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/log -o -path /root -o -path /home -o -path "$packages" -o -path "$next" \) \
    -prune -o -print | sort; }
files >before

say "installing $(dpkg-deb -f "${first[0]}" Version): ${ours[*]}"
apt install "${first[@]}"
for package in "${ours[@]}"; do is_installed "$package" || fail "$package is not installed"; done
dpkg -L "${ours[@]}" | sort -u >files_of_first

say "shared libraries, command, man pages, completion, unit"
for library in "${libraries[@]}"; do
    name=${library%[0-9]*}
    /sbin/ldconfig -p | grep -qF "$name.so.${library##*[a-z]} " || fail "ldconfig does not know $name"
done
nanospan --version
! ldd /usr/bin/nanospan | grep 'not found' || fail "nanospan lacks a library"
for page in nanospan $(nanospan --help | sed -n 's/^  \([a-z]*\) .*/nanospan-\1/p'); do
    man "$page" | grep -q '^SYNOPSIS' || fail "there is no man page $page"
done
man nanospan-sink | sed -n 1,8p
# shellcheck disable=SC2016 # for the other shell
bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader nanospan; complete -p nanospan
    COMP_WORDS=(nanospan sn) COMP_CWORD=1; _nanospan nanospan sn nanospan; [ "${COMPREPLY[*]}" = snapshot ]' || fail "completion does not load"
unit=$(dpkg -L nanospan | grep '\.service$')
mkdir units
cp "$unit" "units/nanospan-agent@$USER.service" # what systemctl makes of the template
complaints=$(systemd-analyze verify --man=yes "units/nanospan-agent@$USER.service" 2>&1 | grep nanospan || true)
[ -z "$complaints" ] || fail "systemd-analyze: $complaints"

sudo systemctl --quiet --root=/ enable "nanospan-agent@$USER" || fail "the unit cannot be enabled"
find /etc/systemd/system -name 'nanospan-agent@*' | grep -q . || fail "the unit was not enabled"

say "a receiver, and programs that are compiled with the packages"
nanospan sink --listen 127.0.0.1:0 --port-file port --output spans.jsonl --summary summary.json --quiet &
sink=$!
wait_for "the start of the sink" test -s port
export OTLP_ENDPOINT
OTLP_ENDPOINT=http://127.0.0.1:$(cat port)

# The program of the README.
readme=/usr/share/doc/nanospan/README.md
# shellcheck disable=SC2016 # `
{ cat "$readme" 2>/dev/null || zcat "$readme.gz"; } | sed -n '/^```c$/,/^```$/p' | sed '1d;/^```/,$d' >app.c
cat >app.cpp <<'TEXT'
#include <nanospan/nanospan.hpp>

using namespace nsp::literals;

int main()
{
    if (nsp_init(nullptr) != NSP_OK)
        return 1;
    {
        nsp::span order("cpp_order"_name);
        order.set("order.id"_key, 4711);
    }
    return nsp_shutdown(10000000000) == NSP_OK ? 0 : 1;
}
TEXT
# Records until there is a file `stop`, and says once there is a first span.
cat >steady.c <<'TEXT'
#include <nanospan/nanospan.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    long spans = 0;
    if (nsp_init(NULL) != NSP_OK)
        return 1;
    while (access("stop", F_OK) != 0) {
        NSP_SPAN(span, "steady_work");
        spans++;
        if (spans == 100)
            fclose(fopen("steady_runs", "w"));
        usleep(1000);
    }
    printf("%ld\n", spans);
    return nsp_shutdown(60000000000) == NSP_OK ? 0 : 1;
}
TEXT
# Leaves its span to an agent.
cat >core.c <<'TEXT'
#include <nanospan/nanospan.h>

int main(void)
{
    if (nsp_init(NULL) != NSP_OK)
        return 1;
    {
        NSP_SPAN(span, "core_work");
    }
    nsp_shutdown(0);
    return 0;
}
TEXT
cat >http.c <<'TEXT'
#include <nanospan/curl.h>
#include <nanospan/microhttpd.h>
#include <stdlib.h>

int main(void)
{
    if (nsp_init(NULL) != NSP_OK)
        return 1;
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, getenv("OTLP_ENDPOINT"));
    CURLcode result = nsp_curl_perform(easy, NSP_NAME("ask"), NULL);
    curl_easy_cleanup(easy);
    nsp_mhd_stop_daemon(NULL);
    return nsp_shutdown(10000000000) == NSP_OK && result == CURLE_OK ? 0 : 1;
}
TEXT
cat >CMakeLists.txt <<'TEXT'
cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES C CXX)
set(CMAKE_C_STANDARD 11)
set(CMAKE_CXX_STANDARD 17)
find_package(nanospan REQUIRED COMPONENTS shared static core curl microhttpd)
add_executable(cmake_shared app.c)
target_link_libraries(cmake_shared PRIVATE nanospan::nanospan)
add_executable(cmake_static app.c)
target_link_libraries(cmake_static PRIVATE nanospan::nanospan_static)
add_executable(cmake_cpp app.cpp)
target_link_libraries(cmake_cpp PRIVATE nanospan::nanospan)
add_executable(cmake_core core.c)
target_link_libraries(cmake_core PRIVATE nanospan::core)
add_executable(cmake_http http.c)
target_link_libraries(cmake_http PRIVATE nanospan::curl nanospan::microhttpd)
TEXT
warnings=(-O2 -Wall -Wextra -Wpedantic -Werror)
# shellcheck disable=SC2046 # a list of options
{
    gcc -std=c11 "${warnings[@]}" app.c $(pkg-config --cflags --libs nanospan) -o pc_shared
    gcc -std=c11 "${warnings[@]}" app.c $(pkg-config --static --cflags --libs nanospan | sed 's/-l\(nanospan[a-z-]*\)/-l:lib\1.a/g') -o pc_static
    g++ -std=c++17 "${warnings[@]}" app.cpp $(pkg-config --cflags --libs nanospan) -o pc_cpp
    gcc -std=gnu11 "${warnings[@]}" steady.c $(pkg-config --cflags --libs nanospan) -o steady
    gcc -std=c11 "${warnings[@]}" core.c $(pkg-config --cflags --libs nanospan-core) -o pc_core
    gcc -std=c11 "${warnings[@]}" http.c $(pkg-config --cflags --libs nanospan-curl nanospan-microhttpd) -o pc_http
    gcc -std=c11 "${warnings[@]}" app.c -lnanospan -o by_hand
}
cmake -S . -B cmake -G Ninja >cmake.log || { cat cmake.log; fail "find_package"; }
cmake --build cmake >cmake.log || { cat cmake.log; fail "a project with CMake"; }
for program in pc_shared pc_static pc_cpp by_hand cmake/cmake_shared cmake/cmake_static cmake/cmake_cpp; do
    SERVICE_NAME=${program##*/} "./$program" || fail "$program exited with $?"
done
for program in pc_http cmake/cmake_http; do "./$program" >/dev/null || fail "$program exited with $?"; done
for program in pc_core cmake/cmake_core; do
    ! ldd "$program" | grep -E 'libnanospan\.so|curl' || fail "$program is linked with more than the core"
    OTEL_LOG_LEVEL=error "./$program" || fail "$program exited with $?"
done
nanospan agent --once || fail "the agent did not send what the programs with the core alone have left"
nanospan doctor --no-send --quiet || [ $? -le 1 ] || fail "the doctor sees a failure"

say "an upgrade to $(dpkg-deb -f "${second[0]}" Version), while a program and the sink run"
SERVICE_NAME=steady ./steady >steady.count &
steady=$!
wait_for "the first spans of a running program" test -e steady_runs
old=$(version nanospan)
apt install "${second[@]}"
dpkg --compare-versions "$(version nanospan)" gt "$old" || fail "$(version nanospan) is not higher than $old"
for package in "${ours[@]}"; do
    [ "$(version "$package")" = "$(version nanospan)" ] || fail "$package was not upgraded"
done
dpkg -L "${ours[@]}" | sort -u | diff files_of_first - || fail "the files of the packages are others"
grep -q 'libnanospan.*(deleted)' "/proc/$steady/maps" || fail "the running program does not have the old library"
./by_hand || fail "a program that was compiled before exited with $?"
touch stop
wait $steady || fail "the program that ran during the upgrade exited with $?"
kill -INT $sink
wait $sink || fail "the sink exited with $?"

# The README's program makes three orders: a path of three spans, and a span. It ran in five forms, and once again.
expected=$((6 * 3 * 4 + 2 + 2 + 2 + $(cat steady.count)))
found=$(sed -n 's/.*"spans": *\([0-9]*\).*/\1/p' summary.json | head -n 1)
nanospan view --summary spans.jsonl
[ "$found" = "$expected" ] || fail "$found spans arrived, and not $expected"
say "$found spans arrived, $(cat steady.count) of them of the program that ran during the upgrade"

say "removal and purge"
apt remove "${ours[@]}"
for package in "${ours[@]}"; do ! is_installed "$package" || fail "$package is still installed"; done
# Those of which there is nothing left to purge are unknown by now.
known() { dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${ours[@]}" 2>/dev/null | sed -n '/^not-installed /!s/.* //p'; }
mapfile -t left < <(known)
[ ${#left[@]} -eq 0 ] || apt purge "${left[@]}"
[ -z "$(known)" ] || fail "dpkg still knows $(known)"
audit=$(dpkg --audit)
[ -z "$audit" ] || fail "dpkg --audit: $audit"
files >after
diff before after || fail "the files above are left or missing"
! /sbin/ldconfig -p | grep libnanospan || fail "ldconfig still knows the libraries"
say "all of this is as it should be"
