#!/usr/bin/env bash
# Tests deploy.sh on a Docker engine: releases that are well and one that isn't, in place and beside the old one, with
# somebody who asks all the time and somebody who follows a stream.
#
#   make test-deploy-script
#
# The API and the worker are the programs of LECTERN_TEST_BINARIES (target/debug), in images that are quickly made:
# what is tested is the way that a release takes. PostgreSQL, Redis and nginx are those of compose.prod.yml.
# The engine is the one that docker reaches; without one engine.sh starts one, with stand-ins of the base images.
set -euo pipefail
# shellcheck disable=SC2317 # the tests are called by name

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source=deploy/test/checks.sh
. "$root/deploy/test/checks.sh"
binaries=${LECTERN_TEST_BINARIES:-$root/target/debug}
models=${LECTERN_TEST_MODELS:-$root/.dev/models}
compose=${LECTERN_TEST_COMPOSE:-$root/deploy/compose.prod.yml}
nginx_folder=$(dirname "$compose")/nginx
scratch=$(mktemp -d /var/tmp/lectern-deploy-test.XXXXXX)
project=lecterndeploytest
port=18480

main() {
  trap clean_up EXIT
  use_an_engine
  set_up
  check a_dry_run_on_an_empty_server_says_what_it_would_do
  check a_first_deploy_starts_everything
  check a_dry_run_changes_nothing
  check a_release_without_images_is_refused
  check a_backup_that_fails_stops_the_deploy
  check a_release_replaces_the_other_in_place_behind_the_page_of_maintenance
  check a_release_that_is_not_healthy_goes_away_again_by_itself
  check a_migration_that_fails_stops_the_deploy
  check as_many_workers_run_after_a_release_as_before
  check a_release_takes_over_from_the_other_without_a_lost_request_or_a_cut_stream
  check beside_the_old_one_a_release_that_is_not_healthy_is_never_asked
  check the_page_is_replaced_by_itself
  check a_page_takes_over_without_a_lost_request_and_stays_after_a_restart
  check a_page_with_settings_that_nginx_refuses_is_never_served
  check all_of_a_release_takes_over_without_a_lost_request
  check a_release_is_brought_to_another_machine_by_ssh
  end_of_checks
}

use_an_engine() {
  ! docker info >/dev/null 2>&1 || return 0
  "$root/deploy/test/engine.sh" up
  eval "$("$root/deploy/test/engine.sh" env)"
}

