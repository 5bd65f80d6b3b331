#!/usr/bin/env bash
# Puts a release of Lectern on a server that runs deploy/compose.prod.yml, and goes back by itself when it isn't healthy.
#
#   deploy/deploy.sh frontend|backend|full --version VERSION [--blue-green] [--host USER@SERVER] [--dry-run] [--skip-backup]
#   deploy/deploy.sh maintenance on|off
#
#   frontend     nginx with the page and the widget (web)
#   backend      the API and the workers
#   full         both, the backend first
#   --blue-green the new API and workers start beside the old ones and take over when they are healthy; the old ones end when
#                nobody uses them any more. Without it readers see the page of maintenance while they are replaced.
#   --host       bring images and this folder there over ssh, and run this script there
#
# In this order: look whether it can work at all; back up, and stop if that fails; bring the schema up to date, while the old
# release goes on (a migration leaves the schema readable by the release before: it adds first, and takes away a release
# later, so going back needs no other schema); replace; wait until all is healthy, or go back to the images that were there.
# nginx owns its ports, so replacing it takes a second in which nobody connects, --blue-green or not.
#
# Settings (environment): LECTERN_ENV_FILE (deploy/production.env: what compose reads), LECTERN_COMPOSE_FILES (compose.prod.yml, and
# compose.backup.yml if a service backup is wanted; separated by blanks), LECTERN_COMPOSE_PROJECT (lectern),
# LECTERN_DEPLOY_DEADLINE_SECONDS (120: until healthy), LECTERN_DEPLOY_DRAIN_SECONDS (600: until the old ones are unused),
# LECTERN_DEPLOY_FREE_MIB (2048: free disk), LECTERN_BACKUP_COMMAND (what backs up; by default the service backup),
# LECTERN_HOST_FOLDER (/opt/lectern: where --host puts this), LECTERN_DEPLOY_STATE (/var/lib/lectern-deploy).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR source=lib/common.sh
. "$here/lib/common.sh"

project=${LECTERN_COMPOSE_PROJECT:-lectern}
env_file=${LECTERN_ENV_FILE:-$here/production.env}
deadline=${LECTERN_DEPLOY_DEADLINE_SECONDS:-120}
drain=${LECTERN_DEPLOY_DRAIN_SECONDS:-600}
free_mib=${LECTERN_DEPLOY_FREE_MIB:-2048}
state=${LECTERN_DEPLOY_STATE:-/var/lib/lectern-deploy}
read -ra compose_files <<<"${LECTERN_COMPOSE_FILES:-$here/compose.prod.yml}"

