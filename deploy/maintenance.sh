#!/usr/bin/env bash
# Looks after a server of Lectern: removes what Docker has left over, measures disks, memory, certificates, tables and
# indexes for alerts, asks the doctor, and lists the backups. It mends nothing but Docker's leftovers.
#
#   deploy/maintenance.sh             all of it
#   deploy/maintenance.sh --dry-run   say what would be removed, measure the rest
#
# A step that fails doesn't keep the others from running; the script then ends with 1. What isn't set is left out.
#
# Settings (environment or LECTERN_OPS_ENV): LECTERN_DATABASE_URL; LECTERN_WORKER_BIN with LECTERN_BLOBS (for the doctor);
# LECTERN_CERTIFICATES (files, separated by blanks; one that isn't there is left out); LECTERN_WATCH_PATHS (/);
# LECTERN_METRICS_DIR; LECTERN_MAINTENANCE_PLACE (host: what this run's metrics are told apart by, where the service backup runs it,
# too); LECTERN_COMPOSE_PROJECT (lectern); LECTERN_IMAGES_KEPT (3: versions of each image, for going back);
# LECTERN_BUILD_CACHE_KEPT (2GB); and those of backup.sh, for the list of backups.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR source=lib/common.sh
. "$here/lib/common.sh"
load_settings

project=${LECTERN_COMPOSE_PROJECT:-lectern}
place=${LECTERN_MAINTENANCE_PLACE:-host}
images_kept=${LECTERN_IMAGES_KEPT:-3}
dry_run=''

main() {
  case ${1:-} in
    '') ;;
    --dry-run) dry_run=yes ;;
    *) usage; exit 2 ;;
  esac
  whole_number images_kept
  [[ $place =~ ^[a-z_]+$ ]] || die "LECTERN_MAINTENANCE_PLACE is '$place': it must be a word of small letters"
  failed=0
  if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
    step prune_containers
    step prune_images
    step measure_docker
  fi
  step measure_disks
  step measure_certificates
  if [ -n "${LECTERN_DATABASE_URL:-}" ]; then
    use_postgres_programs
    connection "$LECTERN_DATABASE_URL"
    step measure_tables
  fi
  if command -v "${LECTERN_WORKER_BIN:-lectern-worker}" >/dev/null; then step ask_the_doctor; fi
  if [ -n "${LECTERN_BACKUP_REPOSITORY:-}" ]; then step list_backups; fi
  {
    echo "lectern_maintenance_failed_steps{place=\"$place\"} $failed"
    echo "lectern_maintenance_last_run_timestamp_seconds{place=\"$place\"} $(date +%s)"
  } | write_metrics "lectern_maintenance_$place"
  [ "$failed" = 0 ] || die "$failed steps failed, see above"
  say 'maintenance is done'
}

# step NAME: by itself, in a subshell where its first failing command ends it
step() {
  local code=0
  set +e
  (set -e; "$1")
  code=$?
  set -e
  [ "$code" = 0 ] || { say "step failed: ${1//_/ }"; failed=$((failed + 1)); }
}

# ---------------------------------------------------------------- Docker

prune_containers() {
  if [ -n "$dry_run" ]; then
    docker ps --all --filter status=exited --filter "label=com.docker.compose.project=$project" --format 'would remove the container {{.Names}}' >&2
  else
    docker container prune --force --filter until=24h --filter "label=com.docker.compose.project=$project" >&2
  fi
}

# Images without a name, old builds, and versions of Lectern before the last few. What a container uses Docker keeps anyway.
prune_images() {
  local name images old image
  images=$(docker images --format '{{.Repository}}:{{.Tag}}')
  for name in api worker web backup; do
    # Newest first, as docker lists them, from whichever registry; there may be none.
    old=$(awk -v name="lectern-$name" -v kept="$images_kept" '
      { repository = $0; sub(/:[^:]*$/, "", repository); tag = substr($0, length(repository) + 2); sub(/.*\//, "", repository) }
      repository == name && tag != "<none>" && ++found > kept' <<<"$images")
    for image in $old; do
      if [ -n "$dry_run" ]; then say "would remove $image"
      elif docker rmi "$image" >/dev/null 2>&1; then say "removed $image"
      else say "$image is in use"; fi
    done
  done
  [ -z "$dry_run" ] || return 0
  docker image prune --force >&2
  docker builder prune --force --keep-storage "${LECTERN_BUILD_CACHE_KEPT:-2GB}" >&2
}

measure_docker() {
  docker system df --format '{{.Type}}\t{{.Size}}' | while IFS=$'\t' read -r type size; do
    printf 'lectern_docker_bytes{type="%s"} %s\n' "$type" "$(numfmt --from=auto "$(sed -E 's/B$//; s/k$/K/' <<<"$size")")"
  done | write_metrics lectern_docker
}

# ---------------------------------------------------------------- the machine

measure_disks() {
  local path paths
  read -ra paths <<<"${LECTERN_WATCH_PATHS:-/}"
  {
    for path in "${paths[@]}"; do
      df --output=avail,size -B1 "$path" | awk -v path="$path" -v place="$place" 'NR == 2 { printf "lectern_disk_free_ratio{path=\"%s\",place=\"%s\"} %.4f\n", path, place, $1 / $2 }'
    done
    for path in "${paths[@]}"; do printf 'lectern_disk_free_bytes{path="%s",place="%s"} %s\n' "$path" "$place" "$(df --output=avail -B1 "$path" | tail -1 | tr -d ' ')"; done
    awk -v place="$place" '/^MemTotal/ { all = $2 } /^MemAvailable/ { free = $2 } END { printf "lectern_memory_available_ratio{place=\"%s\"} %.4f\n", place, free / all }' /proc/meminfo
  } | write_metrics "lectern_machine_$place"
}

measure_certificates() {
  local file files end name
  read -ra files <<<"${LECTERN_CERTIFICATES:-}"
  for file in "${files[@]}"; do
    # As with LECTERN_TLS=off.
    [ -e "$file" ] || { say "there is no certificate $file"; continue; }
    end=$(openssl x509 -in "$file" -noout -enddate | cut -d= -f2)
    name=$(openssl x509 -in "$file" -noout -ext subjectAltName | grep -o 'DNS:[^,]*' | sed -n 1p | cut -d: -f2)
    printf 'lectern_certificate_end_timestamp_seconds{name="%s",place="%s"} %s\n' "${name:-$file}" "$place" "$(date -d "$end" +%s)"
  done | write_metrics "lectern_certificates_$place"
}

# ---------------------------------------------------------------- Lectern

measure_tables() { sql "$database_url" --file "$here/lib/health.sql" | write_metrics lectern_tables; }

# It ends with 1 when it has found something, and with 2 when it couldn't look.
ask_the_doctor() {
  local found code=0
  found=$(LECTERN_LOG=warn "${LECTERN_WORKER_BIN:-lectern-worker}" doctor) || code=$?
  [ "$code" -lt 2 ] || return 1
  [ "$code" = 0 ] || say "$found"
  echo "lectern_doctor_findings $(grep -oE '^[0-9]+ found' <<<"$found" | cut -d' ' -f1 || true)" |
    sed 's/findings $/findings 0/' | write_metrics lectern_doctor
}

list_backups() { "$here/backup.sh" list >&2; }

main "$@"
