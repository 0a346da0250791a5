/*
 * The shortest FastCGI responder that libfcgi allows: what is measured is the server in front of it.
 * Usage: fastcgi_hello SOCKET PROCESSES
 */
#include <fcgiapp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void serve(int listener)
{
  FCGX_Request request;
  FCGX_InitRequest(&request, listener, 0);
  while (FCGX_Accept_r(&request) == 0) {
    FCGX_FPrintF(request.out, "Content-Type: text/plain\r\n\r\nHello, world!\n");
    FCGX_Finish_r(&request);
  }
}

static void end_all(int signal_number)
{
  signal(SIGTERM, SIG_DFL);
  kill(0, signal_number);
  _exit(0);
}

int main(int argc, char **argv)
{
  if (argc < 3) return 2;
  setpgid(0, 0);
  FCGX_Init();
  int listener = FCGX_OpenSocket(argv[1], 4096);
  chmod(argv[1], 0777);
  for (int i = atoi(argv[2]); i > 0; i--) {
    if (fork() == 0) {
      serve(listener);
      _exit(0);
    }
  }
  signal(SIGTERM, end_all);
  while (wait(NULL) > 0) continue;
  return 0;
}
