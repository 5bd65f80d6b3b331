#!/usr/bin/env bash
# Runs a command against the API and a worker with a database of their own, which holds two documents.
#
#   api/tests/clients/with-lectern.sh COMMAND [ARGUMENT …]
#
# The command finds LECTERN_URL and LECTERN_KEY. LECTERN_PROGRAMS (target/debug) is where the programs are; they were
# built before.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd -P)
cd "$root"
# shellcheck source=/dev/null
. .dev/env

command=("$@")
programs=${LECTERN_PROGRAMS:-target/debug}
name=lectern_clients_$$
folder=$(mktemp -d)
started=()

psql() { deploy/dev/services.sh psql -X -q -v ON_ERROR_STOP=1 -d postgres "$@"; }

finish() {
  local outcome=$?
  for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
  wait
  psql -c "drop database if exists $name with (force)"
  if [ "$outcome" != 0 ]; then
    printf 'lectern: %s failed; the last words of the API and the worker:\n' "$1" >&2
    tail -n 50 "$folder"/*.log >&2
  fi
  rm -rf "$folder"
}
trap 'finish "${command[0]}"' EXIT

# $1: what is waited for; the rest: a command that succeeds then
wait_for() {
  local what=$1 tries
  shift
  for ((tries = 0; tries < 600; tries++)); do
    if "$@"; then return; fi
    sleep 0.2
  done
  printf 'lectern: error: waited too long for %s\n' "$what" >&2
  return 1
}

psql -c "create database $name"
export LECTERN_DATABASE_URL=${LECTERN_TEST_DATABASE_URL%/*}/$name LECTERN_REDIS_URL=$LECTERN_TEST_REDIS_URL
export LECTERN_REDIS_PREFIX=$name LECTERN_BLOBS=$folder/blobs LECTERN_LISTEN=127.0.0.1:0
export LECTERN_CORS_ORIGINS=https://assistant.example LECTERN_LOG=info LECTERN_WORKER_METRICS_LISTEN=127.0.0.1:0 LECTERN_MODEL_THREADS=1 NO_COLOR=1
mkdir "$LECTERN_BLOBS"
"$programs/lectern-api" serve >"$folder/api.log" 2>&1 &
started+=($!)
# Every answer is to be written, not given again.
LECTERN_CACHE=false "$programs/lectern-worker" run >"$folder/worker.log" 2>&1 &
started+=($!)

address() { grep -o 'address=[0-9.]*:[0-9]*' "$folder/api.log" | head -1 | cut -d= -f2; }
wait_for 'the API' grep -q 'address=' "$folder/api.log"
url=http://$(address)
key=lectern-dev
is_healthy() { curl -sf "$url/api/v1/health" >/dev/null; }
wait_for 'a worker' is_healthy

api() { curl -sSf -H "Authorization: Bearer $key" "$@"; }
api -H 'Content-Type: application/json' -d '{"name": "other"}' "$url/api/v1/collections" >/dev/null
api -F file=@worker/tests/files/handbook.pdf "$url/api/v1/documents" >/dev/null
api -F collection=other -F file=@worker/tests/files/guide.md "$url/api/v1/documents" >/dev/null
are_ready() { [ "$(api "$url/api/v1/documents?state=ready" | grep -o '"sha256"' | wc -l)" = 2 ]; }
wait_for 'the documents' are_ready

export LECTERN_URL=$url LECTERN_KEY=$key
"${command[@]}"
