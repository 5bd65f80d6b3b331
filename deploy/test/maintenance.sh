#!/usr/bin/env bash
# Tests what deploy/maintenance.sh removes and measures, with a docker that only says what it is asked: `make test-scripts`.
set -euo pipefail
# shellcheck disable=SC2317 # the tests are called by name

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source-path=SCRIPTDIR source=checks.sh
. "$root/deploy/test/checks.sh"
scratch=$(mktemp -d)

main() {
  trap 'rm -rf "$scratch"' EXIT
  mkdir -p "$scratch/bin"
  cat >"$scratch/bin/docker" <<'END_OF_DOCKER'
#!/bin/bash
echo "$*" >>"$ASKED"
case $1 in
  images) cat "$IMAGES" ;;
  system) printf 'Images\t1.5GB\nContainers\t0B\n' ;;
esac
END_OF_DOCKER
  chmod 755 "$scratch/bin/docker"
  export ASKED=$scratch/asked IMAGES=$scratch/images PATH=$scratch/bin:$PATH LECTERN_METRICS_DIR=$scratch/metrics LECTERN_WORKER_BIN=none
  check versions_before_the_last_three_are_removed_whatever_registry_they_are_from
  check a_server_with_none_of_the_images_is_pruned_all_the_same
  check a_dry_run_removes_nothing
  check a_certificate_that_is_not_there_is_no_failure_and_one_that_is_is_measured
  check host_and_service_tell_their_metrics_apart
  end_of_checks
}

before_check() { rm -rf "$ASKED" "$LECTERN_METRICS_DIR"; }
maintain() { "$root/deploy/maintenance.sh" "$@" 2>&1; }

versions_before_the_last_three_are_removed_whatever_registry_they_are_from() {
  printf '%s\n' lectern-api:{5,4,3,2,1} registry.example.org:5000/team/lectern-worker:{9,8,7,6} postgres:{18,17,16,15} other-lectern-api:{4,3,2,1} 'lectern-web:<none>' >"$IMAGES"
  maintain
  equal "$(grep '^rmi' "$ASKED" | tr '\n' ' ')" 'rmi lectern-api:2 rmi lectern-api:1 rmi registry.example.org:5000/team/lectern-worker:6 '
}

a_server_with_none_of_the_images_is_pruned_all_the_same() {
  echo postgres:18 >"$IMAGES"
  maintain
  grep -q '^image prune' "$ASKED"
  grep -q '^builder prune' "$ASKED"
  grep -qx 'lectern_maintenance_failed_steps{place="host"} 0' "$LECTERN_METRICS_DIR"/*.prom
}

a_dry_run_removes_nothing() {
  printf '%s\n' lectern-api:{5,4,3,2,1} >"$IMAGES"
  maintain --dry-run | tee "$scratch/said"
  grep -q 'would remove lectern-api:1' "$scratch/said"
  if grep -qE 'rmi|prune' "$ASKED"; then return 1; fi
}

a_certificate_that_is_not_there_is_no_failure_and_one_that_is_is_measured() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=lectern.test -addext subjectAltName=DNS:lectern.test \
    -days 30 -keyout "$scratch/key.pem" -out "$scratch/certificate.pem" 2>/dev/null
  LECTERN_CERTIFICATES="$scratch/gone.pem $scratch/certificate.pem" maintain
  grep -q '^lectern_certificate_end_timestamp_seconds{name="lectern.test",place="host"} ' "$LECTERN_METRICS_DIR"/*.prom
}

host_and_service_tell_their_metrics_apart() {
  maintain
  LECTERN_MAINTENANCE_PLACE=service LECTERN_WATCH_PATHS=/tmp maintain
  # The node exporter refuses two files that tell the same.
  equal "$(grep -h '^lectern_' "$LECTERN_METRICS_DIR"/*.prom | grep -v lectern_docker | sed 's/ .*//' | sort | uniq -d)" ''
  grep -q 'place="service"' "$LECTERN_METRICS_DIR"/*.prom
}

main
