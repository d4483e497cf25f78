# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Starts and stops the processes of a demonstration, by name; sourced by demo.sh and platform.sh. The caller
# provides its name in `me`, a folder for the files NAME.log in `logs`, and a function `fail`.
: "${me:?}" "${logs:?}"

declare -A pids=()

# Ends everything that was started here, however the script ends.
kill_all() {
    local name
    for name in "${!pids[@]}"; do
        kill -KILL "${pids[$name]}" 2>/dev/null || true
    done
}
trap kill_all EXIT

# start_process NAME COMMAND... starts the command in a session of its own, so that Ctrl-C reaches only the
# script, which then stops the processes in order. Its standard input is the file `$input`, or nothing.
start_process() {
    local name=$1
    shift
    setsid "$@" >"$logs/$name.log" 2>&1 <"${input:-/dev/null}" &
    pids[$name]=$!
}

# wait_for FILE NAME: waits until the process has written the file, up to 60 seconds.
wait_for() {
    local until=$((SECONDS + 60))
    while [ "$SECONDS" -lt "$until" ]; do
        [ -s "$1" ] && return 0
        kill -0 "${pids[$2]}" 2>/dev/null || break
        sleep 0.02
    done
    cat "$logs/$2.log" >&2
    fail "$2 did not start"
}

# stop NAME: asks the process to end, waits up to 60 seconds, and returns its exit code. 0 if there is no such
# process.
stop() {
    local until=$((SECONDS + 60)) result=0 pid=${pids[$1]:-}
    [ -n "$pid" ] || return 0
    kill -TERM "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null && [ "$SECONDS" -lt "$until" ]; do
        sleep 0.02
    done
    if kill -0 "$pid" 2>/dev/null; then
        printf '%s: %s did not stop within 60 seconds\n' "$me" "$1" >&2
        return 1
    fi
    unset "pids[$1]"
    wait "$pid" || result=$?
    [ "$result" -eq 0 ] || printf '%s: %s ended with exit code %s; its log is %s\n' "$me" "$1" "$result" "$logs/$1.log" >&2
    return "$result"
}

# wait_for_line NAME SECONDS TEXT: waits until the process has written a line with this text into its log.
# False if it ends without, or does not do so in time.
wait_for_line() {
    local until=$((SECONDS + $2))
    until grep -q -e "$3" "$logs/$1.log"; do
        kill -0 "${pids[$1]}" 2>/dev/null && [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.02
    done
}

# wait_for_end NAME SECONDS: waits until the process has ended by itself, and returns its exit code. Kills it if it
# takes longer.
wait_for_end() {
    local result=0 until=$((SECONDS + $2))
    while kill -0 "${pids[$1]}" 2>/dev/null; do
        if [ "$SECONDS" -ge "$until" ]; then
            printf '%s: %s did not end within %s seconds\n' "$me" "$1" "$2" >&2
            kill_now "$1"
            return 1
        fi
        sleep 0.02
    done
    wait "${pids[$1]}" || result=$?
    unset "pids[$1]"
    return "$result"
}

# say_live_page FILE: prints the address of the live page, which `sink` has written there, and what it warns of.
say_live_page() {
    echo "live page: $(cat "$1")"
    grep 'warning: the live page' "$logs/sink.log" || true
    rm -f "$1"
}

# kill_now NAME: ends the process as a crash would, so that it cannot do anything more.
kill_now() {
    kill -KILL "${pids[$1]}" 2>/dev/null || true
    wait "${pids[$1]}" 2>/dev/null || true
    unset "pids[$1]"
}
