# An SCGI program by Perl's own SCGI module: tells what it received. Usage: scgi_program.pl SOCKET
use strict;
use warnings;
use IO::Socket::UNIX;
use SCGI;

my $socket = IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 64) or die "cannot listen: $!";
my $scgi = SCGI->new($socket, blocking => 1);
while (my $request = $scgi->accept) {
  # Whoever connects and says nothing is no reason to end.
  eval { $request->read_env; 1 } or next;
  my $environ = $request->env;
  my $body = '';
  my $length = $environ->{CONTENT_LENGTH};
  while (length $body < $length) {
    last unless read $request->connection, $body, $length - length $body, length $body;
  }
  my $sum = unpack '%32C*', $body;
  my $out = $request->connection;
  print {$out} "Status: 201 Made\r\nContent-Type: text/plain\r\nX-Sum: $sum\r\n\r\n";
  print {$out} "$_=$environ->{$_}\n" for sort keys %$environ;
  $request->close;
}
