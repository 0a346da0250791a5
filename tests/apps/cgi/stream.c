/*
 * A CGI program without any library but C's own. A query of N sends N bytes of a sequence that both sides
 * can make (xorshift32); without a query the request's body is sent back as it comes. It exits 1 if either
 * end is gone.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned char block[65536];

static int send_all(const unsigned char *bytes, size_t length)
{
  while (length > 0) {
    ssize_t n = write(1, bytes, length);
    if (n <= 0) return 0;
    bytes += n;
    length -= (size_t) n;
  }
  return 1;
}

static int send_sequence(long left)
{
  uint32_t state = 1;
  while (left > 0) {
    size_t length = left < (long) sizeof block ? (size_t) left : sizeof block;
    for (size_t i = 0; i < length; i++) {
      state ^= state << 13;
      state ^= state >> 17;
      state ^= state << 5;
      block[i] = (unsigned char) state;
    }
    if (!send_all(block, length)) return 0;
    left -= (long) length;
  }
  return 1;
}

static int send_back(void)
{
  ssize_t n;
  while ((n = read(0, block, sizeof block)) > 0) {
    if (!send_all(block, (size_t) n)) return 0;
  }
  return n == 0;
}

int main(void)
{
  const char *query = getenv("QUERY_STRING");
  const char *length = getenv("CONTENT_LENGTH");
  int sends = query != NULL && *query != '\0';
  printf("Content-Type: application/octet-stream\r\nX-Length: %s\r\n", length ? length : "");
  if (sends) printf("Content-Length: %s\r\n", query);
  printf("\r\n");
  fflush(stdout);
  return (sends ? send_sequence(atol(query)) : send_back()) ? 0 : 1;
}
