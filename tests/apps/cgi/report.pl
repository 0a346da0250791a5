#!/usr/bin/perl
# What Perl sees, as JSON; the form is decoded by hand, as CGI scripts have done since 1993.
use strict;
use warnings;
use Digest::SHA qw(sha1_hex);
use JSON::PP;

binmode STDIN;
my $body = '';
if ($ENV{CONTENT_LENGTH}) {
    while (length $body < $ENV{CONTENT_LENGTH}) {
        read(STDIN, $body, $ENV{CONTENT_LENGTH} - length $body, length $body) or last;
    }
}
my $rest = do { local $/; <STDIN> } // '';
my %form;
if (($ENV{CONTENT_TYPE} // '') =~ m{^application/x-www-form-urlencoded\b}) {
    for my $pair (split /&/, $body) {
        my ($name, $value) = map { tr/+/ /; s/%([0-9A-Fa-f]{2})/chr hex $1/ger } split /=/, $pair, 2;
        $form{$name} = $value;
    }
}
print "Content-Type: application/json\r\n\r\n";
print JSON::PP->new->ascii->encode({
    environ => {%ENV},
    form    => \%form,
    length  => length $body,
    past    => length $rest,
    sha1    => sha1_hex($body),
});
