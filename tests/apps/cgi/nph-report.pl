#!/usr/bin/perl
# Writes its own status line.
print "HTTP/1.0 203 Non-Authoritative\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nnph";
