#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The trading platform: three services and a load driver, their traces, and whether these tell the truth. `./run platform`
# builds what is needed and calls this.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: platform.sh BUILD_DIR [OPTION...]

Starts the AI engine, the execution service and the backend on free ports, drives load into them, takes the AI engine away
for some last requests, stops everything, checks the traces and shows one of each kind.

  --duration S     how long the load lasts, in seconds (default 8)
  --rate R         requests a second (default 150; 0: as fast as answers come)
  --failures F     share of requests that must be refused, from 0 to 1 (default 0.15)
  --serve          leave it running until Ctrl-C, with the addresses printed; nothing is checked then
  --files DIR      keep all files there (default: a temporary folder, removed at the end)

Traces go to a receiver that is started here (nanospan sink); where OTLP_ENDPOINT or one of its OTEL_ relatives is set they go
there instead, for instance to Jaeger:

    OTLP_ENDPOINT=http://localhost:4317 ./run platform --serve

SERVICE_VERSION, ENVIRONMENT, ENABLE_TRACING, OTLP_INSECURE and TRACE_SAMPLE_RATE count; SERVICE_NAME does not, since the
three services have names of their own. Exit code 0 if everything agrees.
TEXT
}

fail() { printf 'platform: %s\n' "$*" >&2; exit 1; }
heading() { printf '\n== %s\n\n' "$*"; }

build='' duration=8 rate=150 failures=0.15 serve='' folder=''
while [ $# -gt 0 ]; do
    case $1 in
    --duration | --rate | --failures | --files)
        [ $# -ge 2 ] || fail "$1 needs a value; see --help"
        case $1 in
        --duration) duration=$2 ;;
        --rate) rate=$2 ;;
        --failures) failures=$2 ;;
        --files) folder=$2 ;;
        esac
        shift 2
        ;;
    --serve) serve=yes; shift ;;
    --help | -h) usage; exit 0 ;;
    -*) fail "there is no option '$1'; see --help" ;;
    *)
        [ -z "$build" ] || fail "takes one build folder; see --help"
        build=$1
        shift
        ;;
    esac
done
[ -n "$build" ] || { usage >&2; exit 2; }
[[ $duration =~ ^[0-9]{1,6}(\.[0-9]+)?$ ]] || fail "--duration takes a number of seconds"
[[ $rate =~ ^[0-9]{1,6}$ ]] || fail "--rate takes a number of requests a second"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
programs=(platform-backend platform-ai-engine platform-execution platform-load nanospan)
for program in "${programs[@]}"; do
    [ -x "$build/bin/$program" ] || fail "$build/bin/$program is not there; ./run build makes it"
done
bin=$(cd "$build/bin" && pwd)
temporary=''
if [ -n "$folder" ]; then
    mkdir -p "$folder"
else
    temporary=$(mktemp -d "${TMPDIR:-/tmp}/nanospan-platform.XXXXXX")
    folder=$temporary
fi
folder=$(cd "$folder" && pwd)
cd "$folder"
rm -f -- *.address *.log *.json *.jsonl shown.txt port {backend,ai-engine,execution}.db{,-wal,-shm}

me=platform logs=$folder
# shellcheck source=examples/processes.sh
. "$here/../processes.sh"
[ -z "$temporary" ] || trap 'kill_all; rm -rf "$temporary"' EXIT

# start NAME OPTION... starts bin/platform-NAME on a free port and sets `url` to where it listens.
start() {
    local name=$1
    shift
    start_process "$name" "$bin/platform-$name" --listen 127.0.0.1:0 --address-file "$name.address" \
        --database "$name.db" --busy-ms 10000 --stats-json "$name.json" "$@"
    wait_for "$name.address" "$name"
    url=http://$(cat "$name.address")
    grep ' listens on ' "$name.log"
}

load() { "$bin/platform-load" --url "$backend" --failures "$failures" "$@"; }

# For Jaeger, its web page is on the same host.
say_where() {
    local endpoint=$1 host
    echo "traces go to $endpoint, which decides what becomes of them"
    host=${endpoint#*://}
    host=${host%%[:/]*}
    case $endpoint in
    *:4317* | *:4318*)
        echo "if that is Jaeger: open http://$host:16686 and look for quantum-backend"
        echo "  (that of ./run jaeger has no pages: http://$host:16686/api/v3/services)"
        ;;
    esac
}

