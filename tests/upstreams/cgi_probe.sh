#!/bin/sh
# Plays a play (play.ts) as a CGI program.
set -f
for step in ${PLAY:-$HTTP_X_PLAY}; do
  value=${step#*=}
  case $step in
    say=*) printf %b "$value" ;;
    log=*) printf '%b\n' "$value" >&2 ;;
    wait=*) sleep "$value" ;;
    fill=*) yes 0123456789abcdef | head -c "$value" ;;
    flood=*)
      while [ "$value" -gt 0 ]; do
        head -c 1048576 /dev/zero || exit 1
        printf . >>"$PROGRESS"
        value=$((value - 1))
      done
      ;;
    mark=*) printf '%s\n' "$value" >>"$PROGRESS" ;;
    exit=*) exit "$value" ;;
    echo) cat ;;
    measure) sha256sum | cut -d ' ' -f 1 | tr -d '\n' ;;
    # What env(1) prints has passed through the shell.
    environ) cat "/proc/$$/environ" ;;
    die) kill -KILL $$ ;;
    hang) exec sleep 60 ;;
    *) printf 'no such step: %s\n' "$step" >&2 && exit 64 ;;
  esac
done
