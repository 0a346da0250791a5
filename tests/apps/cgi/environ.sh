#!/bin/sh
# The environ and the body, as a shell sees them.
printf 'Content-Type: text/plain\nX-Shell: yes\n\n'
env
echo "pwd=$(pwd)"
echo "args=$*"
printf 'body='
[ -n "$CONTENT_LENGTH" ] && head -c "$CONTENT_LENGTH"
