#!/bin/sh
# Stands in for a Tesseract that somebody has taken over: says what it can reach besides its pixels.
case $1 in
  --list-langs) printf 'List of available languages (1):\neng\n'; exit ;;
esac
word() { printf '5\t1\t1\t1\t1\t%s\t%s00\t100\t90\t20\t90\t%s\n' "$1" "$1" "$2"; }
if read -r line 2>/dev/null </etc/passwd; then word 1 read; else word 1 kept; fi
if true 2>/dev/null >/tmp/lectern-curious; then word 2 wrote; else word 2 kept; fi
exec /usr/bin/perl -MSocket -e '
  socket(my $socket, AF_INET, SOCK_STREAM, 0) or die;
  my $listens = bind($socket, sockaddr_in(0, INADDR_LOOPBACK));
  printf "5\t1\t1\t1\t1\t3\t300\t100\t90\t20\t90\t%s\n", $listens ? "listened" : "kept"'