main() {
  what=${1:-} version='' host='' blue_green='' dry_run='' skip_backup=''
  local arguments=("$@")
  case $what in
    frontend) services=(web) ;;
    backend) services=(api worker) ;;
    full) services=(api worker web) ;;
    maintenance) maintenance_by_hand "${2:-}"; return ;;
    *) usage; exit 2 ;;
  esac
  shift
  while [ $# -gt 0 ]; do
    case $1 in
      --version) version=${2:?--version VERSION}; shift 2 ;;
      --host) host=${2:?--host USER@SERVER}; shift 2 ;;
      --blue-green) blue_green=yes; shift ;;
      --dry-run) dry_run=yes; shift ;;
      --skip-backup) skip_backup=yes; shift ;;
      *) usage; exit 2 ;;
    esac
  done
  [[ $version =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || die "--version says which release: the tag of its images, such as 1.4.0"
  local name
  for name in deadline drain free_mib; do whole_number "$name"; done
  if [ -n "$host" ]; then over_there "${arguments[@]}"; return; fi
  begun=$(date +%s)
  [ -n "$dry_run" ] || lock "$state/lock"
  check_before
  back_up
  if [ "$what" != frontend ]; then migrate; fi
  replaced=''
  trap give_up EXIT
  if [ -n "$blue_green" ] && [ "$what" != frontend ]; then replace_beside; else replace_in_place; fi
  # What else stands in the compose files and doesn't run yet.
  [ "$what" != full ] || act compose up --detach --no-build --no-recreate
  trap - EXIT
  if [ -n "$dry_run" ]; then say 'dry run: nothing was changed'; return; fi
  say "$what is version $version, after $(seconds_since "$begun") s"
}

# ---------------------------------------------------------------- the means

# compose_as VERSION ARGUMENTS...
compose_as() {
  local file arguments=(--project-name "$project" --env-file "$env_file")
  for file in "${compose_files[@]}"; do arguments+=(--file "$file"); done
  LECTERN_VERSION=$1 docker compose "${arguments[@]}" "${@:2}"
}
compose() { compose_as "$version" "$@"; }

# act COMMAND...: what changes something, which a dry run only says
act() {
  if [ -n "$dry_run" ]; then say "would run: $*"; else "$@"; fi
}

containers() { docker ps --quiet --no-trunc --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.service=$1" --filter "label=com.docker.compose.oneoff=False"; }
name_of() { docker inspect --format '{{slice .Name 1}}' "$1"; }
image_of() { docker inspect --format '{{.Config.Image}}' "$1"; }
health_of() { docker inspect --format '{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}' "$1" 2>/dev/null; }

# within SECONDS COMMAND...
within() {
  local until=$(($(date +%s) + $1))
  shift
  until "$@"; do
    [ "$(date +%s)" -lt "$until" ] || return 1
    sleep 0.5
  done
}

# web COMMAND...: in nginx's container, which reaches the API and has wget
web() { compose exec -T web "$@"; }
get_from() { web wget -q -T 5 -O - "http://$1" </dev/null; }

# ---------------------------------------------------------------- before

check_before() {
  local service free image
  docker version >/dev/null 2>&1 || die 'Docker does not answer: is it running, and may you use it?'
  docker compose version >/dev/null 2>&1 || die 'docker compose is missing: apt-get install docker-compose-plugin'
  [ -r "$env_file" ] || die "LECTERN_ENV_FILE=$env_file can't be read"
  compose config --quiet || die 'the compose files do not fit together with their settings (see above)'
  free=$(df --output=avail -m "$(docker info --format '{{.DockerRootDir}}')" 2>/dev/null | tail -1) || free=''
  [ -z "$free" ] || [ "$free" -ge "$free_mib" ] || die "the disk has $free MiB left and a deploy wants $free_mib: run deploy/maintenance.sh"
  for service in "${services[@]}"; do
    image=$(compose config --images "$service" | grep "lectern-$service:")
    docker image inspect "$image" >/dev/null 2>&1 || compose pull --quiet "$service" >/dev/null 2>&1 ||
      die "there is no image $image here, and it can't be pulled: build it, or bring it with --host from where it is"
  done
  # The very first deploy finds nothing.
  [ -n "$(containers postgres)" ] || act compose up --detach --wait postgres redis
  for service in postgres redis; do
    all_healthy "$service" || die "$service isn't healthy: mend that first (docker compose logs $service)"
  done
  remember
  say "$what: ${previous[*]:-nothing} becomes $version"
}

# What runs now, to go back to: a version for each service.
remember() {
  local service container image
  declare -gA previous=()
  for service in "${services[@]}"; do
    for container in $(containers "$service"); do
      image=$(image_of "$container")
      previous[$service]=${image##*:}
    done
  done
}

all_healthy() {
  local container found=''
  for container in $(containers "$1"); do
    found=yes
    [ "$(health_of "$container")" = healthy ] || return 1
  done
  [ -n "$found" ]
}

back_up() {
  [ "$what" != frontend ] || return 0 # which changes no data
  if [ -n "$skip_backup" ]; then say 'no backup, as asked'; return; fi
  local command
  read -ra command <<<"${LECTERN_BACKUP_COMMAND:-}"
  if [ ${#command[@]} = 0 ]; then
    compose config --services | grep -qx backup || die 'there is no service backup: add compose.backup.yml to LECTERN_COMPOSE_FILES, set LECTERN_BACKUP_COMMAND, or say --skip-backup'
    command=(compose run --rm -T --no-deps backup backup.sh)
  fi
  say 'backing up'
  act "${command[@]}" </dev/null || die 'the backup failed: nothing was changed'
}

# By the new image, with the old release at work.
migrate() {
  say 'bringing the schema up to date'
  act compose run --rm -T --no-deps api migrate </dev/null || die 'the migrations failed: the old release goes on as it was'
}

# ---------------------------------------------------------------- maintenance

maintenance_on() { act flags touch /run/lectern/maintenance; }
maintenance_off() { act flags rm -f /run/lectern/maintenance; }

# flags COMMAND...: with nginx's folder of flags, which nginx itself can only read
flags() {
  local container image=''
  for container in $(containers web); do image=$(image_of "$container"); done
  docker run --rm --network none --user root --volume "${project}_maintenance:/run/lectern" --entrypoint "$1" "${image:-lectern-web:$version}" "${@:2}"
}

maintenance_by_hand() {
  version=${LECTERN_VERSION:-latest}
  case $1 in
    on) maintenance_on; say 'readers see the page of maintenance' ;;
    off) maintenance_off; say 'readers see Lectern' ;;
    *) usage; exit 2 ;;
  esac
}

# ---------------------------------------------------------------- in place

replace_in_place() {
  local service
  for service in "${services[@]}"; do
    # With both running, replaced one after the other.
    case $service in
      api) maintenance_on; replaced="api worker"; act compose up --detach --no-deps --no-build api worker ;;
      web) [ "$what" = frontend ] || backend_is_green; replaced="$replaced web"; act compose up --detach --no-deps --no-build web ;;
    esac
  done
  if [ "$what" = frontend ]; then web_is_green; else
    backend_is_green
    [ "$what" != full ] || web_is_green
    # The flag is in a volume: it outlives nginx.
    maintenance_off
  fi
}

