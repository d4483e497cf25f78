#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The trading platform: runs three services and a load driver, shows their traces, and checks that they are
# true. `./run platform` builds what is needed and calls this script.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: platform.sh BUILD_DIR [OPTION...]

Starts the AI engine, the execution service and the backend on free ports, sends load to them, stops the AI
engine before some last requests, stops everything, checks the traces, and shows one trace of each kind.

  --duration S     duration of the load in seconds (default 8)
  --rate R         requests a second (default 150; 0: as fast as the answers come)
  --failures F     share of requests that must be refused, from 0 to 1 (default 0.15)
  --web HOST:PORT  let the receiver serve a live page (nanospan sink --web), and print its address; a port alone is
                   one of 127.0.0.1
  --serve          keep it running until Ctrl-C, and print the addresses; nothing is checked then
  --files DIR      keep all files in this folder (default: a temporary folder, removed at the end)

The traces go to a receiver that this script starts (nanospan sink), and at the end into a page that a browser
opens: page.html beside the other files, or in a temporary folder of its own, which stays. If OTLP_ENDPOINT or one
of the OTEL_ variables for an endpoint is set, they go to that endpoint instead, for instance to Jaeger:

    OTLP_ENDPOINT=http://localhost:4317 ./run platform --serve

SERVICE_VERSION, ENVIRONMENT, ENABLE_TRACING, OTLP_INSECURE and TRACE_SAMPLE_RATE take effect; SERVICE_NAME
does not, because each of the three services has its own name. The exit code is 0 if everything agrees.
TEXT
}

fail() { printf 'platform: %s\n' "$*" >&2; exit 1; }
heading() { printf '\n== %s\n\n' "$*"; }

build='' duration=8 rate=150 failures=0.15 serve='' folder='' web=()
while [ $# -gt 0 ]; do
    case $1 in
    --duration | --rate | --failures | --files | --web)
        [ $# -ge 2 ] || fail "$1 needs a value; see --help"
        case $1 in
        --duration) duration=$2 ;;
        --rate) rate=$2 ;;
        --failures) failures=$2 ;;
        --files) folder=$2 ;;
        --web) web=(--web "$2" --web-url-file live_page) ;;
        esac
        shift 2
        ;;
    --serve) serve=yes; shift ;;
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
[[ $duration =~ ^[0-9]{1,6}(\.[0-9]+)?$ ]] || fail "--duration takes a number of seconds"
[[ $rate =~ ^[0-9]{1,6}$ ]] || fail "--rate takes a whole number of requests a second"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
programs=(platform-backend platform-ai-engine platform-execution platform-load nanospan)
for program in "${programs[@]}"; do
    [ -x "$build/bin/$program" ] || fail "$build/bin/$program does not exist; ./run build builds it"
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
rm -f -- *.address *.log *.json *.jsonl shown.txt port live_page page.html {backend,ai-engine,execution}.db{,-wal,-shm}

me=platform logs=$folder
# shellcheck source=examples/processes.sh
. "$here/../processes.sh"
[ -z "$temporary" ] || trap 'kill_all; rm -rf "$temporary"' EXIT

# start NAME OPTION... starts bin/platform-NAME on a free port and sets `url` to its address.
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

# If the endpoint is Jaeger, its web page is on the same host.
say_where() {
    local endpoint=$1 host
    echo "traces go to $endpoint"
    host=${endpoint#*://}
    host=${host%%[:/]*}
    case $endpoint in
    *:4317* | *:4318*)
        echo "if that is Jaeger: open http://$host:16686 and look for the service quantum-backend"
        echo "  (the Jaeger of ./run jaeger has no web pages; see http://$host:16686/api/v3/services instead)"
        ;;
    esac
}

unset SERVICE_NAME OTEL_SERVICE_NAME OTEL_SDK_DISABLED
endpoint=${OTEL_EXPORTER_OTLP_TRACES_ENDPOINT:-${OTEL_EXPORTER_OTLP_ENDPOINT:-${OTLP_ENDPOINT:-}}}
good=yes
[ -z "$endpoint" ] || [ ${#web[@]} -eq 0 ] || fail "--web needs the receiver of this script, but the traces go to $endpoint"

# Writes the page of all traces that the receiver has, if there are any.
write_page() {
    [ -s traces.jsonl ] || return 0
    local place=$folder
    [ -z "$temporary" ] || place=$(mktemp -d "${TMPDIR:-/tmp}/nanospan-platform-page.XXXXXX")
    heading "The page of these traces (nanospan view --html)"
    # The page has a bound; if there are very many, it gets the slowest ones.
    "$bin/nanospan" view --html "$place/page.html" --limit 400000 traces.jsonl
}

heading "Services"
if [ -n "$endpoint" ]; then
    say_where "$endpoint"
else
    # The receiver speaks OTLP/HTTP without TLS, so variables that were set for another one must not take
    # effect.
    for name in $(compgen -e OTEL_ || true); do unset "$name"; done
    start_process sink "$bin/nanospan" sink --listen 127.0.0.1:0 --port-file port --output traces.jsonl \
        --summary sink.json ${web[@]+"${web[@]}"}
    wait_for port sink
    export OTLP_ENDPOINT
    OTLP_ENDPOINT=http://127.0.0.1:$(tr -d '[:space:]' <port)
    echo "receiver: listening on $OTLP_ENDPOINT, process ${pids[sink]}"
    [ ${#web[@]} -eq 0 ] || say_live_page live_page
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

heading "Load: $duration s, $( ((rate)) && echo "$rate requests a second" || echo "as fast as the answers come")"
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
    heading "Without the AI engine: trades fail, signals can still be read"
    stop ai-engine || good=no
    load --requests 10 --trades 0.5 --failures 0 --concurrency 1 --any-answer --quiet --json load-down.json || good=no
fi

heading "Shutdown"
for name in backend execution ai-engine sink; do
    stop "$name" || good=no
done
for name in backend ai-engine execution; do
    sed '0,/ listens on /d' "$name.log"
done
if [ -n "$serve" ]; then
    write_page
    exit 0
fi

heading "Are the traces true?"
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
write_page || good=no
if [ -n "$endpoint" ]; then
    heading "Where the traces are"
    say_where "$endpoint"
fi
[ -n "$temporary" ] || printf '\nthe files are in %s\n' "$folder"
[ "$good" = yes ] || fail "a check above failed"
echo
echo "platform: all checks passed"
