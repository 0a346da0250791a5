/* Sends as many bytes as its query says, or counts the bytes of the request's body. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char block[65536];

int main(void)
{
  const char *query = getenv("QUERY_STRING");
  if (query != NULL && *query != '\0') {
    long left = atol(query);
    memset(block, 'x', sizeof block);
    printf("Content-Type: application/octet-stream\r\nContent-Length: %ld\r\n\r\n", left);
    fflush(stdout);
    while (left > 0) {
      ssize_t n = write(1, block, left < (long) sizeof block ? (size_t) left : sizeof block);
      if (n <= 0) return 1;
      left -= n;
    }
    return 0;
  }
  long total = 0;
  ssize_t n;
  while ((n = read(0, block, sizeof block)) > 0) total += n;
  printf("Content-Type: text/plain\r\n\r\n%ld\n", total);
  return 0;
}
