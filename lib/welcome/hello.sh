#!/bin/sh
# A CGI program (RFC 3875): its request is its environment and its standard input, its answer is what it
# prints. The answer is plain text, so nothing that the client sent can turn into markup.

printf 'Content-Type: text/plain; charset=utf-8\n'
printf 'X-Content-Type-Options: nosniff\n'
printf 'Cache-Control: no-store\n'
printf '\n'

printf 'Hello from a shell script, run for this request alone as process %s.\n\n' "$$"

printf '%-16s %s\n' \
  REQUEST_METHOD "${REQUEST_METHOD-}" \
  SCRIPT_NAME "${SCRIPT_NAME-}" \
  PATH_INFO "${PATH_INFO-}" \
  QUERY_STRING "${QUERY_STRING-}" \
  REMOTE_ADDR "${REMOTE_ADDR-}" \
  SERVER_PROTOCOL "${SERVER_PROTOCOL-}" \
  SERVER_SOFTWARE "${SERVER_SOFTWARE-}" \
  REQUEST_ID "${REQUEST_ID-}" \
  HTTP_USER_AGENT "${HTTP_USER_AGENT-}"

if [ "${REQUEST_METHOD-}" = POST ]; then
  printf '\nThe body has %d bytes.\n' "$(wc -c)"
fi
