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
#                nobody uses them any more. nginx stays, and gets the new page and settings by a reload, in which no connection
#                is lost. Without it readers see the page of maintenance while the backend is replaced, and nobody connects in
#                the second in which nginx is.
#   --host       bring images and this folder there over ssh, and run this script there, with the settings below as they are here
#
# As many workers run afterwards as before, or as LECTERN_WORKERS says.
#
# In this order: look whether it can work at all; back up, and stop if that fails; bring the schema up to date, while the old
# release goes on (a migration leaves the schema readable by the release before: it adds first, and takes away a release
# later, so going back needs no other schema); replace; wait until all is healthy, or go back to the images that were there.
# A version of nginx itself comes with a deploy without --blue-green alone, which replaces its container.
#
# Settings (environment): LECTERN_ENV_FILE (deploy/production.env: what compose reads), LECTERN_COMPOSE_FILES (compose.prod.yml, and
# compose.backup.yml once there is deploy/backup.key; separated by blanks), LECTERN_COMPOSE_PROJECT (lectern),
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
compose_files_default=$here/compose.prod.yml
[ ! -e "$here/backup.key" ] || compose_files_default+=" $here/compose.backup.yml"
read -ra compose_files <<<"${LECTERN_COMPOSE_FILES:-$compose_files_default}"
# What --host hands on, if it is set here.
settings_handed_on=(LECTERN_ENV_FILE LECTERN_COMPOSE_FILES LECTERN_COMPOSE_PROJECT LECTERN_DEPLOY_DEADLINE_SECONDS LECTERN_DEPLOY_DRAIN_SECONDS
  LECTERN_DEPLOY_FREE_MIB LECTERN_BACKUP_COMMAND LECTERN_DEPLOY_STATE LECTERN_WORKERS)

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
  case $blue_green:$what in
    yes:frontend) replace_page ;;
    yes:*) replace_beside ;;
    *) replace_in_place ;;
  esac
  trap - EXIT
  look_after_the_others
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

# containers SERVICE [FILTER...]: those that run, or those of other filters of docker ps
containers() {
  docker ps --quiet --no-trunc --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.service=$1" --filter "label=com.docker.compose.oneoff=False" "${@:2}"
}
name_of() { docker inspect --format '{{slice .Name 1}}' "$1"; }
image_of() { docker inspect --format '{{.Config.Image}}' "$1"; }
health_of() { docker inspect --format '{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}' "$1" 2>/dev/null; }

# The image of a service as the compose files name it, with its registry.
image_named() { compose config --images "$1" | grep "lectern-$1:"; }
has_image() { docker image inspect "$1" >/dev/null 2>&1; }
has_service() { compose config --services | grep -x "$1" >/dev/null; }

# setting NAME: of the environment, or of the file that compose reads
setting() { if [ -n "${!1:-}" ]; then echo "${!1}"; else sed -n "s/^$1=//p" "$env_file" | tail -1; fi; }

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
    image=$(image_named "$service")
    has_image "$image" || compose pull --quiet "$service" >/dev/null 2>&1 ||
      die "there is no image $image here, and it can't be pulled: build it, or bring it with --host from where it is"
  done
  choose_backup
  # The very first deploy finds nothing.
  [ -n "$(containers postgres)" ] || act compose up --detach --wait postgres redis
  for service in postgres redis; do
    [ -n "$dry_run" ] && [ -z "$(containers "$service")" ] || all_healthy "$service" || die "$service isn't healthy: mend that first (docker compose logs $service)"
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
  # A page may have been laid over that of the image.
  if [ -n "${previous[web]:-}" ]; then previous[web]=$(page_version); fi
  workers=$(setting LECTERN_WORKERS)
  [ -z "$workers" ] || whole_number workers
  [ -n "$workers" ] || workers=$(containers worker | wc -l)
  # As many as the compose files say when none is there yet.
  scale=()
  [ "$workers" = 0 ] || scale=(--scale "worker=$workers")
}

all_healthy() {
  local container found=''
  for container in $(containers "$1"); do
    found=yes
    [ "$(health_of "$container")" = healthy ] || return 1
  done
  [ -n "$found" ]
}

