#!/usr/bin/env bash
# Backs Lectern up: the database and the uploaded files, into a restic repository and, if wanted, a second one elsewhere.
#
#   deploy/backup.sh           make a backup, check it, copy it offsite, drop what is too old
#   deploy/backup.sh init      make the repositories that aren't there yet
#   deploy/backup.sh list      the snapshots
#
# restic keeps it: encrypted, with a checksum for each piece, each piece once, pruned by days, weeks and months, in a folder
# or in S3. A backup is all of it, and costs what has changed: the dump isn't compressed by pg_dump but by restic, which
# so finds again what it has already.
#
# The dump comes first, then the files: a row names its file only once that is written, and files never change. So each
# file that the dump names is there, but for those that somebody has deleted in between.
#
# Settings (deploy/backup.env.example says more): LECTERN_DATABASE_URL, LECTERN_BLOBS, LECTERN_BACKUP_REPOSITORY,
# LECTERN_BACKUP_PASSWORD_FILE, and those with defaults: LECTERN_BACKUP_OFFSITE (none), LECTERN_BACKUP_KEEP_DAILY (7),
# LECTERN_BACKUP_KEEP_WEEKLY (5), LECTERN_BACKUP_KEEP_MONTHLY (12), LECTERN_BACKUP_STATE (/var/lib/lectern-backup),
# LECTERN_METRICS_DIR (no metrics), LECTERN_PG_BIN.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR source=lib/common.sh
. "$here/lib/common.sh"
load_settings
# shellcheck source-path=SCRIPTDIR source=lib/backup.sh
. "$here/lib/backup.sh"

keep_daily=${LECTERN_BACKUP_KEEP_DAILY:-7}
keep_weekly=${LECTERN_BACKUP_KEEP_WEEKLY:-5}
keep_monthly=${LECTERN_BACKUP_KEEP_MONTHLY:-12}

main() {
  umask 077 # a dump has everything
  case ${1:-backup} in
    backup) prepare_restic; back_up ;;
    init) prepare_restic; make_repositories ;;
    list) prepare_restic; each_copy list_snapshots ;;
    -h | --help | help) usage ;;
    *) usage; exit 2 ;;
  esac
}

# each_copy COMMAND: for each repository that there is
each_copy() {
  use_copy main
  "$1"
  [ -z "${LECTERN_BACKUP_OFFSITE:-}" ] || { use_copy offsite; "$1"; }
}

make_repositories() {
  use_copy main
  there_is_one || restic init --repository-version 2 # which compresses
  [ -n "${LECTERN_BACKUP_OFFSITE:-}" ] || return 0
  use_copy offsite
  # Cut as the first one is, so that copies are found again piece by piece.
  there_is_one || restic init --repository-version 2 --copy-chunker-params --from-repo "$LECTERN_BACKUP_REPOSITORY" --from-password-file "$LECTERN_BACKUP_PASSWORD_FILE"
}

# With its key, that is: what can't be opened is for restic to say.
there_is_one() { restic cat config >/dev/null 2>&1 && say "copy $copy: $RESTIC_REPOSITORY is there already"; }

list_snapshots() {
  say "copy $copy: $RESTIC_REPOSITORY"
  restic snapshots --host "$installation" --compact
}

back_up() {
  need LECTERN_DATABASE_URL 'the database, as the API has it'
  need LECTERN_BLOBS 'the folder (or s3://bucket/prefix) of the uploaded files, as the API has it'
  local name
  for name in keep_daily keep_weekly keep_monthly; do whole_number "$name"; done
  use_postgres_programs
  connection "$LECTERN_DATABASE_URL"
  stage=$state/lectern-stage
  lock "$state/lock"
  begun=$(date +%s)
  trap end EXIT
  rm -rf "$stage" # of a run that was killed
  mkdir -p "$stage"

  use_copy main
  open_repository
  room_for_the_dump
  find_files
  dump
  check_dump "$stage/database.dump" "$stage/counts.tsv" || die 'this dump is no backup, and was thrown away: look at the disk and at PostgreSQL'
  restic backup --quiet --host "$installation" --tag lectern "$stage" "$files_folder"
  count_missing_files
  restic check --quiet
  forget
  tell_success
  copy_offsite
  [ "$missing" = 0 ] || die "$missing files that rows name are not there (the backup has everything else): lectern-worker doctor names them"
}

# Says how it ended, whatever the end was.
end() {
  local code=$?
  rm -rf "$stage"
  echo "lectern_backup_failed $((code != 0))" | write_metrics lectern_backup_run
  [ "$code" != 0 ] || say "backed up in $(seconds_since "$begun") s"
}

