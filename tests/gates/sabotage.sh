#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks that the gates fail when they should. It builds nanospan-bench with one deliberate fault of the hot
# path at a time (sabotage.h) and runs the gates on it. Those that should notice must turn red and say why;
# the others must stay green. One or two sources are recompiled for each fault; the sources themselves are not
# changed.
#
#     sabotage.sh BUILD [KIND...]
#
# BUILD: made by ninja.
# shellcheck disable=SC2317 # at_once calls functions
set -euo pipefail
shopt -s extglob
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "${1:?usage: sabotage.sh BUILD [KIND...]}" && pwd)
shift
setting() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
case $(uname -m)/$(setting CMAKE_GENERATOR)/$(setting CMAKE_BUILD_TYPE)/$(setting NSP_SANITIZE) in
x86_64/Ninja/RelWithDebInfo/ | x86_64/Ninja/Release/) ;;
*)
    echo "sabotage: skipped: this needs an optimised x86-64 build by ninja without sanitizers"
    exit 0
    ;;
esac

# KIND GATE COLOUR [COMPLAINT]. Combinations without a line are not checked: ratios may or may not notice a
# fence or a locked operation, and how many instructions the other faults take depends on the compiler.
expected='
nothing      fences        green
nothing      instructions  green
nothing      zero          green
nothing      ratios        green
nothing      touched       green
nothing      decision      green
fence        fences        red    mfence
fence        instructions  green
fence        zero          green
locked       fences        red    lock
locked       instructions  green
locked       zero          green
path_locked  fences        red    nsp__path_end_on.*FAIL
path_locked  instructions  green
path_locked  zero          green
path_allocation fences     green
path_allocation instructions red  path6.*FAIL: \+
path_allocation zero       red    FAIL.*zero_path6.*allocations_count
allocation   fences        green
allocation   instructions  red    span3.*FAIL: \+
allocation   zero          red    FAIL.*allocations_count
system_call  fences        red    syscall
system_call  instructions  green
system_call  zero          red    FAIL.*system_calls_count
fault        fences        green
fault        zero          red    FAIL.*page_faults_count
page         fences        green
page         instructions  green
page         zero          green
page         touched       red    span3.*FAIL: 1 more data pages
wait         fences        green
wait         zero          red    FAIL.*voluntary_switches_count
setter       fences        green
setter       instructions  red    span3.*FAIL: \+2
setter       zero          green
decision     fences        green
decision     instructions  green
decision     zero          green
decision     decision      red    FAIL: \+
slow         fences        green
slow         zero          green
slow         ratios        red    FAIL: span3
'

kinds=("$@")
[ $# -gt 0 ] || mapfile -t kinds < <(awk 'NF && !seen[$1]++ { print $1 }' <<<"$expected")

all=$(mktemp -d)
trap 'rm -rf "$all"' EXIT
ninja -C "$build" -t commands bin/nanospan-bench >"$all/commands"
ninja -C "$build" -t commands libnanospan-core.so >"$all/library_commands"

# in_folder KIND: from here on, what is built has a folder of its own, which the gates take for a build.
in_folder() {
    work=$all/$1
    mkdir -p "$work/bin"
    cp "$build/CMakeCache.txt" "$work"
}

# The commands below are ninja's, already quoted for a shell: they are for eval, which also expands the variables
# that are put into them, so that any folder may have a space in its name. Their objects and outputs have relative
# names without spaces.
# shellcheck disable=SC2016 # eval expands them
own_hot_path='"$work/begin.o" "$work/end.o" "$work/path.o"' own_bench='"$work/bin/nanospan-bench"' own_library='"$work/$soname"'

# compile SOURCE OBJECT KIND: compiles like the build, with sabotage.h included first.
compile() {
    # shellcheck disable=SC2034 # eval expands it
    local command object=$2
    # shellcheck disable=SC2016 # eval expands them
    command=$(grep -m 1 -E -- " -c .*/$1[\"']?\$" "$all/commands" |
        sed -E -e 's/ -MD -MT [^ ]+ -MF [^ ]+//' -e 's| -o [^ ]+| -o "$work/$object"|')
    [ -n "$command" ] || { echo "sabotage: the build does not compile $1" >&2; exit 2; }
    (cd "$build" && eval "$command -DSABOTAGE_$3 -include \"\$here/sabotage.h\"")
}

# Recompiles what is needed: the call sites for a setter, the ends of ruled roots for a decision, otherwise the
# library's hot path. The new objects
# are linked before the library, so their functions are used.
make_bench() {
    local link
    link=$(sed -n '$p' "$all/commands")
    if [ "$1" = setter ]; then
        compile bench/hot_path/operations.c operations.o "$1"
        # shellcheck disable=SC2016 # eval expands it
        link=$(sed -E 's| [^ ]*bench/hot_path/operations\.c\.o| "$work/operations.o"|' <<<"$link")
    elif [ "$1" = decision ]; then
        compile core/trace/speculation.c speculation.o "$1"
        # shellcheck disable=SC2016 # eval expands it
        link=${link/ -o / '"$work/speculation.o"' -o }
    else
        compile core/trace/begin_fast.c begin.o "$1"
        compile core/trace/end_fast.c end.o "$1"
        compile core/trace/path_fast.c path.o "$1"
        link=${link/ -o / $own_hot_path -o }
    fi
    (cd "$build" && eval "${link/-o bin\/nanospan-bench/-o $own_bench}")
}

# The shared library of the objects that make_bench has compiled.
make_library() {
    local link soname
    # shellcheck disable=SC2016 # eval expands them
    link=$(sed -nE \
        -e 's| [^ ]*core/trace/begin_fast\.c\.o| "$work/begin.o"|' \
        -e 's| [^ ]*core/trace/end_fast\.c\.o| "$work/end.o"|' \
        -e 's| [^ ]*core/trace/path_fast\.c\.o| "$work/path.o"|' -e '/-soname,libnanospan-core\./p' "$all/library_commands")
    # shellcheck disable=SC2034 # eval expands it
    soname=$(sed -E 's/.*-soname,([^ ]+).*/\1/' <<<"$link")
    (cd "$build" && eval "${link/ -o libnanospan-core.so*([! ])/ -o $own_library}")
    cp "$build/bin/nanospan-touched" "$work/bin"
}

# run_gate GATE [--update]
run_gate() {
    case $1 in
    instructions) bash "$here/instructions.sh" "$work" --allowed "$all/allowed" "${@:2}" span0 span3 unsampled3 path6 ;;
    zero) bash "$here/zero.sh" "$work" span0 span3 unsampled3 path6 ;;
    ratios) bash "$here/ratios.sh" "$work" span3 ;;
    touched) make_library && bash "$here/touched.sh" "$work" --allowed "$all/touched" "${@:2}" ;;
    fences) bash "$here/fences.sh" "$work" ;;
    decision) bash "$here/decision.sh" "$work" ;;
    esac
}

