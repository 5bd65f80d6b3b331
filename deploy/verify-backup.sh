#!/usr/bin/env bash
# Restores a snapshot into a scratch database and a scratch folder, and looks whether it is Lectern: rows, files, a search.
#
#   deploy/verify-backup.sh [--copy main|offsite] [--snapshot latest|ID]
#
# - every table has as many rows as it had when the dump was made;
# - every file that a row names is there, with the SHA-256 that the row says;
# - no index is invalid;
# - passages of up to 20 documents, asked as questions, are found again by `lectern-worker evaluate`, which searches as
#   for a reader but starts no job: nothing of a restored database is told to webhooks, or done twice.
#
# The scratch database is one of the running server, so whoever LECTERN_DATABASE_URL names must be allowed to make one.
#
# Settings are those of backup.sh, and LECTERN_WORKER_BIN (lectern-worker), LECTERN_BACKUP_RECALL_MIN (0.9: the share of
# those documents that must be among the first five), and the settings of a worker for its model and Redis.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR source=lib/common.sh
. "$here/lib/common.sh"
load_settings
# shellcheck source-path=SCRIPTDIR source=lib/backup.sh
. "$here/lib/backup.sh"

worker=${LECTERN_WORKER_BIN:-lectern-worker}
recall_min=${LECTERN_BACKUP_RECALL_MIN:-0.9}

main() {
  umask 077
  local wanted_copy=main wanted=latest
  while [ $# -gt 0 ]; do
    case $1 in
      --copy) wanted_copy=${2:?--copy main or offsite}; shift 2 ;;
      --snapshot) wanted=${2:?--snapshot latest or an id}; shift 2 ;;
      *) usage; exit 2 ;;
    esac
  done
  need LECTERN_DATABASE_URL 'the database, as the API has it'
  command -v "$worker" >/dev/null || die "there is no $worker: name it in LECTERN_WORKER_BIN"
  prepare_restic
  use_copy "$wanted_copy"
  use_postgres_programs
  connection "$LECTERN_DATABASE_URL"
  lock "$state/verify.lock"
  begun=$(date +%s)
  scratch_database=lectern_verify_$$
  trap end EXIT
  open_repository
  find_snapshot "$wanted"
  verify
}

verify() {
  local took
  scratch=$(mktemp -d "$state/verify.XXXXXX")
  take_out "$scratch"
  check_dump "$stage/database.dump" "$stage/counts.tsv" || die 'the dump is damaged'
  scratch_url=$(with_database "$database_url" "$scratch_database")
  sql "$(with_database "$database_url" postgres)" -c "create database $scratch_database"
  load_dump "$scratch_url" || die 'the dump can not be loaded'
  took=$(seconds_since "$begun")
  compare_rows "$scratch_url" || die 'rows are missing'
  compare_files || die 'files are damaged'
  no_file_is_lost
  indexes_are_valid
  a_search_finds
  {
    echo "lectern_backup_verified_timestamp_seconds{copy=\"$copy\"} $(date +%s)"
    echo "lectern_backup_verified_snapshot_timestamp_seconds{copy=\"$copy\"} $(date -d "$snapshot_time" +%s)"
    echo "lectern_backup_verify_duration_seconds{copy=\"$copy\"} $(seconds_since "$begun")"
    echo "lectern_backup_restore_duration_seconds{copy=\"$copy\"} $took"
  } | write_metrics "lectern_backup_verified_$copy"
  say "snapshot $snapshot is whole: restored in $took s, compared and searched in $(($(seconds_since "$begun") - took)) s"
}

end() {
  local code=$?
  [ -z "${scratch:-}" ] || rm -rf "$scratch"
  [ -z "${scratch_url:-}" ] || sql "$(with_database "$database_url" postgres)" -c "drop database if exists $scratch_database with (force)" || true
  echo "lectern_backup_verify_failed{copy=\"$copy\"} $((code != 0))" | write_metrics "lectern_backup_verify_run_$copy"
}

no_file_is_lost() {
  local lost
  lost=$(still_named "${unseen[@]}")
  [ "$lost" = 0 ] || die "$lost files that rows of the running Lectern name are not in the snapshot"
}

indexes_are_valid() {
  local invalid
  invalid=$(sql "$scratch_url" -c "select string_agg(indexrelid::regclass::text, ', ') from pg_index where not indisvalid")
  [ -z "$invalid" ] || die "indexes are invalid: $invalid"
}

# The first words of a passage of each of up to 20 documents, of the collection with the most, must find that document.
a_search_finds() {
  local collection recall
  collection=$(sql "$scratch_url" <<'SQL'
select collection.name
from documents document
join collections collection on collection.id = document.collection_id
join tenants on tenants.id = document.tenant_id
where document.version > 0 and tenants.id = '00000000-0000-7000-8000-000000000001' -- the first tenant, which evaluate searches
group by collection.name order by count(*) desc limit 1;
SQL
  )
  [ -n "$collection" ] || { say 'there is no document to search for'; return 0; }
  sql "$scratch_url" --set collection="$collection" >"$scratch/questions.jsonl" <<'SQL'
select json_build_object(
    'question', (select string_agg(word, ' ') from (select word from regexp_split_to_table(passage.text, '\s+') as word limit 20) words),
    'relevant', json_build_array(json_build_object('document', document.name)))
from (select document.* from documents document join collections on collections.id = collection_id
      where collections.name = :'collection' and document.version > 0 order by random() limit 20) document
cross join lateral (select text from chunks where document_id = document.id and version = document.version order by tokens desc limit 1) passage;
SQL
  LECTERN_DATABASE_URL=$(with_database "$LECTERN_DATABASE_URL" "$scratch_database") \
  LECTERN_BLOBS=$files LECTERN_REDIS_PREFIX=lectern-verify-$$ LECTERN_LOG=warn \
    "$worker" evaluate --collection "$collection" --set "$scratch/questions.jsonl" --variants reranked --json "$scratch/search.json" >/dev/null ||
    die 'the restored database can not be searched'
  recall=$(jq '.[0].recall_5' "$scratch/search.json")
  jq -e --argjson min "$recall_min" '.[0].recall_5 >= $min' "$scratch/search.json" >/dev/null ||
    die "of $(wc -l <"$scratch/questions.jsonl") documents of '$collection' a share of $recall is found by its own words, less than $recall_min"
  say "$(wc -l <"$scratch/questions.jsonl") questions in '$collection': a share of $recall finds its document"
}

main "$@"