set_up() {
  local version
  mkdir -p "$scratch/images" "$scratch/state" "$scratch/page"
  cp -L "$binaries"/lectern-{api,worker} "$scratch/images/"
  cp -RL "$models/all-MiniLM-L6-v2" "$models/libonnxruntime.so" "$models/libpdfium.so" "$scratch/images/"
  cp -R "$nginx_folder" "$scratch/images/nginx"
  cp /etc/ssl/certs/ca-certificates.crt "$scratch/images/"
  echo '<!doctype html><title>Lectern</title>' >"$scratch/images/index.html"
  cat >"$scratch/images/Dockerfile" <<'END'
FROM debian:trixie-slim AS program
COPY ca-certificates.crt /etc/ssl/certs/
RUN install -d -o 10001 -g 10001 /var/lib/lectern/blobs
USER 10001:10001
WORKDIR /var/lib/lectern
FROM program AS api
ENV LECTERN_LISTEN=0.0.0.0:8080
COPY lectern-api /usr/local/bin/
HEALTHCHECK --interval=2s --timeout=3s --start-period=60s --retries=3 CMD ["lectern-api", "health"]
ENTRYPOINT ["lectern-api"]
CMD ["serve"]
FROM program AS worker
ENV LECTERN_MODEL_DIR=/opt/lectern/all-MiniLM-L6-v2 LECTERN_ONNX_RUNTIME=/opt/lectern/libonnxruntime.so LECTERN_PDFIUM=/opt/lectern/libpdfium.so LECTERN_WORKER_METRICS_LISTEN=0.0.0.0:9465
COPY all-MiniLM-L6-v2 /opt/lectern/all-MiniLM-L6-v2
COPY libonnxruntime.so libpdfium.so /opt/lectern/
COPY lectern-worker /usr/local/bin/
HEALTHCHECK --interval=2s --timeout=3s --start-period=60s --retries=3 CMD ["lectern-worker", "health"]
ENTRYPOINT ["lectern-worker"]
CMD ["run"]
FROM nginx:1.28-alpine-slim AS web
ARG VERSION
COPY index.html /usr/share/lectern/page/
RUN mkdir /usr/share/lectern/page/assets && echo "$VERSION" >"/usr/share/lectern/page/assets/$VERSION.js"
COPY nginx /etc/lectern/nginx
ENV LECTERN_WEB_VERSION=$VERSION
USER 101:101
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=2s --timeout=3s --start-period=60s --retries=3 CMD ["/etc/lectern/nginx/start.sh", "health"]
ENTRYPOINT ["/etc/lectern/nginx/start.sh"]
CMD []
# One that runs and never gets ready; its migrations are well.
FROM api AS sick-api
USER root
RUN printf '#!/bin/sh\n[ "$1" = serve ] || exec /usr/local/bin/lectern-api "$@"\nexec sleep 3600\n' >/usr/local/bin/sick && chmod 755 /usr/local/bin/sick
USER 10001:10001
ENTRYPOINT ["sick"]
# One whose nginx refuses its settings.
FROM web AS sick-web
USER root
RUN echo 'nonsense;' >>/etc/lectern/nginx/server.conf
USER 101:101
# One whose migrations fail.
FROM api AS stuck-api
USER root
RUN printf '#!/bin/sh\necho "the migration 0099 failed" >&2\nexit 1\n' >/usr/local/bin/stuck && chmod 755 /usr/local/bin/stuck
USER 10001:10001
ENTRYPOINT ["stuck"]
END
  for version in one two sick stuck; do
    build "$([ "$version" = one ] || [ "$version" = two ] || echo "$version-")api" "lectern-api:$version" "$version"
    build worker "lectern-worker:$version" "$version"
    build "$([ "$version" = sick ] && echo sick-)web" "lectern-web:$version" "$version"
  done
  # What a small test needs: no monitoring, HTTP alone, one worker.
  cat >"$scratch/test.yml" <<'END'
services:
  api: { environment: { LECTERN_MODE: development, LECTERN_ABANDONED_AFTER_MS: "60000" } }
  worker: { deploy: { replicas: 1 } }
END
  for service in prometheus alertmanager grafana postgres-exporter redis-exporter node-exporter; do echo "  $service: { profiles: [never] }" >>"$scratch/test.yml"; done
  cat >"$scratch/env" <<END
LECTERN_DOMAIN=lectern.test
POSTGRES_PASSWORD=test
REDIS_PASSWORD=test
GRAFANA_PASSWORD=test
LECTERN_TLS=off
LECTERN_OPEN_FILES_MAX=4096
LECTERN_HTTP_PORT=$port
LECTERN_HTTPS_PORT=$((port + 1))
LECTERN_SUBNET=172.31.219.0/24
LECTERN_EDGE_REQUESTS_PER_SECOND=100000
LECTERN_EDGE_BURST=100000
END
  export LECTERN_ENV_FILE=$scratch/env LECTERN_COMPOSE_FILES="$compose $scratch/test.yml" LECTERN_COMPOSE_PROJECT=$project
  export LECTERN_DEPLOY_STATE=$scratch/state LECTERN_BACKUP_COMMAND=true LECTERN_DEPLOY_FREE_MIB=500 LECTERN_DEPLOY_DRAIN_SECONDS=120
}

build() { # TARGET IMAGE VERSION
  docker build --quiet --build-arg "VERSION=$3" --target "$1" --tag "$2" --label "org.opencontainers.image.version=$3" "$scratch/images" >/dev/null
}

# ---------------------------------------------------------------- tests

a_first_deploy_starts_everything() {
  deploy full --version one
  is_well one
}

a_dry_run_on_an_empty_server_says_what_it_would_do() {
  deploy full --version one --dry-run | tee "$scratch/dry"
  grep -q 'would run: .*up --detach --wait postgres redis' "$scratch/dry"
  equal "$(containers)" ''
}

a_dry_run_changes_nothing() {
  local before
  before=$(containers)
  deploy full --version two --dry-run | tee "$scratch/dry"
  grep -q 'would run: .*api migrate' "$scratch/dry"
  equal "$(containers)" "$before"
  deploy full --version two --blue-green --dry-run
  equal "$(containers)" "$before"
}

a_release_without_images_is_refused() { refused 'there is no image' backend --version nowhere; is_well one; }

a_backup_that_fails_stops_the_deploy() {
  LECTERN_BACKUP_COMMAND=false refused 'the backup failed: nothing was changed' backend --version two
  is_well one
}

a_release_replaces_the_other_in_place_behind_the_page_of_maintenance() {
  ask_all_the_time
  deploy backend --version two
  answers_end
  is_well two
  # Readers got the page of maintenance or the answer, and nothing else.
  grep -q '^503$' "$scratch/answers"
  equal "$(grep -cvE '^(200|503)$' "$scratch/answers")" 0
}

a_release_that_is_not_healthy_goes_away_again_by_itself() {
  LECTERN_DEPLOY_DEADLINE_SECONDS=20 refused 'two two runs as before; version sick is not in use' backend --version sick
  is_well two
}

