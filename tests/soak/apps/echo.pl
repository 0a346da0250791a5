#!/usr/bin/perl
# Answers with proof of its request: its id, the digest of its body, then as much as it asks for.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);

my %query = map { split /=/, $_, 2 } split /&/, $ENV{QUERY_STRING} // "";
my ($id, $size, $ticks) = ($query{id} // "", $query{size} // 0, $query{ticks} // 0);
binmode STDIN;
binmode STDOUT;
$| = 1;
my $body = "";
for (my $left = $ENV{CONTENT_LENGTH} || 0; $left > 0;) {
  my $count = read(STDIN, $body, $left, length $body) or last;
  $left -= $count;
}
print "Content-Type: text/plain\r\nX-Proof: $id\r\n\r\n$id ", sha256_hex($body), "\n";
for my $tick (1 .. $ticks) {
  print "$id $tick\n";
  select(undef, undef, undef, 0.02);
}
print substr($id x ($size / length($id) + 1), 0, $size) if $size > 0;