backend_is_green() {
  [ -z "$dry_run" ] || return 0
  say "waiting until the API and the workers are healthy, up to $deadline s"
  if ! { within "$deadline" runs_as api "$version" && within "$deadline" runs_as worker "$version" && within "$deadline" reports_ready; }; then
    show_why api worker
    return 1
  fi
}

web_is_green() {
  [ -z "$dry_run" ] || return 0
  if ! { within "$deadline" runs_as web "$version" && within "$deadline" reports_ready; }; then
    show_why web
    return 1
  fi
}

# runs_as SERVICE VERSION: all of its containers, and at least one, are of that version and healthy
runs_as() {
  local container
  all_healthy "$1" || return 1
  for container in $(containers "$1"); do [[ $(image_of "$container") == *":$2" ]] || return 1; done
}

# Questions can be answered: PostgreSQL, Redis and a worker are there. At a first deploy nginx, which is asked, comes later.
reports_ready() {
  local container
  [ -n "$(containers web)" ] || return 0
  for container in $(containers api); do get_from "$(name_of "$container"):8080/api/v1/health" >/dev/null 2>&1 || return 1; done
}

show_why() { say "not healthy: $*"; compose logs --tail 20 --no-log-prefix "$@" >&2 || true; }

# ---------------------------------------------------------------- beside the old ones