a_migration_that_fails_stops_the_deploy() {
  refused 'the migrations failed: the old release goes on' backend --version stuck
  refused 'the migrations failed: the old release goes on' backend --version stuck --blue-green
  is_well two
}

as_many_workers_run_after_a_release_as_before() {
  LECTERN_VERSION=two docker compose --project-name "$project" --env-file "$scratch/env" --file "$compose" --file "$scratch/test.yml" \
    up --detach --no-deps --no-build --no-recreate --scale worker=2 worker
  deploy backend --version one
  is_well one
  equal "$(running worker | wc -l)" 2
  LECTERN_WORKERS=1 deploy backend --version two
  is_well two
  equal "$(running worker | wc -l)" 1
}

a_release_takes_over_from_the_other_without_a_lost_request_or_a_cut_stream() {
  # Workers that were killed, or stopped by hand: Compose would start them anew, of the old image, in the place of new ones.
  LECTERN_VERSION=two docker compose --project-name "$project" --env-file "$scratch/env" --file "$compose" --file "$scratch/test.yml" \
    up --detach --no-deps --no-build --no-recreate --scale worker=3 worker
  docker kill "$(running worker | sed -n 1p)"
  ask_all_the_time
  follow_a_long_stream
  upload_slowly
  deploy backend --version one --blue-green
  equal "$(running worker | wc -l)" 2
  answers_end
  is_well one
  equal "$(grep -cv '^200$' "$scratch/answers")" 0
  echo "$(wc -l <"$scratch/answers") requests, all answered"
  wait_for_the_stream
  wait "$upload"
  equal "$(docker ps --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.service=api --quiet | wc -l)" 1
}

beside_the_old_one_a_release_that_is_not_healthy_is_never_asked() {
  ask_all_the_time
  LECTERN_DEPLOY_DEADLINE_SECONDS=20 refused 'version sick is not in use' backend --version sick --blue-green
  answers_end
  is_well one
  equal "$(grep -cv '^200$' "$scratch/answers")" 0
}

the_page_is_replaced_by_itself() {
  local before
  before=$(running api)
  ask_all_the_time
  deploy frontend --version two
  answers_end
  equal "$(running api)" "$before"
  equal "$(docker inspect --format '{{.Config.Image}}' "$(running web)")" lectern-web:two
  echo "$(grep -cv '^200$' "$scratch/answers") of $(wc -l <"$scratch/answers") requests found nobody while nginx was replaced"
}

a_page_takes_over_without_a_lost_request_and_stays_after_a_restart() {
  local before
  before=$(running web)
  ask_all_the_time
  deploy frontend --version one --blue-green
  answers_end
  equal "$(running web)" "$before"
  equal "$(grep -cv '^200$' "$scratch/answers")" 0
  equal "$(serves)" one
  # What the old page may still ask for.
  for version in one two; do equal "$(curl -fsS "http://127.0.0.1:$port/assets/$version.js")" "$version"; done
  docker restart --time 5 "$before"
  eventually 30 healthy web
  equal "$(serves)" one
  # In place it is the image's again.
  deploy frontend --version two
  equal "$(serves)" two
}

a_page_with_settings_that_nginx_refuses_is_never_served() {
  ask_all_the_time
  LECTERN_DEPLOY_DEADLINE_SECONDS=10 refused 'two is served as before; version sick is not in use' frontend --version sick --blue-green
  answers_end
  equal "$(grep -cv '^200$' "$scratch/answers")" 0
  equal "$(serves)" two
}

all_of_a_release_takes_over_without_a_lost_request() {
  ask_all_the_time
  deploy full --version two --blue-green
  answers_end
  is_well two
  equal "$(grep -cv '^200$' "$scratch/answers")" 0
  equal "$(serves)" two
}

