#!/bin/sh
# Stands in for a Tesseract that somebody has taken over: nonsense for a table, boxes beside the page, a NUL.
case $1 in
  --list-langs) printf 'List of available languages (1):\neng\n'; exit ;;
esac
printf '5\t1\t1\t1\t1\t1\t-900\t1e30\t99999\t99999\t1e9\tevil\n'
printf '5\t1\n5\t1\t1\t1\t1\t2\tNaN\tinf\t1\t1\t90\tworse\n\000\001\n'
