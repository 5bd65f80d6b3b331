#!/usr/bin/env bash
# Puts a snapshot in the place of what is there: database and uploaded files.
#
#   deploy/restore.sh [--copy main|offsite] [--snapshot latest|ID] [--database-url URL] [--blobs FOLDER] [--replace] [--dry-run]
#
# Stop the API and the workers first. An empty or missing database is filled; one with tables is touched with --replace
# alone, and even then only renamed: NAME becomes NAME_before_DATE, in one transaction with the restored one taking its name,
# after that has been compared with the snapshot. Drop it when you are content. The exporter of metrics may go on: it is sent
# away for the moment of the renaming, and comes back by itself.
# Files are added to the folder (or bucket) of the uploads, and those that are there already written anew. None is deleted:
# `lectern-worker doctor --repair` deletes what no row names, once Lectern runs.
# Redis needs nothing: what it lacks is sent again, and what it has of jobs that are gone does nothing.
#
# Settings are those of backup.sh, and LECTERN_RESTORE_JOBS (2: tables and indexes that are restored at a time).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR source=lib/common.sh
. "$here/lib/common.sh"
load_settings
# shellcheck source-path=SCRIPTDIR source=lib/backup.sh
. "$here/lib/backup.sh"

# As compose.prod.yml calls it.
exporter=postgres_exporter

main() {
  umask 077
  local wanted_copy=main wanted=latest
  replace='' dry_run=''
  while [ $# -gt 0 ]; do
    case $1 in
      --copy) wanted_copy=${2:?--copy main or offsite}; shift 2 ;;
      --snapshot) wanted=${2:?--snapshot latest or an id}; shift 2 ;;
      --database-url) LECTERN_DATABASE_URL=${2:?--database-url postgres://…}; shift 2 ;;
      --blobs) LECTERN_BLOBS=${2:?--blobs FOLDER or s3://bucket/prefix}; shift 2 ;;
      --replace) replace=yes; shift ;;
      --dry-run) dry_run=yes; shift ;;
      *) usage; exit 2 ;;
    esac
  done
  need LECTERN_DATABASE_URL 'the database to fill, or --database-url'
  need LECTERN_BLOBS 'where the files go, or --blobs'
  prepare_restic
  use_copy "$wanted_copy"
  use_postgres_programs
  connection "$LECTERN_DATABASE_URL"
  lock "$state/restore.lock"
  begun=$(date +%s)
  name=$(database_of "$database_url")
  [[ $name =~ ^[a-z_][a-z0-9_]*$ ]] || die "'$name' is no name of a database that this can handle: small letters, digits and _"
  server=$(with_database "$database_url" postgres)
  look_before
  open_repository
  find_snapshot "$wanted"
  say "snapshot $snapshot of $snapshot_time goes into the database $name and into $LECTERN_BLOBS; what came after that moment will be missing"
  [ -z "$dry_run" ] || { say 'dry run: nothing was changed'; return; }
  trap 'rm -rf "$scratch"' EXIT
  scratch=$(mktemp -d "$state/restore.XXXXXX")
  take_out "$scratch"
  check_dump "$stage/database.dump" "$stage/counts.tsv" || die 'the dump is damaged: nothing was changed; try another snapshot or the offsite copy'
  compare_files || die 'files are damaged: nothing was changed; try another snapshot or the offsite copy'
  restore_files # first: rows must never name files that aren't there yet
  restore_database
  say "restored in $(seconds_since "$begun") s; ${#unseen[@]} files were deleted while the backup was made (lectern-worker doctor names them)"
}

# What stands in the way is told before anything is fetched.
look_before() {
  local found tables users
  found=$(sql "$server" -c "select count(*) from pg_database where datname = '$name'") || die 'PostgreSQL does not answer: start it first'
  exists=$found
  [ "$found" = 1 ] || return 0
  tables=$(sql "$database_url" -c "select count(*) from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace")
  [ "$tables" = 0 ] || [ -n "$replace" ] || die "the database $name has tables: --replace keeps it under another name and puts the snapshot in its place"
  users=$(sql "$server" -c "select count(*) from pg_stat_activity where datname = '$name' and backend_type = 'client backend' and application_name <> '$exporter'")
  [ "$users" = 0 ] || die "$users connections use the database $name: stop the API and the workers first"
}

restore_files() {
  case $LECTERN_BLOBS in
    s3://*)
      need_program rclone rclone
      bucket_rclone copy --checksum "$files" ":s3:${LECTERN_BLOBS#s3://}" || die 'the bucket of the uploads could not be written' ;;
    *)
      mkdir -p "$LECTERN_BLOBS"
      cp -R --reflink=auto "$files/." "$LECTERN_BLOBS/"
      # The API and the workers may be somebody else.
      [ "$(id -u)" != 0 ] || chown -R --reference="$LECTERN_BLOBS" "$LECTERN_BLOBS" ;;
  esac
}

# Into a database of its own, which takes the name when it is whole.
restore_database() {
  local new=${name}_restored_$$ before
  before=${name}_before_$(date -u +%Y%m%d_%H%M%S)
  sql "$server" -c "create database $new"
  if ! { load_dump "$(with_database "$database_url" "$new")" && compare_rows "$(with_database "$database_url" "$new")"; }; then
    sql "$server" -c "drop database $new"
    die "the dump could not be restored: the database $name is as it was"
  fi
  sql "$(with_database "$database_url" "$new")" -c analyze
  if [ "$exists" = 1 ]; then
    trade_places "$new" "$before" || die "the database $name could not be renamed: it is as it was, and the restored one is $new"
    say "what was there is the database $before"
  else
    sql "$server" -c "alter database $new rename to $name"
  fi
}

# trade_places NEW BEFORE: nobody may be connected to a database that is renamed, and who is let in meanwhile would be. Whatever
# comes of it, the one that then has the name takes connections again.
trade_places() {
  local code=0
  sql "$server" <<SQL || code=1
alter database $name allow_connections false;
select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = '$name' and application_name = '$exporter' \\g /dev/null
begin;
alter database $name rename to $2;
alter database $1 rename to $name;
commit;
SQL
  if [ "$code" = 0 ]; then sql "$server" -c "alter database $2 allow_connections true"; else sql "$server" -c "alter database $name allow_connections true"; fi
  return $code
}

main "$@"
