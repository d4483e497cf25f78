#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the commands that README.md begins with in a new Debian 12, as somebody who has just cloned this repository.
# `./run fresh` starts it; `fresh.sh --help` explains its use.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=$(cd "$here/../.." && pwd)

SPACE=8000 # MB, most of it for the packages and the builds with sanitizers
LOGS=$source/build/fresh

usage() {
    cat <<TEXT
usage: ./run fresh [--quick] [--renew] [COMMAND...]

Makes a new Debian 12 with sudo, git and nothing else, clones this repository into the folder nanospan of an
ordinary user's home, and runs there what README.md says under "Try it": $(commands | sed 's/$/,/' | tr '\n' ' ' | sed 's/, $//')
It takes about an hour, and $((SPACE / 1000)) GB below ~/.cache, which are free again when it ends.

  --quick      run \`./run test\` without sanitizers; half an hour
  --renew      let debootstrap make the Debian anew, which otherwise happens after two weeks
  COMMAND...   run these shell commands instead, each one argument, for instance './run check format'

What is cloned is the last commit; changes that are not committed are not tested. Output goes to build/fresh/, and a
summary comes at the end. The exit code is 0 if each command's was.

Making a Debian needs root: as another user, this calls sudo. tools/debian/system.sh --help says what is taken over
from this machine, and what is shared with it.
TEXT
}

say() { printf 'fresh: %s\n' "$*"; }
fail() { say "$@" >&2; exit 2; }

# The commands that README.md shows first.
commands() { sed -n '/^## Try it/,/^## [^T]/s/^    \(\.\/run [a-z]*\)  .*/\1/p' "$source/README.md"; }

quick='' options=() commands=()
while [ $# -gt 0 ]; do
    case $1 in
    --help | -h) usage; exit 0 ;;
    --quick) quick=1 ;;
    --renew) options+=(--renew) ;;
    -*) fail "there is no option '$1'; see ./run fresh --help" ;;
    *) commands+=("$1") ;;
    esac
    shift
done
if [ ${#commands[@]} -eq 0 ]; then
    mapfile -t commands < <(commands)
    [ ${#commands[@]} -ge 2 ] || fail "README.md does not show its commands where they are looked for, under 'Try it'"
    [ -z "$quick" ] || commands=("${commands[@]/%.\/run test/.\/run test --quick}")
elif [ -n "$quick" ]; then
    fail "--quick is about README.md's commands, and others are given; see ./run fresh --help"
fi

# What the new user does, with a tar of the clone as input. A line that begins with the mark is for this script.
# shellcheck disable=SC2016 # it is a program for another shell
USER_DOES='
mark=$1
shift
tar -xf - || exit 125
cd nanospan || exit 125
before=$(apt-mark showmanual)
failed=0
for command; do
    echo "$mark begin $(printf %s "$command" | tr "\n" " ")"
    start=$SECONDS result=0
    bash -c "$command" </dev/null 2>&1 || result=$?
    [ "$result" -eq 0 ] || failed=1
    echo "$mark end $result $((SECONDS - start))"
done
echo "$mark packages $(apt-mark showmanual | grep -vxF "$before" | tr "\n" " ")"
exit $failed
'

# sort_output MARK: shows all of it, writes that of each command to a log of its own, and the rest into summary.
sort_output() {
    local mark=$1 line number=0 log=$LOGS/system.log what command=''
    : >"$log"
    while IFS= read -r line || [ -n "$line" ]; do
        if [[ $line != "$mark "* ]]; then
            printf '%s\n' "$line"
            printf '%s\n' "$line" >>"$log"
            continue
        fi
        line=${line#"$mark "}
        what=${line#* }
        case $line in
        begin*)
            number=$((number + 1))
            log=$LOGS/$number-$(tr -cs 'a-z0-9\n' - <<<"$what" | sed 's/^-//; s/-*$//' | cut -c 1-40).log
            : >"$log"
            command=$what
            summary+=("$(printf '%-24s did not end' "$what")")
            printf '\n'
            say "$what"
            ;;
        end*)
            # shellcheck disable=SC2086 # two numbers
            set -- $what
            [ "$1" -eq 0 ] && line='passed' || line="failed (exit code $1)"
            summary[-1]=$(printf '%-24s %s, %d min %02d s   %s' "$command" "$line" $(($2 / 60)) $(($2 % 60)) "${log#"$source/"}")
            ;;
        packages*) packages=$what ;;
        esac
    done
}

rm -rf "$LOGS"
mkdir -p "$LOGS"
work=$(mktemp -d "$LOGS/clone.XXXXXX")
trap 'rm -rf "$work"' EXIT
if [ -e "$source/.git" ]; then
    # Root may run this in somebody else's clone, which git would refuse to read. Who runs it trusts these sources anyway.
    printf '[safe]\n\tdirectory = *\n' >"$work/trust"
    changes=$(git -c safe.directory='*' -C "$source" status --porcelain)
    [ -z "$changes" ] || say "there are changes that are not committed; the last commit is tested, without them"
    GIT_CONFIG_GLOBAL=$work/trust git clone -q --no-local "$source" "$work/nanospan"
    what="commit $(GIT_CONFIG_GLOBAL=$work/trust git -C "$work/nanospan" rev-parse --short HEAD)"
else
    say "this is no clone, so a copy of its files is tested"
    mkdir "$work/nanospan"
    tar -C "$source" --exclude=./build -cf - . | tar -C "$work/nanospan" -xf -
    what="a copy of $source"
fi

mark="fresh-$$-$RANDOM" summary=() packages='' interrupted='' start=$SECONDS
say "testing $what in a new Debian 12: $(printf '%s, ' "${commands[@]}" | sed 's/, $//')"
{ # bash reads this to its end first, so that this file may change while the commands run
    # sort_output runs in this shell, for what it notes in variables. An interrupt ends the system, and then what is read from it.
    shopt -s lastpipe
    trap 'interrupted=1' INT
    set +e
    tar -C "$work" --owner=0 --group=0 -cf - nanospan |
        "$here/system.sh" "${options[@]}" --space "$SPACE" --user user -- bash -c "$USER_DOES" - "$mark" "${commands[@]}" 2>&1 |
        sort_output "$mark"
    result=${PIPESTATUS[1]}
    set -e
    [ -z "$interrupted" ] || result=130

    echo
    printf 'fresh: %s\n' "$what in a new Debian 12, $(((SECONDS - start) / 60)) minutes, in a home directory of a user with sudo:" \
        "${summary[@]}"
    [ -z "$packages" ] || printf 'fresh: installed by apt: %s\n' "$packages" | fold -s -w 110
    [ "$result" -eq 0 ] || [ ${#summary[@]} -gt 0 ] || say "the commands could not be run"
    exit "$result"
}
