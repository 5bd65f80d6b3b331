# shellcheck shell=bash
# What backup.sh, verify-backup.sh and restore.sh share: the repositories, and how a dump is checked.
# shellcheck disable=SC2154,SC2034 # the scripts that source this set database_url, and use what this sets

state=${LECTERN_BACKUP_STATE:-/var/lib/lectern-backup}
# Snapshots of one installation have one name, whatever container or machine made them.
installation=${LECTERN_BACKUP_NAME:-lectern}

# use_copy main|offsite: restic's settings for that repository
use_copy() {
  copy=$1
  case $copy in
    main)
      need LECTERN_BACKUP_REPOSITORY 'a folder on another disk, or s3:https://HOST/BUCKET/PREFIX'
      export RESTIC_REPOSITORY=$LECTERN_BACKUP_REPOSITORY ;;
    offsite)
      need LECTERN_BACKUP_OFFSITE 'the second repository, such as s3:https://HOST/BUCKET/PREFIX'
      export RESTIC_REPOSITORY=$LECTERN_BACKUP_OFFSITE ;;
    *) die "there is no copy '$copy': main or offsite" ;;
  esac
}

prepare_restic() {
  need_program restic restic
  need_program jq jq
  need LECTERN_BACKUP_PASSWORD_FILE 'the file with the key of the backups; without that key nobody can read them, you neither'
  [ -r "$LECTERN_BACKUP_PASSWORD_FILE" ] || die "LECTERN_BACKUP_PASSWORD_FILE=$LECTERN_BACKUP_PASSWORD_FILE can't be read"
  export RESTIC_PASSWORD_FILE=$LECTERN_BACKUP_PASSWORD_FILE RESTIC_CACHE_DIR=$state/cache RESTIC_PROGRESS_FPS=0.016
  uploads_key_id=${AWS_ACCESS_KEY_ID:-} uploads_secret=${AWS_SECRET_ACCESS_KEY:-}
  # The key of the bucket of the backups is better another one than that of the uploads.
  export AWS_ACCESS_KEY_ID=${LECTERN_BACKUP_S3_KEY_ID:-${AWS_ACCESS_KEY_ID:-}}
  export AWS_SECRET_ACCESS_KEY=${LECTERN_BACKUP_S3_SECRET:-${AWS_SECRET_ACCESS_KEY:-}}
}

# Ends with what to do when the repository isn't there, or the key is another.
open_repository() {
  local answer
  answer=$(restic cat config 2>&1 >/dev/null) && return
  case $answer in
    *'wrong password'* | *'no key found'*) die "the key in $LECTERN_BACKUP_PASSWORD_FILE doesn't open $RESTIC_REPOSITORY: use the one that it was made with" ;;
    *) die "the repository $RESTIC_REPOSITORY can't be opened: ${answer##*$'\n'} (is its disk mounted? 'backup.sh init' makes a new one)" ;;
  esac
}

# check_dump FILE COUNTS: the whole archive can be read, and has every table that COUNTS names.
# Its list of contents stands at its beginning, so that of a dump that was cut short it is whole.
check_dump() {
  local contents table
  contents=$(pg_restore --list "$1" 2>&1) || { say "the dump isn't one: $contents"; return 1; }
  pg_restore --file=/dev/null "$1" 2>"$state/dump-check.log" || { say "the dump can't be read to its end: $(tail -1 "$state/dump-check.log")"; return 1; }
  while IFS=$'\t' read -r table _; do
    grep -q " TABLE DATA public $table " <<<"$contents" || { say "the dump lacks the table $table"; return 1; }
  done <"$2"
}

# find_snapshot latest|ID: sets `snapshot`, and where in it the dump and the files are, which keep the paths that they had
find_snapshot() {
  local found
  found=$(restic snapshots --json --host "$installation" --tag lectern "$1" 2>/dev/null | jq -c '.[-1] // empty') || true
  [ -n "$found" ] || die "there is no snapshot '$1' of '$installation' in $RESTIC_REPOSITORY: 'backup.sh list' shows those that are there"
  snapshot=$(jq -r .short_id <<<"$found")
  snapshot_time=$(jq -r .time <<<"$found")
  snapshot_stage=$(jq -er '.paths[] | select(endswith("/lectern-stage"))' <<<"$found") || die "the snapshot $snapshot has no dump: it isn't one of backup.sh"
  snapshot_files=$(jq -er '.paths[] | select(endswith("/lectern-stage") | not)' <<<"$found") || die "the snapshot $snapshot has no files: it isn't one of backup.sh"
}

# take_out FOLDER: the whole snapshot into FOLDER; sets `stage` and `files`, the folders of the dump and of the uploads in it
take_out() {
  say "taking snapshot $snapshot of $snapshot_time from $RESTIC_REPOSITORY"
  restic restore --quiet --target "$1" "$snapshot" || die "the snapshot $snapshot can't be read whole: 'restic check --read-data' says what is damaged; try another snapshot or the offsite copy"
  stage=$1$snapshot_stage files=$1$snapshot_files
}

# load_dump URL: the dump into that empty database
load_dump() {
  pg_restore --exit-on-error --no-owner --no-privileges --jobs="${LECTERN_RESTORE_JOBS:-2}" --dbname="$1" "$stage/database.dump"
}

# compare_rows URL: every table has as many rows as the moment of the dump had
compare_rows() {
  local table wanted found differ=0
  while IFS=$'\t' read -r table wanted; do
    found=$(sql "$1" -c "select count(*) from \"$table\"") || found=none
    [ "$found" = "$wanted" ] || { say "$table has $found rows, the dump had $wanted"; differ=1; }
  done <"$stage/counts.tsv"
  return $differ
}

# compare_files: every file that the dump names is there with the SHA-256 that its row says. Sets `unseen`: those that aren't
# there, which is right only of files that somebody has deleted while the backup was made.
compare_files() {
  local key
  unseen=()
  while read -r _ key; do
    [ -e "$files/$key" ] || unseen+=("$key")
  done <"$stage/files.sha256"
  (cd "$files" && sha256sum --check --quiet --ignore-missing --strict "$stage/files.sha256" >"$state/files-check.log" 2>&1) ||
    # With no file at all sha256sum fails, too, which isn't that a file is wrong.
    ! grep -q ': FAILED' "$state/files-check.log" || { say "files differ from what their rows say: $(head -3 "$state/files-check.log")"; return 1; }
}

# still_named KEY...: how many of these files rows of the running Lectern name
still_named() {
  [ $# -gt 0 ] || { echo 0; return; }
  printf '%s\n' "$@" >"$state/unseen"
  sql "$database_url" <<SQL
create temporary table unseen (key text);
\\copy unseen from '$state/unseen'
select count(*) from unseen where exists (select from versions where blob_key = key);
SQL
}

# bucket_rclone COMMAND...: rclone with the key and the address of the bucket that the uploads are in
bucket_rclone() {
  # rclone 1.60, that of Debian 12, can't be told of authorities by AWS_CA_BUNDLE.
  env -u AWS_CA_BUNDLE AWS_ACCESS_KEY_ID="$uploads_key_id" AWS_SECRET_ACCESS_KEY="$uploads_secret" \
    rclone ${AWS_CA_BUNDLE:+--ca-cert "$AWS_CA_BUNDLE"} --config /dev/null --s3-provider Other --s3-env-auth \
    --s3-endpoint "${AWS_ENDPOINT:-}" --s3-region "${AWS_REGION:-us-east-1}" --s3-no-check-bucket --stats 0 "$@"
}
