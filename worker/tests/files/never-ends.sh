#!/bin/sh
# Stands in for the worker's binary: a parser that hangs, with a process of its own beside it.
# The first one started has the arguments of a parser; the second says in $1 that it is the second.
[ "$1" = parse-child ] && "$0" second "$2" &
while :; do /bin/sleep 1; done
