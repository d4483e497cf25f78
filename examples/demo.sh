#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs receiver, engine and feed together: sends orders, changes the sample rate half-way by `nanospan tune`, stops
# everything, shows the traces, and checks that all counters agree. A second engine samples nothing and keeps the orders
# that took too long: its own stopwatch says whether these are all. Then kills a third one in the middle of its orders,
# recovers what it had not sent, and checks that nothing is missing. In the end, writes a page of the first two engines'
# traces. Needs only the build folder; `./run demo` builds it first.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: demo.sh BUILD_DIR [--orders N] [--rate R] [--keep DIR] [--web HOST:PORT]

  --orders N   order messages to send (default 100000)
  --rate R     orders a second (default 10000; 0: as fast as the answers come)
  --keep DIR   put the files into this folder (default: a new folder under ${TMPDIR:-/tmp}). They stay there,
               about 180 MB for 100,000 orders
  --web HOST:PORT
               let the receiver of the first run serve a live page (nanospan sink --web), and print its address; a port
               alone is one of 127.0.0.1

The first half of the orders is sampled at 100 %; then nanospan tune sets 10 % for the rest, in the programs that
run. A second engine samples nothing, keeps what took too long, and holds orders up on purpose. Then a third one is
killed, and its spans are recovered. The traces of the first two are written as a page, page.html. The exit code is
0 if everything agrees.
TEXT
}

fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }
heading() { printf '\n== %s\n\n' "$*"; }

build='' orders=100000 rate=10000 folder='' web=()
while [ $# -gt 0 ]; do
    case $1 in
    --orders | --rate | --keep | --web)
        [ $# -ge 2 ] || fail "$1 needs a value; see --help"
        case $1 in
        --orders) orders=$2 ;;
        --rate) rate=$2 ;;
        --keep) folder=$2 ;;
        --web) web=(--web "$2") ;;
        esac
        shift 2
        ;;
    --help | -h) usage; exit 0 ;;
    -*) fail "there is no option '$1'; see --help" ;;
    *)
        [ -z "$build" ] || fail "only one build folder can be given; see --help"
        build=$1
        shift
        ;;
    esac
done
[ -n "$build" ] || { usage >&2; exit 2; }
[[ $orders =~ ^[1-9][0-9]{0,8}$ && $orders -ge 2 ]] || fail "--orders takes a number from 2 to 999999999"
[[ $rate =~ ^[0-9]{1,9}$ ]] || fail "--rate takes a whole number of orders a second"
examples=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for program in nanospan engine feed; do
    [ -x "$build/bin/$program" ] || fail "$build/bin/$program does not exist; ./run build builds it"
done
build=$(cd "$build" && pwd)
if [ -n "$folder" ]; then
    mkdir -p "$folder"
else
    folder=$(mktemp -d "${TMPDIR:-/tmp}/nanospan-demo.XXXXXX")
