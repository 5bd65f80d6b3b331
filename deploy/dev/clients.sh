#!/usr/bin/env bash
# Puts the official clients of the APIs that Lectern speaks beside its own into .dev/clients, for `make test-clients`.
#
#   deploy/dev/clients.sh
#
# .dev/clients/python/   what api/tests/clients/requirements.txt names, from PyPI
# .dev/clients/node/     what api/tests/clients/package.json names, from npm
# .dev/clients/schemathesis/  what api/tests/openapi/requirements.txt names, from PyPI, for `make test-openapi`
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
wanted=$here/../../api/tests/clients
folder=$here/../../.dev/clients

"$here/setup.sh"
mkdir -p "$folder"

# $1: a folder, $2: the file that says what belongs into it. Put there as a whole, or not at all.
is_fresh() { cmp -s "$2" "$folder/$1/$(basename "$2")"; }

# $1: a folder, $2: what belongs into it
fetch_from_pypi() {
  is_fresh "$1" "$2" && return
  printf 'lectern: fetching %s from PyPI\n' "$1" >&2
  rm -rf "${folder:?}/$1" "$folder/.partial"
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-warn-conflicts \
    --target "$folder/.partial" --requirement "$2"
  cp "$2" "$folder/.partial"
  mv "$folder/.partial" "$folder/$1"
}

fetch_from_pypi python "$wanted/requirements.txt"
fetch_from_pypi schemathesis "$wanted/../openapi/requirements.txt"
if ! is_fresh node "$wanted/package.json"; then
  printf 'lectern: fetching clients from npm\n' >&2
  rm -rf "$folder/node" "$folder/.node"
  mkdir "$folder/.node"
  cp "$wanted/package.json" "$folder/.node"
  npm install --prefix "$folder/.node" --silent --no-audit --no-fund --omit optional
  cp "$wanted/package.json" "$folder/.node" # as it was, whatever npm makes of it
  mv "$folder/.node" "$folder/node"
fi
