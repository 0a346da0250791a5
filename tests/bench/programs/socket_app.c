/*
 * The shortest application for SCGI and for HTTP uploads: reads a head, counts the body that its
 * CONTENT_LENGTH or Content-Length tells of, answers, closes. Usage: socket_app scgi|http SOCKET PROCESSES
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char head[65536];
static char block[65536];

/* Where the head ends, or 0 as long as it has not: "LENGTH:...,", or an empty line. */
static size_t scgi_end(size_t have)
{
  char *colon = memchr(head, ':', have);
  if (colon == NULL) return 0;
  size_t end = (size_t) (colon - head) + 1 + (size_t) atol(head) + 1;
  return have >= end ? end : 0;
}

static size_t http_end(size_t have)
{
  char *end = memmem(head, have, "\r\n\r\n", 4);
  return end == NULL ? 0 : (size_t) (end - head) + 4;
}

static long length_of(int scgi, size_t end)
{
  /* SCGI has it first of all (its specification, "Request Format"). */
  if (scgi) {
    char *name = memmem(head, end, "CONTENT_LENGTH", 15);
    return name == NULL ? 0 : atol(name + 15);
  }
  char *field = strcasestr(head, "\r\ncontent-length:");
  return field == NULL ? 0 : atol(field + 17);
}

static void converse(int peer, int scgi)
{
  size_t have = 0, end = 0;
  while (end == 0) {
    ssize_t n = read(peer, head + have, sizeof head - 1 - have);
    if (n <= 0) return;
    have += (size_t) n;
    head[have] = '\0';
    end = scgi ? scgi_end(have) : http_end(have);
  }
  long length = length_of(scgi, end), got = (long) (have - end);
  while (got < length) {
    ssize_t n = read(peer, block, sizeof block);
    if (n <= 0) return;
    got += n;
  }
  char body[32], reply[160];
  int size = length > 0 ? sprintf(body, "%ld\n", got) : sprintf(body, "Hello, world!\n");
  int all = sprintf(reply, "%s\r\nContent-Type: text/plain\r\n%sContent-Length: %d\r\n\r\n%s",
                    scgi ? "Status: 200 OK" : "HTTP/1.1 200 OK",
                    scgi ? "" : "Connection: close\r\n", size, body);
  if (write(peer, reply, (size_t) all) < all) return;
}

int main(int argc, char **argv)
{
  if (argc < 4) return 2;
  int scgi = strcmp(argv[1], "scgi") == 0;
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  strncpy(address.sun_path, argv[2], sizeof address.sun_path - 1);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *) &address, sizeof address) < 0) return 1;
  chmod(argv[2], 0777);
  if (listen(listener, 4096) < 0) return 1;
  signal(SIGPIPE, SIG_IGN);
  for (int i = atoi(argv[3]); i > 0; i--) {
    if (fork() != 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    for (;;) {
      int peer = accept(listener, NULL, NULL);
      if (peer < 0) _exit(1);
      converse(peer, scgi);
      close(peer);
    }
  }
  while (wait(NULL) > 0) continue;
  return 0;
}