# check_gates KIND GATE...: runs those of these gates that the kind has lines for. False if one is not as expected.
check_gates() {
    local kind=$1 failed=0 gate colour complaint code is word said
    shift
    while read -r _ gate colour complaint; do
        [[ " $* " = *" $gate "* ]] || continue
        code=0
        run_gate "$gate" >"$work/log" 2>&1 || code=$?
        case $code in 0) is=green ;; 1) is=red ;; *) is=broken ;; esac
        word=ok
        if grep -q 'NOT JUDGED' "$work/log"; then
            word="not judged: $(grep -m 1 'NOT JUDGED' "$work/log")"
        elif [ "$is" != "$colour" ]; then
            word="FAIL: expected $colour"
        elif [ -n "$complaint" ] && ! grep -qE -- "$complaint" "$work/log"; then
            word="FAIL: its message does not match: $complaint"
        fi
        said=''
        [ "$is" != red ] || said=$(grep -m 1 -E -- "${complaint:-FAIL}" "$work/log" | tr -s ' \t' ' ' | cut -c 1-90 || true)
        printf '%-12s %-13s %-6s %s%s\n' "$kind" "$gate" "$is" "$word" "${said:+: $said}"
        case $word in
        FAIL*)
            sed 's/^/    /' "$work/log"
            failed=1
            ;;
        esac
    done < <(grep "^$kind " <<<"$expected")
    return "$failed"
}

# at_once COMMAND...: runs it in the background, as soon as a processor has nothing else to do. Its output and, if it
# succeeds, a file that says so are named after it.
at_once() {
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
    ("$@"; : >"$all/$*.succeeded") >"$all/$*.output" 2>&1 &
}
# outcome COMMAND...: shows the output; false if the command failed.
outcome() { cat "$all/$*.output" && [ -e "$all/$*.succeeded" ]; }

for kind in "${kinds[@]}"; do
    grep -q "^$kind " <<<"$expected" || { echo "sabotage: unknown kind $kind" >&2; exit 2; }
done

# Instructions and what is touched are compared with those that the same compiler makes of the unchanged sources.
unchanged() {
    in_folder "unchanged_$1"
    make_bench nothing
    run_gate "$1" --update
}
echo '# for sabotage.sh' | tee "$all/allowed" >"$all/touched"
at_once unchanged instructions
at_once unchanged touched
wait
for gate in instructions touched; do
    outcome unchanged $gate >"$all/log" || { cat "$all/log"; exit 1; }
done

# Gates that count may run beside each other; the one that measures time runs alone.
counted() {
    in_folder "$1"
    make_bench "$1"
    check_gates "$1" decision fences instructions zero touched
}
for kind in "${kinds[@]}"; do
    at_once counted "$kind"
done
wait
failed=0
for kind in "${kinds[@]}"; do
    outcome counted "$kind" || failed=1
done
for kind in "${kinds[@]}"; do
    in_folder "$kind"
    check_gates "$kind" ratios || failed=1
done
exit "$failed"