fi
folder=$(cd "$folder" && pwd)
rm -f "$folder"/{port,address,traces.jsonl,sink.json,engine.json,feed.json,drop_copy.bin}
rm -f "$folder"/{slow_port,second_address,crashed.jsonl,recovery.json,go_on}
rm -f "$folder"/{kept_port,kept_address,outliers.jsonl,slow_orders.json,live_page,page.html}
[ ${#web[@]} -eq 0 ] || web+=(--web-url-file "$folder/live_page")

me=demo logs=$folder
# shellcheck source=examples/processes.sh
. "$examples/processes.sh"
shm=$(mktemp -d "/dev/shm/nanospan-demo.XXXXXX") || shm=$(mktemp -d "$folder/shm.XXXXXX")
trap 'kill_all; rm -rf "$shm"' EXIT

# The tracing of the demo is configured only here, so variables of the caller must not reach it.
for name in $(compgen -e); do
    case $name in
    OTEL_* | OTLP_* | SERVICE_NAME | SERVICE_VERSION | ENVIRONMENT | ENABLE_TRACING | TRACE_SAMPLE_RATE | NSP_OUTLIERS | NSP_SWITCHES)
        unset "$name" ;;
    esac
done

# The sessions lie in a folder of their own, so that the commands below find these engines by their names, and touch
# no others of this user.
export NSP_SHM_DIR=$shm

heading "Receiver and engine"
start_process sink "$build/bin/nanospan" sink --listen 127.0.0.1:0 --port-file "$folder/port" \
    --output "$folder/traces.jsonl" --summary "$folder/sink.json" ${web[@]+"${web[@]}"}
wait_for "$folder/port" sink
[ ${#web[@]} -eq 0 ] || say_live_page "$folder/live_page"
port=$(tr -d '[:space:]' <"$folder/port")
export OTLP_ENDPOINT=http://127.0.0.1:${port##*:} TRACE_SAMPLE_RATE=1.0 OTEL_BSP_SCHEDULE_DELAY=500
echo "receiver: listening on $OTLP_ENDPOINT, process ${pids[sink]}"

# Rings and batches large enough for half a second in which a busy machine does not run the collector, and for
# a slow receiver. With less, some traces would be refused at their root, and counted.
NSP_RING_BYTES=$((8 << 20)) NSP_BATCHES=32 start_process engine "$build/bin/engine" --listen 127.0.0.1:0 \
    --address-file "$folder/address" --drop-copy "$folder/drop_copy.bin" --stats-json "$folder/engine.json" --progress
wait_for "$folder/address" engine
grep '^engine: listening' "$folder/engine.log"

heading "Feed: $orders orders at $rate a second, with a pause after half of them"
good=yes
limit=60
[ "$rate" -eq 0 ] || limit=$((orders / rate + 60))
# The feed waits for a line from go_on. Only this shell has it open for writing, so if the shell dies, the feed goes on.
mkfifo "$folder/go_on"
exec {go_on}<>"$folder/go_on"
input=$folder/go_on start_process feed "$build/bin/feed" --file "$examples/orders/orders.csv" \
    --connect "$(cat "$folder/address")" --orders "$orders" --rate "$rate" --pause-at "$((orders / 2))" \
    --stats-json "$folder/feed.json" {go_on}>&-
if wait_for_line feed "$limit" '^feed: paused'; then
    grep '^feed: paused' "$folder/feed.log"

    heading "From here on 10 %, in both programs (nanospan tune SERVICE 0.1)"
    for service in execution feed; do
        "$build/bin/nanospan" tune "$service" 0.1 || good=no
    done

    heading "Feed: the other half"
    echo >&"$go_on"
fi
wait_for_end feed "$limit" || good=no
exec {go_on}>&-
rm "$folder/go_on"
sed '/^feed: paused/d' "$folder/feed.log"

heading "Engine"
stop engine || good=no
cat "$folder/engine.log"
stop sink || good=no

view() { "$build/bin/nanospan" view "$folder/traces.jsonl" "$@" || good=no; }
heading "The slowest round trip: a trace that begins in the feed and continues in the engine"
view --root send_order --sort slowest --limit 1
heading "The two slowest traces that begin in the engine"
view --root order --sort slowest --limit 2
heading "The longest life of an order, from its acceptance to its end, with a link to the trace of the order message"
view --root order_life --sort slowest --limit 1

heading "All traces"
view --summary

heading "Receiver"
cat "$folder/sink.log"
if [ -s "$folder/sink.json" ]; then
    cat "$folder/sink.json"
fi

heading "Are the traces true?"
python3 "$examples/check_traces.py" "$folder" --slowest 10 || good=no

heading "A second run, in which nothing is sampled, and what took 500 us or longer is kept (NSP_OUTLIERS)"
# The engine holds one order in thousands up on purpose, as real engines are held up, and notes with a stopwatch of its
# own which orders took long. The receiver must get exactly these.
start_process kept "$build/bin/nanospan" sink --listen 127.0.0.1:0 --port-file "$folder/kept_port" \
    --output "$folder/outliers.jsonl"
wait_for "$folder/kept_port" kept
port=$(tr -d '[:space:]' <"$folder/kept_port")
OTLP_ENDPOINT=http://127.0.0.1:${port##*:} TRACE_SAMPLE_RATE=0 NSP_OUTLIERS='order: slower=500us' NSP_SWITCHES=1 \
    start_process engine "$build/bin/engine" --listen 127.0.0.1:0 --address-file "$folder/kept_address" \
    --faults all --fault-every "$((orders / 40 + 1))" --slow-orders "$folder/slow_orders.json" --slower 500us
wait_for "$folder/kept_address" engine
ENABLE_TRACING=false start_process feed "$build/bin/feed" --file "$examples/orders/orders.csv" \
    --connect "$(cat "$folder/kept_address")" --orders "$orders" --rate "$((rate * 5 / 2))"
wait_for_end feed "$limit" || good=no
stop engine || good=no
stop kept || good=no
grep -v '^nanospan: info: tracing is on' "$folder/engine.log" | grep '^nanospan: ' || true
python3 "$examples/check_outliers.py" "$folder" || good=no
echo
"$build/bin/nanospan" view "$folder/outliers.jsonl" --limit 1 || good=no

heading "A third run, in which the engine is killed: kill -9 in the middle of its orders"
# The receiver takes its time, so that spans wait in batches and rings. The feed is not traced: it says only what it
# notices.
start_process slow "$build/bin/nanospan" sink --listen 127.0.0.1:0 --port-file "$folder/slow_port" \
    --output "$folder/crashed.jsonl" --delay 100ms
wait_for "$folder/slow_port" slow
port=$(tr -d '[:space:]' <"$folder/slow_port")
export OTLP_ENDPOINT=http://127.0.0.1:${port##*:}
NSP_RING_BYTES=$((8 << 20)) start_process engine "$build/bin/engine" --listen 127.0.0.1:0 --address-file "$folder/second_address"
wait_for "$folder/second_address" engine
victim=${pids[engine]}
ENABLE_TRACING=false start_process feed "$build/bin/feed" --file "$examples/orders/orders.csv" \
    --connect "$(cat "$folder/second_address")" --orders 100000000 --rate 10000
# Killed as soon as the receiver has taken something, while it is busy with the next request.
wait_for "$folder/crashed.jsonl" slow
kill_now engine
kill_now feed
echo "killed: engine, process $victim"
"$build/bin/nanospan" recover --list execution || good=no

heading "The recovery (nanospan recover execution), and what the receiver has"
"$build/bin/nanospan" recover --json execution >"$folder/recovery.json" || good=no
stop slow || good=no
python3 "$examples/check_recovery.py" "$folder" || good=no

heading "The page of these traces (nanospan view --html)"
# The page has a bound; with more orders than usual, it gets the slowest traces.
"$build/bin/nanospan" view --html "$folder/page.html" --limit 400000 "$folder/traces.jsonl" "$folder/outliers.jsonl" || good=no

heading "Files"
(cd "$folder" && du -h --apparent-size -- *)
echo "in $folder: remove it when you have seen enough"
[ "$good" = yes ] || fail "a check above failed"
echo "demo: all checks passed"