# Sets `backup`, the command. The image is that of the release, or the one that has made the backups so far.
choose_backup() {
  backup=()
  if [ "$what" = frontend ] || [ -n "$skip_backup" ]; then return 0; fi
  read -ra backup <<<"${LECTERN_BACKUP_COMMAND:-}"
  [ ${#backup[@]} = 0 ] || return 0
  has_service backup || die 'there is no service backup: make deploy/backup.key (deploy/BACKUPS.md), set LECTERN_BACKUP_COMMAND, or say --skip-backup'
  local image with=$version
  image=$(image_named backup)
  if ! has_image "$image" && ! compose pull --quiet backup >/dev/null 2>&1; then
    with=$(containers backup | sed -n 1p)
    [ -n "$with" ] || die "there is no image $image, and no other that has made backups: build it (deploy/backup.Dockerfile), or say --skip-backup"
    with=$(image_of "$with")
    with=${with##*:}
    say "there is no $image: the backup is made by that of $with"
  fi
  backup=(compose_as "$with" run --rm -T --no-deps backup backup.sh)
}

back_up() {
  [ "$what" != frontend ] || return 0 # which changes no data
  if [ -n "$skip_backup" ]; then say 'no backup, as asked'; return; fi
  say 'backing up'
  act "${backup[@]}" </dev/null || die 'the backup failed: nothing was changed'
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
  # At a first deploy there is no nginx yet; those of the backend have a shell, too.
  [ -n "$image" ] || image=$(image_named "${services[0]}")
  with_flags "$image" "$@"
}
with_flags() { # IMAGE COMMAND...
  docker run --rm --network none --user root --volume "${project}_maintenance:/run/lectern" --entrypoint "$2" "$1" "${@:3}"
}

maintenance_by_hand() {
  version=${LECTERN_VERSION:-latest} services=(web)
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
      api) maintenance_on; replaced="api worker"; act compose up --detach --no-deps --no-build "${scale[@]}" api worker ;;
      web) [ "$what" = frontend ] || backend_is_green; replaced="$replaced web"; act use_page_of_image; act compose up --detach --no-deps --no-build --force-recreate web ;;
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

# What else stands in the compose files: what doesn't run yet, the backups of this release, and Prometheus with its rules.
look_after_the_others() {
  local container
  if [ "$what" = full ]; then act compose up --detach --no-build --no-recreate "${scale[@]}" || say 'not all of the other services run: look at docker compose ps'; fi
  [ "$what" != frontend ] || return 0
  if has_service backup && has_image "$(image_named backup)"; then
    act compose up --detach --no-deps --no-build backup || say 'the service backup does not run: look at its log'
  fi
  for container in $(containers prometheus); do
    act docker exec "$container" sh -c 'kill -HUP 1' || say 'Prometheus did not read its rules anew'
  done
}

# ---------------------------------------------------------------- beside the old ones

replace_beside() {
  local old_api old_worker new_workers
  clear_away_what_has_stopped
  mapfile -t old_api < <(containers api)
  mapfile -t old_worker < <(containers worker)
  [ ${#old_api[@]} = 1 ] || die "--blue-green replaces one API, and there are ${#old_api[@]}: deploy without it"
  new_workers=$workers
  [ "$new_workers" != 0 ] || new_workers=1
  # From now on nginx asks the old one by its own name: the new one is found under the name api, too, before it is ready.
  replaced=beside
  beside=("${old_api[@]}" "${old_worker[@]}")
  send_requests_to "$(name_of "${old_api[0]}")"
  act compose up --detach --no-deps --no-build --no-recreate --scale api=2 --scale "worker=$((${#old_worker[@]} + new_workers))" api worker
  if [ -n "$dry_run" ]; then say 'would wait for the new ones, send requests to them, wait until the old ones are unused, and stop them'; else take_over; fi
  if [ "$what" = full ]; then replace_page; fi
  replaced=''
}

# A container that has ended counts for Compose, which would start it again, of the old image, in the place of a new one.
clear_away_what_has_stopped() {
  local service container
  for service in api worker; do
    for container in $(containers "$service" --filter status=exited --filter status=created --filter status=dead); do
      say "removing $(name_of "$container"), which has stopped"
      act docker rm --force "$container" >/dev/null
    done
  done
}

# The new ones are there: as soon as they are healthy they get the requests, and the old ones end.
take_over() {
  local new_api
  within "$deadline" new_are_healthy || { show_why api worker; return 1; }
  new_api=$(newest api)
  within "$deadline" get_from "$(name_of "$new_api"):8080/api/v1/health" >/dev/null || { show_why api; return 1; }
  send_requests_to "$(name_of "$new_api")"
  say "new requests go to $(name_of "$new_api"); waiting until the old API is unused, up to $drain s"
  within "$drain" is_unused "${beside[0]}" || say 'requests are still open at the old API: they end now, and streams come back for the rest'
  # From here on there is no way back: the old ones go, and whatever fails must leave the new ones.
  replaced=taken
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
  act reload
  # A reload takes a moment, in which requests still go the old way.
  [ -n "$dry_run" ] || sleep 2
}

# By nginx itself: `docker kill --signal HUP` would make Docker take the container for one that was stopped by hand, and not
# start it after a reboot (moby#41302). Without nginx there is nothing to read anew.
reload() { [ -z "$(containers web)" ] || web nginx -e stderr -c /tmp/nginx/nginx.conf -s reload; }

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

# is_unused CONTAINER: nginx has no connection to that API, which is one for each request, be it a stream, an upload or an answer.
is_unused() {
  local address connections a b c d
  address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' "$1" 2>/dev/null | cut -d' ' -f1) || return 0 # it is gone
  IFS=. read -r a b c d <<<"$address"
  connections=$(web cat /proc/net/tcp </dev/null) || return 0 # no nginx, no request
  # The kernel writes addresses as its processor stores them; 1F90 is 8080, and 01 a connection that is open.
  awk -v to="$(printf '%02X%02X%02X%02X:1F90' "$d" "$c" "$b" "$a")" '$3 == to && $4 == "01" { open++ } END { exit open > 0 }' <<<"$connections"
}

# ---------------------------------------------------------------- the page, with nginx at work

# The new image's page and settings go into the folder of flags, and nginx reads them with a reload: its ports stay open, and
# streams go on. Files of the page that the last release had stay there for a week, for those who have it open.
replace_page() {
  local new old
  new=$(image_named web)
  [ -n "$(containers web)" ] || { say 'there is no nginx yet'; replaced=web; act compose up --detach --no-deps --no-build web; web_is_green; return; }
  # With the API and the workers taken over, only the page goes back.
  replaced=page
  old=$(page_version)
  # That of the image that runs becomes one like the others, so that there is a way back, and its files are kept.
  [ "$old" = "$version" ] || flags test -d "/run/lectern/release/$old" || act flags sh -c "$lay_page" - "$old" none
  act with_flags "$new" sh -c "$lay_page" - "$version" "$old"
  act web "/run/lectern/release/$version/nginx/start.sh" reload </dev/null
  if [ -n "$dry_run" ]; then return 0; fi
  if ! { within "$deadline" serves_page "$version" && within "$deadline" reports_ready; }; then
    show_why web
    return 1
  fi
  use_page "$version"
}

# shellcheck disable=SC2016 # the container's shell has these
lay_page='set -e
folder=/run/lectern/release/$1
rm -rf "$folder.new"
mkdir -p "$folder.new/page/assets"
last=/run/lectern/release/$2/page/assets
[ ! -d "$last" ] || cp -Rp "$last/." "$folder.new/page/assets/"
find "$folder.new/page/assets" -type f -mtime +7 -exec rm -f {} +
cp -Rp /etc/lectern/nginx "$folder.new/nginx"
cp -Rp /usr/share/lectern/page/. "$folder.new/page/"
if [ -d /usr/share/lectern/page/assets ]; then
  (cd /usr/share/lectern/page/assets && find . -type f) | (cd "$folder.new/page/assets" && xargs touch -c)
fi
echo "$1" >"$folder.new/version"
chmod -R a+rX /run/lectern/release
rm -rf "$folder"
mv "$folder.new" "$folder"'

# Which page nginx serves: one that was laid over, or that of its image.
page_version() {
  local answer container image
  answer=$(get_from 127.0.0.1:8081/version 2>/dev/null) || answer=''
  if [ -z "$answer" ]; then
    for container in $(containers web); do image=$(image_of "$container"); answer=${image##*:}; done
  fi
  echo "$answer"
}
serves_page() { [ "$(get_from 127.0.0.1:8081/version 2>/dev/null)" = "$1" ]; }

# use_page VERSION: after a restart, too, as long as the container is of this image. Releases before the last two are removed.
use_page() {
  local container image=''
  for container in $(containers web); do image=$(docker inspect --format '{{index .Config.Labels "org.opencontainers.image.version"}}' "$container"); done
  # shellcheck disable=SC2016 # the container's shell has these
  flags sh -c 'set -e; cd /run/lectern/release; printf "%s\n" "$2" >over.new; mv over.new over; ln -sfn "$1" current
ls -dt */ | grep -vx "current/" | tail -n +3 | while read -r old; do [ "$old" = "$1/" ] || rm -rf "./$old"; done' - "$1" "$image"
}
use_page_of_image() { flags rm -f /run/lectern/release/current /run/lectern/release/over; }

# The release that was there before, laid over or in the image.
go_back_to_the_old_page() {
  local script=/etc/lectern/nginx/start.sh
  # shellcheck disable=SC2016 # the container's shell has it
  if web sh -c '[ -x "/run/lectern/release/$1/nginx/start.sh" ]' - "${previous[web]:-none}" </dev/null; then script=/run/lectern/release/${previous[web]}/nginx/start.sh; fi
  web "$script" reload </dev/null || say 'nginx does not read its old settings: restart it'
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
  case $replaced in
    taken)
      say "version $version has taken over, and runs; what came after that failed: see above, and docker ps for containers of the old one"
      exit "$code" ;;
    page)
      go_back_to_the_old_page
      if [ "$what" = full ]; then say "the page is ${previous[web]:-none} as before; the API and the workers are $version"
      else say "${previous[web]:-none} is served as before; version $version is not in use"; fi
      exit "$code" ;;
  esac
  say "version $version isn't healthy: going back"
  if [ "$replaced" = beside ]; then
    go_back_to_the_old_ones
  else
    for service in $replaced; do
      [ -n "${previous[$service]:-}" ] || { say "there is no $service to go back to: maintenance stays on"; exit "$code"; }
      if [ "$service" = worker ]; then compose_as "${previous[$service]}" up --detach --no-deps --no-build "${scale[@]}" worker || true
      else compose_as "${previous[$service]}" up --detach --no-deps --no-build "$service" || true; fi
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
    for container in $(containers "$service" --all); do
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
  local folder=${LECTERN_HOST_FOLDER:-/opt/lectern} argument passed=() settings=() service image skip=''
  ssh -o BatchMode=yes -o ConnectTimeout=10 "$host" true || die "$host can't be entered over ssh with a key"
  for argument in "$@"; do
    if [ -n "$skip" ]; then skip=''; continue; fi
    if [ "$argument" = --host ]; then skip=yes; else passed+=("$argument"); fi
  done
  for argument in "${settings_handed_on[@]}"; do
    if [ -n "${!argument:-}" ]; then settings+=("$argument=${!argument}"); fi
  done
  for service in "${services[@]}" backup; do
    image=lectern-$service:$version
    has_image "$image" || continue # it is there already, or in a registry
    ssh "$host" docker image inspect "$image" >/dev/null 2>&1 && continue
    say "bringing $image"
    if [ -n "$dry_run" ]; then continue; fi
    docker save "$image" | gzip -1 | ssh "$host" 'gunzip | docker load' >/dev/null
  done
  say "bringing $(basename "$here")"
  [ -n "$dry_run" ] || tar -C "$here/.." --exclude=production.env --exclude=lectern.env --exclude='*.key' --exclude=tls --exclude=acme --exclude=backups --exclude=dev --exclude=test -c deploy grafana | ssh "$host" "mkdir -p '$folder' && tar -C '$folder' -x"
  ssh "$host" "$(printf '%q ' env "${settings[@]}" "$folder/deploy/deploy.sh" "${passed[@]}")"
}

main "$@"
