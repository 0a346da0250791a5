#!/usr/bin/perl
# A FastCGI program over Debian's libfcgi-perl that finds its socket as descriptor 0. It answers
# `PID UID GID`, and its whole environment where the query says `env`.
use strict;
use FCGI;

my %env;
my %own = %ENV;
my $request = FCGI::Request(\*STDIN, \*STDOUT, \*STDERR, \%env);
while ($request->Accept() >= 0) {
  print "Content-Type: text/plain\r\n\r\n$$ $< ", $( + 0;
  print map { "\n$_=$own{$_}" } sort keys %own if ($env{QUERY_STRING} // "") eq "env";
  print STDERR "a word\n";
}
