# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Bash's completion for the command nanospan. Subcommands, options and what a word stands for come from --help, so that
# they are those of the command that is being typed; engines come from their sessions in shared memory. It needs nothing
# but bash, and is installed where bash-completion finds it. To try it: source nanospan.sh

# _nanospan_offer WORD...: those that begin with what has been typed. compgen -W would evaluate what is in them.
_nanospan_offer() {
    local word
    for word; do
        if [[ $word == "$typed"* ]]; then COMPREPLY+=("$word"); fi
    done
}

# _nanospan_help [SUBCOMMAND]: what the command says, with one line for each option.
_nanospan_help() {
    local program=$program
    type -t "$program" >/dev/null || program=nanospan # ~/nanospan, as it is typed, is no program
    ARGP_HELP_FMT=rmargin=30000 "$program" "$@" --help 2>/dev/null </dev/null
}

# Offers the names of this user's engines that have a session, and their process ids.
_nanospan_sessions() {
    local folder=${NSP_SHM_DIR:-/dev/shm} word number session name
    for ((number = 2; number < COMP_CWORD; number++)); do
        word=${COMP_WORDS[number]}
        if [[ $word == --shm-dir && ${COMP_WORDS[number + 1]} == "=" ]]; then
            folder=${COMP_WORDS[number + 2]}
        elif [[ $word == --shm-dir ]]; then
            folder=${COMP_WORDS[number + 1]}
        fi
    done
    while IFS= read -r session; do # not by a pattern: failglob would say that there is none
        name=${session##*/}
        # NAME.PID.RANDOM. Nothing that the shell would evaluate when the line is entered.
        if [[ -d $session && $name =~ ^([A-Za-z0-9_-]+)\.([0-9]+)\.[^.]+$ ]]; then
            _nanospan_offer "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
        fi
    done < <(compgen -A directory -- "$folder/nanospan-$EUID/")
}

# Offers the processes of this user.
_nanospan_processes() {
    local process
    for process in /proc/[0-9]*; do
        if [[ -O $process ]]; then _nanospan_offer "${process##*/}"; fi
    done
}

# _nanospan_paths KIND: files or directories. Readline marks directories, and quotes blanks.
_nanospan_paths() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -A "$1" -- "$typed")
}

# _nanospan_value MEANING [OPTION]: offers values for what --help calls MEANING.
_nanospan_value() {
    case "$command ${2-} $1" in
    *" --color "*) _nanospan_offer always never auto ;;
    *" --in-doubt "*) _nanospan_offer send skip ;;
    *" --parent "*) _nanospan_offer follow decide ;;
    "view --sort "*) _nanospan_offer slowest start ;;
    "top --sort "*) _nanospan_offer spans lost ring lag answer service pid ;;
    *" FILE" | *" PAGE" | *" OTHER") _nanospan_paths file ;;
    *" FOLDER") _nanospan_paths directory ;;
    *" PID") _nanospan_processes ;;
    *" SESSION") _nanospan_sessions ;;
    esac
}

# Completes the word that is being typed, after a subcommand.
_nanospan_argument() {
    local line usage='' short long value option='' before=$previous
    local -a options=() takes=()
    # --option=value is three words.
    if [[ $typed == "=" ]]; then
        typed=''
        option=$before
    elif [[ $before == "=" ]]; then
        option=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    while IFS= read -r line; do
        if [[ $line == "Usage: "* ]]; then
            usage=${line#Usage: nanospan "$command" }
        elif [[ $line =~ ^\ +((-[^ ]),\ )?(--[a-z-]+)(=([^ ]+))?(\ |$) ]]; then
            short=${BASH_REMATCH[2]} long=${BASH_REMATCH[3]} value=${BASH_REMATCH[5]}
            options+=("$long${value:+=}")
            if [[ -n $value && ($option == "$long" || -z $option && ($before == "$long" || $before == "$short")) ]]; then
                takes=("$value" "$long")
            fi
        fi
    done < <(_nanospan_help "$command")
    if [ ${#takes[@]} -gt 0 ]; then
        _nanospan_value "${takes[@]}"
    elif [[ -n $option ]]; then
        return # an option that takes no value, or a rule: PATTERN=RATE
    elif [[ $typed == -* ]]; then
        _nanospan_offer "${options[@]}"
        if [[ ${COMPREPLY[0]-} == *= ]]; then compopt -o nospace 2>/dev/null; fi
    elif [[ $usage =~ (FILE|SESSION) ]]; then
        _nanospan_value "${BASH_REMATCH[1]}"
    fi
}

_nanospan() {
    local program=$1 typed=$2 previous=$3 command=${COMP_WORDS[1]} line
    local -a commands=()
    typed=${COMP_WORDS[COMP_CWORD]} # readline would leave out the "=" of --option=
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ] || [[ $COMP_CWORD -eq 2 && $command == help ]]; then
        while IFS= read -r line; do
            if [[ $line =~ ^\ \ ([a-z]+)\  ]]; then commands+=("${BASH_REMATCH[1]}"); fi
        done < <(_nanospan_help)
        [ "$COMP_CWORD" -eq 2 ] || commands+=(help --help --version)
        _nanospan_offer "${commands[@]}"
    elif [[ $command != help ]]; then
        _nanospan_argument
    fi
}
complete -F _nanospan nanospan
