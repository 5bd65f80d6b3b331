#!/usr/bin/env bash
# Puts moto's S3 server into .dev/s3: tests of backups talk to it. It speaks S3's protocol over HTTP to any client, keeps
# buckets in memory, and checks signatures and what a key may do once s3-keys.py has made keys.
#
#   deploy/dev/s3.sh
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
[ ! -x "$root/.dev/s3/bin/moto_server" ] || exit 0
printf 'lectern: fetching an S3 server for tests\n' >&2
rm -rf "$root/.dev/s3"
python3 -m venv "$root/.dev/s3"
"$root/.dev/s3/bin/pip" install --quiet --disable-pip-version-check 'moto[server]==5.2.5'
