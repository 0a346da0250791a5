/*
 * A FastCGI responder as short as libfcgi allows: what is measured is the server in front of it. A query
 * asks for so many bytes, a body is counted, anything else is greeted.
 * Usage: fastcgi_app SOCKET PROCESSES
 */
#include <fcgiapp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char block[65536];

static void count_body(FCGX_Request *request)
{
  long total = 0;
  int n;
  while ((n = FCGX_GetStr(block, sizeof block, request->in)) > 0) total += n;
  FCGX_FPrintF(request->out, "Content-Type: text/plain\r\n\r\n%ld\n", total);
}

static void send_bytes(FCGX_Request *request, long left)
{
  memset(block, 'x', sizeof block);
  FCGX_FPrintF(request->out, "Content-Type: text/plain\r\nContent-Length: %ld\r\n\r\n", left);
  while (left > 0) {
    int n = FCGX_PutStr(block, left < (long) sizeof block ? (int) left : (int) sizeof block,
                        request->out);
    if (n <= 0) return;
    left -= n;
  }
}

static void serve(int listener)
{
  FCGX_Request request;
  FCGX_InitRequest(&request, listener, 0);
  while (FCGX_Accept_r(&request) == 0) {
    const char *method = FCGX_GetParam("REQUEST_METHOD", request.envp);
    const char *query = FCGX_GetParam("QUERY_STRING", request.envp);
    if (method != NULL && strcmp(method, "POST") == 0) count_body(&request);
    else if (query != NULL && *query != '\0') send_bytes(&request, atol(query));
    else FCGX_FPrintF(request.out, "Content-Type: text/plain\r\n\r\nHello, world!\n");
    FCGX_Finish_r(&request);
  }
}

int main(int argc, char **argv)
{
  if (argc < 3) return 2;
  FCGX_Init();
  int listener = FCGX_OpenSocket(argv[1], 4096);
  chmod(argv[1], 0777);
  for (int i = atoi(argv[2]); i > 0; i--) {
    if (fork() != 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    serve(listener);
    _exit(0);
  }
  while (wait(NULL) > 0) continue;
  return 0;
}
