# Completion of beamctl, beamd, beamload and beamlab for bash. The words come from each program's own --help, which is made
# from the table that parses its command line, so that they cannot differ from what the program takes.

# Commands of a program: the first words of the lines that begin with two blanks and a letter.
_beam_commands() {
  "$1" --help 2>/dev/null | sed -n 's/^  \([a-z][a-z0-9-]*\)\( .*\)\{0,1\}$/\1/p' | sort -u
}

# Options of a program, or of one of its commands.
_beam_options() {
  "$1" ${2:+"$2"} --help 2>/dev/null | grep -oE -- '--[a-z][a-z0-9-]*' | sort -u
}

# The value that an option takes, as its help names it: FILE, MS, a|b|c, or nothing.
_beam_value() {
  "$1" ${2:+"$2"} --help 2>/dev/null | sed -n "s/^ *\(\[*\)$3 \([A-Z][A-Z]*\|[a-z0-9|.-]*|[a-z0-9|.-]*\)\( .*\|\].*\)\{0,1\}\$/\2/p" | head -n 1
}

# Clusters of the running daemon, with the connection options that are on the command line already.
_beamctl_clusters() {
  local connection=() k
  for ((k = 1; k < COMP_CWORD; k++)); do
    case ${COMP_WORDS[k]} in
      --runtime-dir | --control | --curve-*) connection+=("${COMP_WORDS[k]}" "${COMP_WORDS[k + 1]}") ;;
    esac
  done
  "$1" --timeout 300 "${connection[@]}" clusters 2>/dev/null | sed -n '2,$s/ .*//p'
}

# Forms of a beamctl command: the second words of its lines.
_beamctl_forms() {
  "$1" "$2" --help 2>/dev/null | sed -n "s/^  $2 \[*\([a-z][a-z]*\).*/\1/p" | sort -u
}

_beam_offer() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

# The first word that is neither an option nor an option's value; its place goes to $at.
_beam_find_command() {
  local k word
  command='' at=0
  for ((k = 1; k < COMP_CWORD; k++)); do
    word=${COMP_WORDS[k]}
    if [[ $word == -* ]]; then
      [[ -n $(_beam_value "$1" '' "$word") ]] && ((k++))
    else
      command=$word at=$k
      return
    fi
  done
}

# Values and options that all programs share; status 1: neither was asked for.
_beam_common() {
  local program=$1 command=$2 current=$3 previous=$4 value=''
  [[ $previous == --* ]] && value=$(_beam_value "$program" "$command" "$previous")
  case $value in
    '') ;;
    *'|'*)
      _beam_offer "${value//|/ }" "$current"
      return 0
      ;;
    DIR)
      mapfile -t COMPREPLY < <(compgen -d -- "$current")
      return 0
      ;;
    FILE | TEXT | PATH)
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return 0
      ;;
    *) return 0 ;; # a number or a name: nothing to offer
  esac
  if [[ $current == -* ]]; then
    _beam_offer "$(_beam_options "$program" "$command")" "$current"
    return 0
  fi
  return 1
}

_beamctl() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command at
  COMPREPLY=()
  if [[ $current == : || $previous == : ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "${current#:}")
    return
  fi
  _beam_find_command "$1"
  case $previous in
    --curve-*-key) # readline parts words at colons: the path is completed as a word of its own
      compopt -o nospace 2>/dev/null
      _beam_offer file: "$current"
      return
      ;;
    --sort)
      _beam_offer 'id rate latency missed wsr rms age' "$current"
      return
      ;;
  esac
  _beam_common "$1" "$command" "$current" "$previous" && return
  if [[ -z $command ]]; then
    _beam_offer "$(_beam_commands "$1")" "$current"
    return
  fi
  case $command:$((COMP_CWORD - at)):${COMP_WORDS[at + 1]} in
    preference:1:* | config:1:* | model:1:*) _beam_offer "$(_beamctl_forms "$1" "$command")" "$current" ;;
    log-level:1:*) _beam_offer 'err warning notice info debug' "$current" ;;
    status:1:* | front:1:* | watch:* | preference:2:*) _beam_offer "$(_beamctl_clusters "$1")" "$current" ;;
    config:2:get) _beam_offer "$("$1" --timeout 300 config get 2>/dev/null | sed -n 's/^\([a-z_]*\) *= .*/\1/p')" "$current" ;;
    model:2:reload) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
  esac
}

# beamd has no commands; a setting is KEY=VALUE.
_beamd() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  case $previous in
    --set)
      compopt -o nospace 2>/dev/null
      _beam_offer "$("$1" --dump-config 2>/dev/null | sed -n 's/^\([a-z_]*\) = .*/\1=/p')" "$current"
      return
      ;;
    --config | --check-config)
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
      ;;
    --runtime-dir)
      mapfile -t COMPREPLY < <(compgen -d -- "$current")
      return
      ;;
  esac
  _beam_offer "$(_beam_options "$1")" "$current"
}

# beamload and beamlab: a command, then its options and files.
_beam_tool() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command at
  COMPREPLY=()
  _beam_find_command "$1"
  _beam_common "$1" "$command" "$current" "$previous" && return
  if [[ -z $command ]]; then
    _beam_offer "$(_beam_commands "$1")" "$current"
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}

complete -F _beamctl beamctl
complete -F _beamd beamd
complete -F _beam_tool beamload beamlab
