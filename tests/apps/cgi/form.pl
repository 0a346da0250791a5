#!/usr/bin/perl
# CGI.pm as its manual shows it: one answer for each PATH_INFO.
use strict;
use warnings;
use utf8;
use CGI qw(-utf8);
use CGI::Carp qw(fatalsToBrowser);
use Digest::SHA;
use Encode qw(decode);
use JSON::PP;

my $q = CGI->new;
my $path = $q->path_info;

sub answer {
    print $q->header(-type => 'application/json', -charset => 'utf-8', @_ > 1 ? @_[1 .. $#_] : ());
    print JSON::PP->new->ascii->canonical->encode($_[0]);
}

# -utf8 makes characters of fields; the names of files, which find them, stay bytes.
sub upload {
    my $name = $q->param('file');
    my $file = $q->upload('file') or die 'no file: ' . ($q->cgi_error // '');
    my $sum = Digest::SHA->new(256);
    binmode $file;
    $sum->addfile($file);
    answer({
        name   => decode('UTF-8', "$name"),
        note   => scalar $q->param('note'),
        type   => $q->uploadInfo($name)->{'Content-Type'},
        size   => -s $q->tmpFileName($name),
        length => $ENV{CONTENT_LENGTH},
        sha256 => $sum->hexdigest,
    });
}

if ($path eq '/upload') {
    upload();
} elsif ($path eq '/fields') {
    answer({ map { $_ => [$q->multi_param($_)] } $q->multi_param });
} elsif ($path eq '/cookies') {
    my @new = map { $q->cookie(-name => $_, -value => "$_ & ü", -path => '/', -httponly => 1) } qw(one two);
    answer({ map { $_ => scalar $q->cookie($_) } $q->cookie }, -cookie => \@new);
} elsif ($path eq '/redirect') {
    print $q->redirect(-uri => $q->url(-absolute => 1) . '/fields?to=here', -status => 303);
} elsif ($path eq '/elsewhere') {
    print $q->redirect('http://example.org/a?b=c');
} elsif ($path eq '/missing') {
    print $q->header(-status => '404 Not Found', -type => 'text/plain'), 'no such thing';
} elsif ($path eq '/dies') {
    die "the disk is on fire\n";
} else {
    die "no action for $path";
}