# By a real sshd, on this machine: what it is told to do there it does with the same engine.
a_release_is_brought_to_another_machine_by_ssh() {
  command -v sshd >/dev/null || { echo 'there is no sshd: apt-get install openssh-server'; return 1; }
  local there=$scratch/there
  ssh-keygen -q -t ed25519 -N '' -f "$scratch/host_key"
  ssh-keygen -q -t ed25519 -N '' -f "$scratch/user_key"
  install -m 600 "$scratch/user_key.pub" "$scratch/authorized_keys"
  printf '%s\n' "Port $((port + 2))" 'ListenAddress 127.0.0.1' "HostKey $scratch/host_key" "AuthorizedKeysFile $scratch/authorized_keys" 'StrictModes no' \
    'UsePAM no' "PidFile $scratch/sshd.pid" "SetEnv DOCKER_HOST=${DOCKER_HOST:-} DOCKER_CONFIG=${DOCKER_CONFIG:-}" >"$scratch/sshd_config"
  mkdir -p /run/sshd "$scratch/bin"
  "$(command -v sshd)" -f "$scratch/sshd_config" -E "$scratch/sshd.log"
  # As if the images weren't there, so that they are brought.
  printf '#!/bin/sh\ncase $* in *"docker image inspect"*) exit 1 ;; esac\nexec %s -p %s -i %s -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "$@"\n' \
    "$(command -v ssh)" $((port + 2)) "$scratch/user_key" >"$scratch/bin/ssh"
  chmod 755 "$scratch/bin/ssh"
  PATH=$scratch/bin:$PATH LECTERN_HOST_FOLDER=$there deploy backend --version one --host "$(id -un)@127.0.0.1" | tee "$scratch/said"
  kill "$(cat "$scratch/sshd.pid")"
  is_well one
  grep -q 'bringing lectern-api:one' "$scratch/said"
  # Its files came with it, and nothing secret did.
  [ -x "$there/deploy/deploy.sh" ] && [ -e "$there/grafana/dashboards/overview.json" ]
  [ ! -e "$there/deploy/production.env" ] && [ ! -e "$there/deploy/backup.key" ]
}

# ---------------------------------------------------------------- the means

serves() { docker exec "$(running web)" wget -q -O - http://127.0.0.1:8081/version; }
healthy() { [ "$(docker inspect --format '{{.State.Health.Status}}' "$(running "$1")")" = healthy ]; }

deploy() { "$root/deploy/deploy.sh" "$@" 2>&1; }
refused() { # REASON ARGUMENTS...
  local output
  output=$(deploy "${@:2}") && fail "it was done: $output"
  grep -qE -- "$1" <<<"$output" || fail "it said something else: $output"
}

containers() { docker ps --no-trunc --filter "label=com.docker.compose.project=$project" --format '{{.ID}} {{.Image}}' | sort; }
running() { docker ps --quiet --no-trunc --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.service=$1"; }

# Asked through nginx, by that version, without maintenance.
is_well() {
  equal "$(curl -s -o "$scratch/body" -w '%{http_code}' -H 'Authorization: Bearer lectern-dev' "http://127.0.0.1:$port/api/v1/documents")" 200
  equal "$(docker inspect --format '{{.Config.Image}}' "$(running api)")" "lectern-api:$1"
}

ask_all_the_time() {
  : >"$scratch/answers"
  (while [ ! -e "$scratch/enough" ]; do
    curl -s -m 20 -o /dev/null -w '%{http_code}\n' -H 'Authorization: Bearer lectern-dev' "http://127.0.0.1:$port/api/v1/documents" >>"$scratch/answers" || true
    sleep 0.02
  done) &
  asker=$!
}
answers_end() {
  touch "$scratch/enough"
  wait "$asker"
  rm "$scratch/enough"
  [ "$(wc -l <"$scratch/answers")" -gt 20 ]
}

# The events of a document that takes a while, through nginx, until its `ready`.
follow_a_long_stream() {
  local id
  for _ in $(seq 4); do sed "s/^/$RANDOM /" "$root/README.md"; done >"$scratch/long.md"
  id=$(curl -fsS -H 'Authorization: Bearer lectern-dev' -F "file=@$scratch/long.md" "http://127.0.0.1:$port/api/v1/documents" | sed 's/.*"id":"\([^"]*\)".*/\1/')
  curl -sN -m 900 -w '\nended with %{exitcode}\n' -H 'Authorization: Bearer lectern-dev' "http://127.0.0.1:$port/api/v1/documents/$id/events" >"$scratch/stream" 2>&1 &
  stream=$!
}
# For longer than an API that ends waits for its requests.
upload_slowly() {
  head -c 120000 /dev/zero | tr '\0' 'a' >"$scratch/slow.txt"
  curl -fsS -m 300 --limit-rate 3k -o "$scratch/uploaded" -H 'Authorization: Bearer lectern-dev' -F "file=@$scratch/slow.txt" "http://127.0.0.1:$port/api/v1/documents" &
  upload=$!
}
wait_for_the_stream() {
  wait "$stream" || true
  tail -5 "$scratch/stream"
  # One connection from the first event to the last.
  grep -q 'ended with 0' "$scratch/stream"
  equal "$(grep -cE '^event: (ready|done)' "$scratch/stream")" 1
}

before_check() { rm -f "$scratch/enough"; }
after_check() { touch "$scratch/enough"; }

clean_up() {
  local file arguments=()
  touch "$scratch/enough"
  for file in $LECTERN_COMPOSE_FILES; do arguments+=(--file "$file"); done
  LECTERN_VERSION=one docker compose --project-name "$project" --env-file "$scratch/env" "${arguments[@]}" down --volumes --timeout 5 >/dev/null 2>&1 || true
  rm -rf "$scratch"
}

main