room_for_the_dump() {
  local bytes free
  bytes=$(sql "$database_url" -c 'select pg_database_size(current_database())') || die 'PostgreSQL does not answer: nothing was backed up'
  free=$(df --output=avail -B1 "$stage" | tail -1)
  # It has no indexes, but its rows are text: vectors of a kilobyte take four.
  bytes=$((bytes * 2))
  [ "$free" -gt "$bytes" ] || die "the dump may take $((bytes >> 20)) MiB and $stage has $((free >> 20)): make room, or set LECTERN_BACKUP_STATE to another disk"
}

# Sets files_folder: the folder of the uploads, or a mirror of the bucket that they are in.
find_files() {
  case $LECTERN_BLOBS in
    s3://*)
      need_program rclone rclone
      files_folder=$state/lectern-files
      mkdir -p "$files_folder" ;;
    *)
      files_folder=$(cd "$LECTERN_BLOBS" 2>/dev/null && pwd -P) || die "LECTERN_BLOBS=$LECTERN_BLOBS can't be entered" ;;
  esac
}

# The dump, how many rows each table has in it, and the files that it names with their SHA-256: all of one moment.
dump() {
  local snapshot reply=''
  coproc session { sql "$database_url"; }
  # shellcheck disable=SC2154 # coproc sets it
  local pid=$session_PID in=${session[1]} out=${session[0]}
  cat >&"$in" <<'SQL'
begin isolation level repeatable read read only;
select pg_export_snapshot();
SQL
  IFS= read -r -t 60 snapshot <&"$out" || die 'PostgreSQL gave no snapshot: nothing was backed up'
  pg_dump --format=custom --compress=0 --snapshot="$snapshot" --no-owner --no-privileges --lock-wait-timeout=60s \
    --file="$stage/database.dump" --dbname="$database_url" || die 'pg_dump failed: nothing was backed up'
  cat >&"$in" <<SQL
\\pset fieldsep '\\t'
\\o $stage/counts.tsv
select format('select %L, count(*) from %I.%I', relname, nspname, relname)
from pg_class join pg_namespace on pg_namespace.oid = relnamespace
where relkind in ('r', 'p') and nspname = 'public'
order by relname \\gexec
\\o $stage/files.sha256
select distinct encode(sha256, 'hex') || '  ' || blob_key from versions order by 1;
\\o
\\echo counted
commit;
SQL
  IFS= read -r -t 3600 reply <&"$out" || true
  [ "$reply" = counted ] || die 'the rows could not be counted: nothing was backed up'
  exec {in}>&-
  wait "$pid" || die 'the session that counted the rows failed: nothing was backed up'
  if [[ $LECTERN_BLOBS == s3://* ]]; then mirror_bucket; fi
}

# From the bucket of the uploads, whose key and address are those that the API and the workers have.
mirror_bucket() {
  bucket_rclone sync ":s3:${LECTERN_BLOBS#s3://}" "$files_folder" || die 'the bucket of the uploads could not be read: nothing was backed up'
}

# Files that still have a row after all was read, and are not there: lost, not deleted.
count_missing_files() {
  local key keys=()
  while read -r _ key; do
    [ -e "$files_folder/$key" ] || keys+=("$key")
  done <"$stage/files.sha256"
  missing=$(still_named "${keys[@]}")
}

forget() {
  restic forget --quiet --host "$installation" --tag lectern --group-by host,tags --keep-last 2 \
    --keep-daily "$keep_daily" --keep-weekly "$keep_weekly" --keep-monthly "$keep_monthly" --prune
}

tell_success() {
  {
    echo "lectern_backup_duration_seconds $(seconds_since "$begun")"
    echo "lectern_backup_dump_bytes $(stat -c %s "$stage/database.dump")"
    echo "lectern_backup_files $(wc -l <"$stage/files.sha256")"
    echo "lectern_backup_files_missing $missing"
  } | write_metrics lectern_backup
  tell_copy
}

tell_copy() {
  local snapshots bytes
  snapshots=$(restic snapshots --host "$installation" --json | jq length)
  bytes=$(restic stats --mode raw-data --json | jq .total_size)
  {
    echo "lectern_backup_last_success_timestamp_seconds{copy=\"$copy\"} $begun"
    echo "lectern_backup_snapshots{copy=\"$copy\"} $snapshots"
    echo "lectern_backup_repository_bytes{copy=\"$copy\"} $bytes"
  } | write_metrics "lectern_backup_$copy"
  say "copy $copy: $snapshots snapshots, $((bytes >> 10)) KiB"
}

copy_offsite() {
  [ -n "${LECTERN_BACKUP_OFFSITE:-}" ] || return 0
  use_copy offsite
  open_repository
  restic copy --quiet --host "$installation" --tag lectern \
    --from-repo "$LECTERN_BACKUP_REPOSITORY" --from-password-file "$LECTERN_BACKUP_PASSWORD_FILE" >/dev/null || die 'the offsite copy failed; the main one is whole'
  forget
  tell_copy
}

main "$@"
