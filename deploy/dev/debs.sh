#!/usr/bin/env bash
# For other scripts to source: programs of Debian's packages in a folder of their own, without installing the packages,
# which would start servers. They need `say` and `die`.

# As root, or with a sudo that asks no password.
update_lists() {
  if [ "$(id -u)" = 0 ]; then apt-get update -qq; else sudo -n apt-get update -qq; fi
}

# unpack_debs FOLDER NAME INSTEAD CHECK PART PACKAGE…: unpacks packages and makes their PART (a path, empty for all) the
# FOLDER. INSTEAD says what to do where there is no apt; CHECK is a function that gets the unpacked folder.
unpack_debs() {
  local folder=$1 name=$2 instead=$3 check=$4 from=package${5:+/$5} partial package
  shift 5
  [ ! -e "$folder/.complete" ] || return 0
  { command -v apt-get && command -v dpkg-deb; } >/dev/null ||
    die "$name can't be fetched here, only on Debian and its relatives: $instead"
  mkdir -p "${folder%/*}"
  partial=$(mktemp -d "$folder.XXXXXX")
  # shellcheck disable=SC2064 # the folder as it is called now
  trap "rm -rf '$partial'" EXIT
  cd "$partial" || return
  say "fetching $name"
  apt-get download -qq "$@" 2>/dev/null || { update_lists && apt-get download -qq "$@"; } ||
    die "apt-get couldn't download $*: check the network, run 'apt-get update' and try again"
  for package in ./*.deb; do dpkg-deb -x "$package" package; done
  "$check" package
  touch "$from/.complete"
  # The folder appears as a whole: one that was cut short is never taken for finished.
  rm -rf "$folder"
  mv -T "$from" "$folder"
}
