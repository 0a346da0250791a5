/* The shortest CGI program: what is measured is the server that starts it. */
#include <unistd.h>

int main(void)
{
  static const char reply[] = "Content-Type: text/plain\r\n\r\nHello, world!\n";
  return write(1, reply, sizeof reply - 1) < 0;
}