unset SERVICE_NAME OTEL_SERVICE_NAME OTEL_SDK_DISABLED
endpoint=${OTEL_EXPORTER_OTLP_TRACES_ENDPOINT:-${OTEL_EXPORTER_OTLP_ENDPOINT:-${OTLP_ENDPOINT:-}}}
good=yes

heading "Services"
if [ -n "$endpoint" ]; then
    say_where "$endpoint"
else
    # The receiver speaks OTLP/HTTP without TLS; what else is set for another one must not reach it.
    for name in $(compgen -e OTEL_ || true); do unset "$name"; done
    start_process sink "$bin/nanospan" sink --listen 127.0.0.1:0 --port-file port --output traces.jsonl \
        --summary sink.json
    wait_for port sink
    export OTLP_ENDPOINT
    OTLP_ENDPOINT=http://127.0.0.1:$(tr -d '[:space:]' <port)
    echo "nanospan sink: takes traces on $OTLP_ENDPOINT, process ${pids[sink]}"
fi
export OTEL_BSP_SCHEDULE_DELAY=${OTEL_BSP_SCHEDULE_DELAY:-1000}
start ai-engine
ai_engine=$url
start execution
execution=$url
start backend --ai-engine "$ai_engine" --execution "$execution" --timeout-ms 10000
backend=$url
python3 - "$backend" <<'PYTHON' || good=no
import sys, urllib.request
for path in ("/health", "/ready"):
    with urllib.request.urlopen(sys.argv[1] + path, timeout=10) as reply:
        print(f"GET {path}: {reply.status} {reply.read().decode()}")
PYTHON

heading "Load: $duration s, $( ((rate)) && echo "$rate requests a second" || echo "as fast as answers come")"
load --duration "$duration" --rate "$rate" --json load.json || good=no

if [ -n "$serve" ]; then
    interrupted=''
    trap 'interrupted=yes' INT TERM
    heading "Running until Ctrl-C"
    cat <<TEXT
    curl -i $backend/api/signals
    curl -i $backend/api/trades/execute -d '{"user_id": "user-7", "symbol": "BTCUSDT", "amount": 5000}'
    curl $backend/ready
    $bin/platform-load --url $backend
TEXT
    [ -n "$endpoint" ] || echo "    $bin/nanospan view --limit 3 $folder/traces.jsonl"
    [ -z "$endpoint" ] || { echo; say_where "$endpoint"; }
    while [ -z "$interrupted" ] && kill -0 "${pids[backend]}" 2>/dev/null; do
        sleep 0.2 || true
    done
    trap - INT TERM
else
    heading "The AI engine goes away: trades fail, signals are still there"
    stop ai-engine || good=no
    load --requests 10 --trades 0.5 --failures 0 --concurrency 1 --any-answer --quiet --json load-down.json || good=no
fi

heading "The end"
for name in backend execution ai-engine sink; do
    stop "$name" || good=no
done
for name in backend ai-engine execution; do
    sed '0,/ listens on /d' "$name.log"
done
[ -z "$serve" ] || exit 0

heading "Do the traces tell the truth?"
check=(--sample-rate "${TRACE_SAMPLE_RATE:-1.0}")
case ${ENABLE_TRACING:-true} in [Ff]alse | FALSE | no | off | 0) check+=(--no-tracing) ;; esac
python3 "$here/check_platform.py" "$folder" "${check[@]}" || good=no

if [ -s shown.txt ]; then
    while read -r trace what; do
        heading "A request that $what"
        "$bin/nanospan" view --trace "$trace" traces.jsonl || good=no
    done <shown.txt
    heading "All traces"
    "$bin/nanospan" view --summary traces.jsonl || good=no
fi
if [ -n "$endpoint" ]; then
    heading "Where the traces are"
    say_where "$endpoint"
fi
[ -n "$temporary" ] || printf '\nfiles are in %s\n' "$folder"
[ "$good" = yes ] || fail "something above is wrong"
echo
echo "platform: all is well"
