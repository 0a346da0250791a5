/*
 * A FastCGI program over libfcgi that finds its socket as descriptor 0. It answers `PID UID GID`; the
 * query may ask for more: `sleep=MS` before that, `exit=CODE` after it. With DEAF in its environment
 * it is deaf to SIGTERM.
 */
#include <fcgi_stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  if (getenv("DEAF") != NULL) {
    /* libfcgi sets a handler of its own, which ends the program after its request. */
    sigset_t deaf;
    sigemptyset(&deaf);
    sigaddset(&deaf, SIGTERM);
    sigprocmask(SIG_BLOCK, &deaf, NULL);
  }
  while (FCGI_Accept() >= 0) {
    const char *query = getenv("QUERY_STRING");
    const char *sleeps = query == NULL ? NULL : strstr(query, "sleep=");
    const char *exits = query == NULL ? NULL : strstr(query, "exit=");
    if (sleeps != NULL) usleep(1000 * atoi(sleeps + 6));
    printf("Content-Type: text/plain\r\n\r\n%d %d %d", getpid(), getuid(), getgid());
    if (exits != NULL) {
      FCGI_Finish();
      exit(atoi(exits + 5));
    }
  }
  return 0;
}
