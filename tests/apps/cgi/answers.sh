#!/bin/sh
# One answer for each PATH_INFO.
case "$PATH_INFO" in
/found) printf 'Location: http://example.org/new\n\n' ;;
/document) printf 'Status: 301 Moved\nLocation: http://example.org/new\nContent-Type: text/plain\n\nmoved' ;;
/local) printf 'Location: /cgi/environ.sh/from/local?a=b\n\n' ;;
/status) printf 'Status: 418 Short and stout\nContent-Type: text/plain\n\nteapot' ;;
/stderr) echo "told to standard error" >&2; printf 'Content-Type: text/plain\n\nanswered' ;;
/fails) printf 'Content-Type: text/plain\n\nwhole all the same'; exit 3 ;;
/nothing) echo "gave up early" >&2; exit 7 ;;
/garbage) printf 'this is no header\n\nbody' ;;
/ignores) printf 'Content-Type: text/plain\n\nwhat body?' ;;
/sleeps) echo $$ >"$PIDFILE"; exec sleep 60 ;;
/ticks) printf 'Content-Type: text/plain\n\n'; echo first; while [ ! -e "$GATE" ]; do sleep 0.02; done; echo second ;;
*) printf 'Status: 404\n\n' ;;
esac
