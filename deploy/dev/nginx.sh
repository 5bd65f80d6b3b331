#!/usr/bin/env bash
# Puts Debian's nginx into .dev/nginx, without installing the package, which would start a server on port 80.
#
#   deploy/dev/nginx.sh
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
folder=$root/.dev/nginx
packages=(nginx nginx-common)

say() { printf 'lectern: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# As root, or with a sudo that asks no password.
update_lists() {
  if [ "$(id -u)" = 0 ]; then apt-get update -qq; else sudo -n apt-get update -qq; fi
}

main() {
  [ ! -e "$folder/.complete" ] || return 0
  { command -v apt-get && command -v dpkg-deb; } >/dev/null ||
    die "nginx can't be fetched here, only on Debian and its relatives: put the program into $folder/usr/sbin, mime.types into $folder/etc/nginx, and make the file $folder/.complete"
  local partial package
  mkdir -p "$root/.dev"
  partial=$(mktemp -d "$root/.dev/nginx.XXXXXX")
  # shellcheck disable=SC2064 # the folder as it is called now
  trap "rm -rf '$partial'" EXIT
  cd "$partial"
  say 'fetching nginx'
  apt-get download -qq "${packages[@]}" 2>/dev/null || { update_lists && apt-get download -qq "${packages[@]}"; } ||
    die "apt-get couldn't download ${packages[*]}: check the network, run 'apt-get update' and try again"
  for package in ./*.deb; do dpkg-deb -x "$package" package; done
  package/usr/sbin/nginx -v 2>/dev/null || die "Debian's nginx doesn't run here (see above): install the libraries that it lacks"
  touch package/.complete
  # The folder appears as a whole: one that was cut short is never taken for finished.
  rm -rf "$folder"
  mv -T package "$folder"
}

main
