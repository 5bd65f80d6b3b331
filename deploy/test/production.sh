#!/usr/bin/env bash
# Builds the images and runs the production stack as people would: see production.py. `make test-deploy` runs this.
#
#   deploy/test/production.sh [--keep] [--no-build]
#
# --keep leaves the stack running; --no-build takes the images that are there.
# It uses the Docker engine that docker reaches; without one it starts its own, by engine.sh, with stand-ins of base images.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
cd "$root"

say() { printf 'lectern: %s\n' "$*" >&2; }

version="test"
services=(api worker web)
export LECTERN_TEST_STAND_INS=''

if ! docker info >/dev/null 2>&1 || [ -e "${LECTERN_ENGINE_DIR:-$root/.dev/engine}/docker.pid" ]; then
  deploy/test/engine.sh up
  eval "$(deploy/test/engine.sh env)"
  LECTERN_TEST_STAND_INS=1
fi

# build TARGET: with the authorities that this machine trusts, which may be more than an image's
build() {
  local secret=() begin=$SECONDS
  [ ! -e /etc/ssl/certs/ca-certificates.crt ] || secret=(--secret "id=ca-certificates,src=/etc/ssl/certs/ca-certificates.crt")
  say "building lectern-$1"
  docker build --quiet --file deploy/Dockerfile --target "$1" --tag "lectern-$1:$version" --build-arg "LECTERN_VERSION=$version" \
    "${secret[@]}" . >/dev/null
  say "lectern-$1 is built ($((SECONDS - begin)) s)"
}

case " $* " in
  *' --no-build '*) ;;
  *) for service in "${services[@]}"; do build "$service"; done ;;
esac
exec python3 deploy/test/production.py "$@"
