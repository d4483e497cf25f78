#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Takes docs/top.png: `nanospan top` on a terminal of 100 x 24, above engines that run. Two of them have a collector of
# their own, the example's engine and its feed; an agent drains the other two. Three are tuned before, and the details
# are those of one that has got a rule.
set -euo pipefail

fail() { printf 'top.sh: %s\n' "$*" >&2; exit 1; }
[ $# -eq 2 ] || fail "usage: docs/top.sh BUILD_DIR PICTURE.png"
build=$(cd "$1" && pwd) picture=$2
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
for program in bin/nanospan bin/engine bin/feed tests/steady; do
    [ -x "$build/$program" ] || fail "$build/$program does not exist; ./run test --quick builds it"
done
for program in Xvfb xterm import convert; do
    command -v "$program" >/dev/null || fail "there is no $program; apt install xvfb xterm imagemagick fonts-dejavu-core"
done

me=top.sh logs=$(mktemp -d)
# shellcheck source=examples/processes.sh
. "$source/examples/processes.sh"
NSP_SHM_DIR=$(mktemp -d /dev/shm/nanospan-top.XXXXXX)
export NSP_SHM_DIR
trap 'kill_all; rm -rf "$NSP_SHM_DIR" "$logs"' EXIT

start_process sink "$build/bin/nanospan" sink --listen 127.0.0.1:0 --port-file "$logs/port"
wait_for "$logs/port" sink
OTLP_ENDPOINT=http://127.0.0.1:$(tr -d '[:space:]' <"$logs/port")
export OTLP_ENDPOINT
start_process agent "$build/bin/nanospan" agent

SERVICE_NAME=execution start_process engine "$build/bin/engine" --listen "unix:$logs/orders" --address-file "$logs/address" --no-pin
wait_for "$logs/address" engine
SERVICE_NAME=order-feed start_process feed "$build/bin/feed" --connect "unix:$logs/orders" --orders 10000000 --rate 2000 \
    --file "$source/examples/orders/orders.csv"
export NSP_COLLECTOR=external
SERVICE_NAME=market-data start_process market "$build/tests/steady" --rate 8000 --threads 2
SERVICE_NAME=risk-gateway start_process risk "$build/tests/steady" --rate 500
for name in market risk; do
    wait_for_line "$name" 60 ready || fail "$name did not start"
done
"$build/bin/nanospan" tune execution 0.2
"$build/bin/nanospan" tune order-feed 0.2
"$build/bin/nanospan" tune market-data 'steady'=0.25

# The window has no frame, so the picture of the screen, cut to what is not black, is the picture of the window.
mkfifo "$logs/display"
Xvfb -displayfd 3 -screen 0 1100x600x24 3<>"$logs/display" >"$logs/xvfb.log" 2>&1 &
pids[xvfb]=$!
read -r number <"$logs/display"
export DISPLAY=:$number
# Presses the keys of its first argument, once top has drawn something.
cat >"$logs/press.py" <<'PYTHON'
import fcntl, os, pty, select, sys, termios, time, tty

size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8))
tty.setraw(0)
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, size)
    os.execvp(sys.argv[2], sys.argv[2:])
pressed = False
while True:
    if terminal in select.select([terminal], [], [])[0]:
        os.write(1, os.read(terminal, 65536))
        if not pressed:
            os.write(terminal, sys.argv[1].encode())
            pressed = True
PYTHON
start_process xterm xterm -fa 'DejaVu Sans Mono' -fs 11 -geometry 100x24 -bg black -fg gray90 -b 6 \
    -e python3 "$logs/press.py" jd "$build/bin/nanospan" top --threads
sleep 8 # until the rates are those of steady engines, after the start
import -window root "$logs/screen.png"
convert "$logs/screen.png" -trim +repage -bordercolor black -border 8 +dither -colors 32 -strip \
    -define png:compression-level=9 "$picture"
for name in "${!pids[@]}"; do
    kill_now "$name"
done
