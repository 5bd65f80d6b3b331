#!/usr/bin/env bash
# Puts Debian's nginx into .dev/nginx.
#
#   deploy/dev/nginx.sh
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
folder=$root/.dev/nginx

say() { printf 'lectern: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
# shellcheck source=deploy/dev/debs.sh
. "$root/deploy/dev/debs.sh"

runs() { "$1/usr/sbin/nginx" -v 2>/dev/null || die "Debian's nginx doesn't run here (see above): install the libraries that it lacks"; }

unpack_debs "$folder" nginx \
  "put the program into $folder/usr/sbin, mime.types into $folder/etc/nginx, and make the file $folder/.complete" \
  runs '' nginx nginx-common
