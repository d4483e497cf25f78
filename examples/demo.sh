#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs receiver, engine and feed together: sends orders, changes the sample rate half-way, stops everything,
# shows the traces, and checks that all counters agree. Needs only the build folder; `./run demo` builds it
# first.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: demo.sh BUILD_DIR [--orders N] [--rate R] [--keep DIR]

  --orders N   order messages to send (default 100000)
  --rate R     orders a second (default 10000; 0: as fast as the answers come)
  --keep DIR   put the files into this folder (default: a new folder under ${TMPDIR:-/tmp})

The first half of the orders is sampled at 100 %, the rest at 10 %. The exit code is 0 if everything agrees.
TEXT
}

fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }
heading() { printf '\n== %s\n\n' "$*"; }

build='' orders=100000 rate=10000 folder=''
while [ $# -gt 0 ]; do
    case $1 in
    --orders | --rate | --keep)
        [ $# -ge 2 ] || fail "$1 needs a value; see --help"
        case $1 in
        --orders) orders=$2 ;;
        --rate) rate=$2 ;;
        --keep) folder=$2 ;;
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
[[ $orders =~ ^[1-9][0-9]{0,8}$ ]] || fail "--orders takes a number from 1 to 999999999"
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

me=demo logs=$folder
# shellcheck source=examples/processes.sh
. "$examples/processes.sh"

# The tracing of the demo is configured only here, so variables of the caller must not reach it.
for name in $(compgen -e); do
    case $name in
    OTEL_* | OTLP_* | SERVICE_NAME | SERVICE_VERSION | ENVIRONMENT | ENABLE_TRACING | TRACE_SAMPLE_RATE) unset "$name" ;;
    esac
done

heading "Receiver and engine"
start_process sink "$build/bin/nanospan" sink --listen 127.0.0.1:0 --port-file "$folder/port" \
    --output "$folder/traces.jsonl" --summary "$folder/sink.json"
wait_for "$folder/port" sink
port=$(tr -d '[:space:]' <"$folder/port")
export OTLP_ENDPOINT=http://127.0.0.1:${port##*:} TRACE_SAMPLE_RATE=1.0 OTEL_BSP_SCHEDULE_DELAY=500
echo "receiver: listening on $OTLP_ENDPOINT, process ${pids[sink]}"

# Rings and batches large enough for half a second in which a busy machine does not run the collector, and for
# a slow receiver. With less, some traces would be refused at their root, and counted.
NSP_RING_BYTES=$((8 << 20)) NSP_BATCHES=32 start_process engine "$build/bin/engine" --listen 127.0.0.1:0 \
    --address-file "$folder/address" --drop-copy "$folder/drop_copy.bin" --stats-json "$folder/engine.json" --progress
wait_for "$folder/address" engine
grep '^engine: listening' "$folder/engine.log"

heading "Feed: $orders orders at $rate a second, the first half sampled at 100 %, the second half at 10 %"
good=yes
limit=60
[ "$rate" -eq 0 ] || limit=$((orders / rate + 60))
timeout "$limit" "$build/bin/feed" --file "$examples/orders/orders.csv" --connect "$(cat "$folder/address")" \
    --orders "$orders" --rate "$rate" --sample-rate-at "$((orders / 2)):0.1" --stats-json "$folder/feed.json" \
    2>"$folder/feed.log" || good=no
cat "$folder/feed.log" >&2

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

heading "Files"
(cd "$folder" && du -h --apparent-size -- *)
echo "in $folder"
[ "$good" = yes ] || fail "a check above failed"
echo "demo: all checks passed"
