#!/usr/bin/env bash
# Builds the images and runs the production stack as people would: see production.py. `make test-deploy` runs this.
#
#   deploy/test/production.sh [--keep] [--no-build]
#
# --keep leaves the stack running; --no-build takes the images that are there.
# LECTERN_TEST_SOURCE (this checkout) is what images are built from: a clean clone, when somebody works in this one.
# It uses the Docker engine that docker reaches; without one it starts its own, by engine.sh, with stand-ins of base images,
# and stops it at the end, if it wasn't there before.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
source=${LECTERN_TEST_SOURCE:-$root}
cd "$root"

say() { printf 'lectern: %s\n' "$*" >&2; }

version="test"
# What takes over from it: built anew, so that it is other images with other labels and another page.
next="test-next"
export LECTERN_TEST_STAND_INS=''
started='' keep=''
case " $* " in *' --keep '*) keep=yes ;; esac

engine=${LECTERN_ENGINE_DIR:-$root/.dev/engine}
if ! docker info >/dev/null 2>&1 || [ -e "$engine/docker.pid" ]; then
  DOCKER_HOST=unix://$engine/docker.sock docker version >/dev/null 2>&1 || started=yes
  deploy/test/engine.sh up
  eval "$(deploy/test/engine.sh env)"
  LECTERN_TEST_STAND_INS=1
fi
finish() { if [ -n "$started" ] && [ -z "$keep" ]; then deploy/test/engine.sh down; fi; }
trap finish EXIT

# build TARGET VERSION: with the authorities that this machine trusts, which may be more than an image's
build() {
  local secret=() begin=$SECONDS file=deploy/Dockerfile target=(--target "$1") context=$source
  [ ! -e /etc/ssl/certs/ca-certificates.crt ] || secret=(--secret "id=ca-certificates,src=/etc/ssl/certs/ca-certificates.crt")
  if [ "$1" = backup ]; then file=deploy/backup.Dockerfile target=() context=$source/deploy; fi
  say "building lectern-$1:$2"
  # Compiling takes its time, and says so.
  docker build --progress plain --file "$source/$file" "${target[@]}" --tag "lectern-$1:$2" --build-arg "LECTERN_VERSION=$2" \
    "${secret[@]}" "$context" 2>&1 | grep --line-buffered -E 'Compiling lectern|Finished|^ERROR|error:' >&2 || true
  docker image inspect "lectern-$1:$2" >/dev/null
  say "lectern-$1:$2 is built ($((SECONDS - begin)) s)"
}

case " $* " in
  *' --no-build '*) ;;
  *)
    docker rmi lectern-{api,worker,web,backup}:{"$version","$next"} >/dev/null 2>&1 || true # what isn't built anew is not taken for it
    for service in api worker web backup; do build "$service" "$version"; done
    for service in api worker web; do build "$service" "$next"; done ;;
esac
python3 deploy/test/production.py "$@"
