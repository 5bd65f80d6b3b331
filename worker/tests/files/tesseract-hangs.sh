#!/bin/sh
# Stands in for Tesseract: says that it knows English, and hangs over every page, with a process of its own beside it.
case $1 in
  --list-langs) printf 'List of available languages (1):\neng\n'; exit ;;
  --version) echo 'tesseract 0'; exit ;;
  second) ;;
  *) "$0" second & ;;
esac
while :; do /bin/sleep 1; done
