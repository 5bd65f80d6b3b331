#!/usr/bin/env bash
# Puts Debian's Prometheus and promtool into .dev/prometheus, without installing the package, which would start a server.
#
#   deploy/dev/prometheus.sh
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
folder=$root/.dev/prometheus

say() { printf 'lectern: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# As root, or with a sudo that asks no password.
update_lists() {
  if [ "$(id -u)" = 0 ]; then apt-get update -qq; else sudo -n apt-get update -qq; fi
}

main() {
  [ ! -x "$folder/promtool" ] || return 0
  { command -v apt-get && command -v dpkg-deb; } >/dev/null ||
    die "Prometheus can't be fetched here, only on Debian and its relatives: put prometheus and promtool into $folder"
  local partial
  mkdir -p "$root/.dev"
  partial=$(mktemp -d "$root/.dev/prometheus.XXXXXX")
  # shellcheck disable=SC2064 # the folder as it is called now
  trap "rm -rf '$partial'" EXIT
  cd "$partial"
  say 'fetching Prometheus'
  apt-get download -qq prometheus 2>/dev/null || { update_lists && apt-get download -qq prometheus; } ||
    die "apt-get couldn't download the package prometheus: check the network, run 'apt-get update' and try again"
  dpkg-deb -x prometheus_*.deb package
  # The folder appears as a whole: one that was cut short is never taken for finished.
  rm -rf "$folder"
  mv -T package/usr/bin "$folder"
}

main