replace_beside() {
  local old_api old_worker
  mapfile -t old_api < <(containers api)
  mapfile -t old_worker < <(containers worker)
  [ ${#old_api[@]} = 1 ] || die "--blue-green replaces one API, and there are ${#old_api[@]}: deploy without it"
  # From now on nginx asks the old one by its own name: the new one is found under the name api, too, before it is ready.
  replaced=beside
  beside=("${old_api[@]}" "${old_worker[@]}")
  send_requests_to "$(name_of "${old_api[0]}")"
  act compose up --detach --no-deps --no-build --no-recreate --scale api=2 --scale "worker=$((${#old_worker[@]} * 2))" api worker
  if [ -n "$dry_run" ]; then say 'would wait for the new ones, send requests to them, wait until the old ones are unused, and stop them'; else take_over; fi
  if [ "$what" = full ]; then
    services=(web)
    replaced=web
    act compose up --detach --no-deps --no-build web
    web_is_green
  fi
  replaced=''
}

# The new ones are there: as soon as they are healthy they get the requests, and the old ones end.
take_over() {
  local new_api
  within "$deadline" new_are_healthy || { show_why api worker; return 1; }
  new_api=$(newest api)
  within "$deadline" get_from "$(name_of "$new_api"):8080/api/v1/health" >/dev/null || { show_why api; return 1; }
  send_requests_to "$(name_of "$new_api")"
  say "new requests go to $(name_of "$new_api"); waiting until the old API is unused, up to $drain s"
  within "$drain" is_unused "$(name_of "${beside[0]}")" || say 'streams are still open at the old API: they end now, and clients come back for the rest'
  # Workers end the jobs that they have, or hand them to the new ones.
  docker stop "${beside[@]}" >/dev/null
  docker rm "${beside[@]}" >/dev/null
  send_requests_to ''
}

# send_requests_to NAME: which API nginx asks; with none the service, whoever that is. It reads that anew with a reload, in
# which no connection is lost: old nginx workers end with their last stream.
send_requests_to() {
  if [ -n "$1" ]; then
    # shellcheck disable=SC2016 # the container's shell has $1
    act flags sh -c 'printf "\"\" \"%s:8080\";\n" "$1" >/run/lectern/upstream.map.new && mv /run/lectern/upstream.map.new /run/lectern/upstream.map' - "$1"
  else
    act flags rm -f /run/lectern/upstream.map
  fi
  act compose kill --signal HUP web
  # A reload takes a moment, in which requests still go the old way.
  [ -n "$dry_run" ] || sleep 2
}

newest() { # SERVICE: its container that isn't one of the old ones
  local container
  for container in $(containers "$1"); do [[ " ${beside[*]} " == *" $container "* ]] || { echo "$container"; return; }; done
}

new_are_healthy() {
  local service container found
  for service in api worker; do
    found=''
    for container in $(containers "$service"); do
      [[ " ${beside[*]} " != *" $container "* ]] || continue
      found=yes
      [ "$(health_of "$container")" = healthy ] && [[ $(image_of "$container") == *":$version" ]] || return 1
    done
    [ -n "$found" ] || return 1
  done
}

# No stream, and no request but the one that asks.
is_unused() {
  local metrics
  metrics=$(get_from "$1:8080/metrics") || return 0 # it is gone
  awk '/^lectern_streams_open/ { streams += $2 } END { exit streams > 0 }' <<<"$metrics"
}

# ---------------------------------------------------------------- back

# At any end but a good one: what was replaced becomes what it was. Maintenance stays on if that fails, too.
give_up() {
  local code=$? service
  trap - EXIT
  [ "$code" != 0 ] || code=1
  if [ -z "$replaced" ] || [ -n "$dry_run" ]; then
    [ -n "$dry_run" ] || maintenance_off || true
    say 'nothing was replaced'
    exit "$code"
  fi
  say "version $version isn't healthy: going back"
  if [ "$replaced" = beside ]; then
    go_back_to_the_old_ones
  else
    for service in $replaced; do
      [ -n "${previous[$service]:-}" ] || { say "there is no $service to go back to: maintenance stays on"; exit "$code"; }
      compose_as "${previous[$service]}" up --detach --no-deps --no-build "$service" || true
    done
    for service in $replaced; do
      within "$deadline" runs_as "$service" "${previous[$service]}" || { say "$service of ${previous[$service]} isn't healthy either: maintenance stays on"; exit "$code"; }
    done
    maintenance_off
  fi
  say "${previous[*]} runs as before; version $version is not in use"
  exit "$code"
}

go_back_to_the_old_ones() {
  local service container new=()
  for service in api worker; do
    for container in $(docker ps --all --quiet --no-trunc --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.service=$service" --filter label=com.docker.compose.oneoff=False); do
      [[ " ${beside[*]} " == *" $container "* ]] || new+=("$container")
    done
  done
  send_requests_to "$(name_of "${beside[0]}")"
  [ ${#new[@]} = 0 ] || docker rm --force "${new[@]}" >/dev/null
  send_requests_to ''
}

# ---------------------------------------------------------------- on another machine

# shellcheck disable=SC2029 # what is quoted here is for there
over_there() {
  local folder=${LECTERN_HOST_FOLDER:-/opt/lectern} argument passed=() service image skip=''
  ssh -o BatchMode=yes -o ConnectTimeout=10 "$host" true || die "$host can't be entered over ssh with a key"
  for argument in "$@"; do
    if [ -n "$skip" ]; then skip=''; continue; fi
    if [ "$argument" = --host ]; then skip=yes; else passed+=("$argument"); fi
  done
  for service in "${services[@]}"; do
    image=lectern-$service:$version
    docker image inspect "$image" >/dev/null 2>&1 || continue # it is there already, or in a registry
    ssh "$host" docker image inspect "$image" >/dev/null 2>&1 && continue
    say "bringing $image"
    if [ -n "$dry_run" ]; then continue; fi
    docker save "$image" | gzip -1 | ssh "$host" 'gunzip | docker load' >/dev/null
  done
  say "bringing $(basename "$here")"
  [ -n "$dry_run" ] || tar -C "$here/.." --exclude=production.env --exclude=lectern.env --exclude='*.key' --exclude=tls --exclude=acme --exclude=backups --exclude=dev --exclude=test -c deploy grafana | ssh "$host" "mkdir -p '$folder' && tar -C '$folder' -x"
  ssh "$host" "$(printf '%q ' "$folder/deploy/deploy.sh" "${passed[@]}")"
}

main "$@"
