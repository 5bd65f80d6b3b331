#!/usr/bin/env bash
# Puts Debian's Prometheus, promtool and the exporters for PostgreSQL, Redis and the host into .dev/prometheus, without
# installing the packages, which would start servers.
#
#   deploy/dev/prometheus.sh
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
folder=$root/.dev/prometheus
packages=(prometheus prometheus-postgres-exporter prometheus-redis-exporter prometheus-node-exporter)

say() { printf 'lectern: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# As root, or with a sudo that asks no password.
update_lists() {
  if [ "$(id -u)" = 0 ]; then apt-get update -qq; else sudo -n apt-get update -qq; fi
}

main() {
  [ ! -e "$folder/.complete" ] || return 0
  { command -v apt-get && command -v dpkg-deb; } >/dev/null ||
    die "Prometheus can't be fetched here, only on Debian and its relatives: put the programs of ${packages[*]} into $folder and make the file .complete there"
  local partial
  mkdir -p "$root/.dev"
  partial=$(mktemp -d "$root/.dev/prometheus.XXXXXX")
  # shellcheck disable=SC2064 # the folder as it is called now
  trap "rm -rf '$partial'" EXIT
  cd "$partial"
  say 'fetching Prometheus'
  apt-get download -qq "${packages[@]}" 2>/dev/null || { update_lists && apt-get download -qq "${packages[@]}"; } ||
    die "apt-get couldn't download ${packages[*]}: check the network, run 'apt-get update' and try again"
  local package
  for package in ./*.deb; do dpkg-deb -x "$package" package; done
  touch package/usr/bin/.complete
  # The folder appears as a whole: one that was cut short is never taken for finished.
  rm -rf "$folder"
  mv -T package/usr/bin "$folder"
}

main
