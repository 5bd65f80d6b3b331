#!/usr/bin/env bash
# Puts Debian's Prometheus, promtool, Alertmanager with amtool, and the exporters for PostgreSQL, Redis and the host into .dev/prometheus.
#
#   deploy/dev/prometheus.sh
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
folder=$root/.dev/prometheus
packages=(prometheus prometheus-alertmanager prometheus-postgres-exporter prometheus-redis-exporter prometheus-node-exporter)

say() { printf 'lectern: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
# shellcheck source=deploy/dev/debs.sh
. "$root/deploy/dev/debs.sh"

# One that was fetched before Alertmanager was among them.
[ -x "$folder/amtool" ] || rm -f "$folder/.complete"
unpack_debs "$folder" Prometheus "put the programs of ${packages[*]} into $folder and make the file .complete there" \
  true usr/bin "${packages[@]}"
