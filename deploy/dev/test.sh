#!/usr/bin/env bash
# Tests services.sh, setup.sh and run.sh on copies of deploy/dev in a scratch folder, with real servers
# but stand-ins for cargo and Lectern's own programs.
#
#   deploy/dev/test.sh
set -euo pipefail
# shellcheck disable=SC2317 # the tests are called by name

source_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
scratch=$(mktemp -d /var/tmp/lectern-test.XXXXXX) # not $TMPDIR: another user must be able to enter it
chmod 755 "$scratch"
clone="$scratch/a clone" # a space in the path, as people have them
cache=${XDG_CACHE_HOME:-$HOME/.cache}
foreigner=''
unset LECTERN_DEV_FAST LECTERN_LISTEN CARGO_TARGET_DIR MAKEFLAGS MAKELEVEL

main() {
  trap clean_up EXIT
  copy_scripts "$clone"
  # The developer's own services may hold the usual ports; and these are below those that outgoing connections take.
  LECTERN_PG_PORT=$(free_port 26100) LECTERN_REDIS_PORT=$(free_port 26300)
  export LECTERN_PG_PORT LECTERN_REDIS_PORT
  python3 -m http.server "$LECTERN_PG_PORT" --bind 127.0.0.1 >/dev/null 2>&1 &
  foreigner=$!
  eventually listening "$LECTERN_PG_PORT"

  check a_first_start_brings_both_servers_up_beside_a_foreign_one
  check a_second_start_changes_nothing_and_is_quick
  check the_settings_are_private_and_lead_to_a_postgres_with_pgvector
  check the_callers_postgres_variables_are_ignored
  check both_servers_come_back_with_their_data_after_kill_9
  check a_pid_file_that_names_a_stranger_is_no_obstacle
  check two_starts_at_once_make_one_server_each
  check a_start_without_fsync_becomes_durable_with_the_next_plain_start
  check down_leaves_nothing_running_and_keeps_the_data
  check run_greets_and_ctrl_c_stops_everything
  check run_ends_with_the_exit_code_of_a_process_that_dies
  check run_refuses_a_taken_port
  check run_stopped_during_the_build_stops_the_build_and_the_services
  check reset_removes_the_data
  check a_postgres_without_pgvector_is_refused
  check setup_names_the_rust_version_to_install
  if [ "$(id -u)" = 0 ]; then
    check an_unprivileged_user_gets_servers_of_their_own
    check a_private_home_of_root_is_no_obstacle
  fi

  printf '%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" = 0 ]
}

# ---------------------------------------------------------------- services.sh

a_first_start_brings_both_servers_up_beside_a_foreign_one() {
  in_clone up
  kill -0 "$foreigner"
  [ "$(port_of postgres)" -gt "$LECTERN_PG_PORT" ]
  in_clone status
  wheels_into "$scratch/cache"
}

a_second_start_changes_nothing_and_is_quick() {
  local before after begin_ms took_ms
  before=$(pids "$clone")
  begin_ms=$(now_ms)
  in_clone up
  took_ms=$(($(now_ms) - begin_ms))
  after=$(pids "$clone")
  equal "$before" "$after"
  [ "$took_ms" -lt 3000 ] || fail "took $took_ms ms" # measured: 150 to 300 ms on an idle machine
}

the_settings_are_private_and_lead_to_a_postgres_with_pgvector() {
  equal "$(stat -c %a "$clone/.dev/env")" 600
  # shellcheck disable=SC1091
  . "$clone/.dev/env"
  equal "$LECTERN_BLOBS" "$clone/.dev/blobs"
  equal "${LECTERN_REDIS_URL#redis://127.0.0.1:}" "$(port_of redis)/0"
  in_clone psql "$LECTERN_TEST_DATABASE_URL" -qc 'create database scratch'
  in_clone psql -d scratch -qc 'create extension vector; create extension pg_trgm; create extension unaccent'
  equal "$(in_clone psql -d scratch -Atc "select '[1,2]'::vector <=> '[1,2]'")" 0
  equal "$(in_clone psql -Atc 'select current_database(), usesuper from pg_user where usename = current_user')" 'lectern|t'
}

the_callers_postgres_variables_are_ignored() {
  equal "$(PGPORT=1 PGHOST=192.0.2.1 PGDATABASE=elsewhere in_clone psql -Atc 'select current_database()')" lectern
  PGPORT=1 PGDATA=/nonexistent in_clone up
}

both_servers_come_back_with_their_data_after_kill_9() {
  in_clone psql -qc 'create table kept as select 42 as n'
  equal "$(redis SET kept 42)" +OK
  kill_9_both
  in_clone up
  equal "$(in_clone psql -Atc 'select n from kept')" 42
  equal "$(redis STRLEN kept)" :2
}

a_pid_file_that_names_a_stranger_is_no_obstacle() {
  local stranger
  kill_9_both
  sleep 300 &
  stranger=$!
  sed -i "1s/.*/$stranger/" "$clone/.dev/services/pgdata/postmaster.pid"
  echo "$stranger" >"$clone/.dev/services/run/redis.pid"
  in_clone up
  kill "$stranger" # fails if it was taken for a server and stopped
  in_clone status
}

two_starts_at_once_make_one_server_each() {
  in_clone down
  in_clone up &
  in_clone up
  wait $!
  # A backend has the server's command line until it sets its own.
  eventually one_process_has "postgres -D $clone/.dev/services/pgdata "
  eventually one_process_has "-server 127.0.0.1:$(port_of redis) "
}

a_start_without_fsync_becomes_durable_with_the_next_plain_start() {
  in_clone down
  LECTERN_DEV_FAST=1 in_clone up
  LECTERN_DEV_FAST=1 in_clone up
  equal "$(in_clone psql -Atc 'show fsync')" off
  in_clone up
  eventually reads_fsync on
  LECTERN_DEV_FAST=1 in_clone up # a durable server stays durable
  reads_fsync on
}
reads_fsync() { [ "$(in_clone psql -Atc 'show fsync')" = "$1" ]; }

down_leaves_nothing_running_and_keeps_the_data() {
  in_clone down
  nothing_runs_in "$clone"
  in_clone down
  if in_clone status; then fail 'status says that something runs'; fi
  in_clone up
  equal "$(in_clone psql -Atc 'select n from kept')" 42
}

reset_removes_the_data() {
  in_clone up
  in_clone reset
  nothing_runs_in "$clone"
  [ ! -e "$clone/.dev/services/pgdata" ]
  [ ! -e "$clone/.dev/env" ]
  in_clone up
  if in_clone psql -Atc 'select n from kept'; then fail 'the data is still there'; fi
  in_clone down
}

a_postgres_without_pgvector_is_refused() {
  local shadow=$scratch/bin output
  mkdir -p "$shadow"
  if output=$(LECTERN_PG_BIN=$shadow in_clone up 2>&1); then fail 'an empty directory was accepted'; fi
  grep -q 'has no initdb' <<<"$output"
}

an_unprivileged_user_gets_servers_of_their_own() {
  local home=$scratch/nobody
  copy_scripts "$home"
  wheels_into "$home/cache"
  chown -R nobody "$home"
  as_nobody "$home" up
  equal "$(stat -c %U "$home/.dev/services/pgdata" "$home/.dev/env" | sort -u)" nobody
  as_nobody "$home" up
  as_nobody "$home" down
  nothing_runs_in "$home"
}

as_nobody() {
  setpriv --reuid="$(id -u nobody)" --regid="$(id -g nobody)" --clear-groups -- \
    env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$1" XDG_CACHE_HOME="$1/cache" \
    LECTERN_PG_PORT="$LECTERN_PG_PORT" LECTERN_REDIS_PORT="$LECTERN_REDIS_PORT" "$1/deploy/dev/services.sh" "$2"
}

a_private_home_of_root_is_no_obstacle() {
  local home=$scratch/private elsewhere
  mkdir -m 700 "$home"
  copy_scripts "$home/lectern"
  "$home/lectern/deploy/dev/services.sh" up
  elsewhere=$(readlink -f "$home/lectern/.dev/services")
  [ "$elsewhere" != "$home/lectern/.dev/services" ]
  "$home/lectern/deploy/dev/services.sh" down
  nothing_runs_in "$elsewhere"
  rm -rf "$elsewhere"
}

# ---------------------------------------------------------------- run.sh and setup.sh, with stand-ins

run_greets_and_ctrl_c_stops_everything() {
  stand_ins
  start_run
  eventually grep -q 'Ctrl-C stops everything' "$clone/run.log"
  grep -q "Lectern is ready at http://localhost:$page_port" "$clone/run.log"
  grep -q 'api    | serving' "$clone/run.log"
  curl -sf "http://127.0.0.1:$page_port/api/v1/health"
  kill -INT -- "-$run" # as the terminal does: to the whole group
  wait "$run" || fail "ended with $?"
  grep -q 'worker | worker: stopped in order' "$clone/run.log"
  nothing_runs_in "$clone"
}

run_ends_with_the_exit_code_of_a_process_that_dies() {
  local code=0
  stand_ins
  start_run
  eventually grep -q 'Ctrl-C stops everything' "$clone/run.log"
  kill -USR1 "$(pgrep_in "$clone" lectern-worker)"
  wait "$run" || code=$?
  equal "$code" 7
  grep -q 'the worker ended by itself (exit code 7)' "$clone/run.log"
  nothing_runs_in "$clone"
}

run_refuses_a_taken_port() {
  stand_ins
  page_port=$LECTERN_PG_PORT # the foreign server's
  start_run
  if wait "$run"; then fail 'it started'; fi
  grep -q 'choose another address' "$clone/run.log"
  nothing_runs_in "$clone"
}

run_stopped_during_the_build_stops_the_build_and_the_services() {
  stand_ins
  printf '#!/bin/sh\necho building\nsleep 300\n' >"$clone/bin/cargo"
  start_run
  eventually grep -q '^building' "$clone/run.log"
  kill -TERM "$run"
  wait "$run" || fail "ended with $?"
  nothing_runs_in "$clone"
}

setup_names_the_rust_version_to_install() {
  local output
  stand_ins
  printf '#!/bin/sh\necho "rustc 1.63.0 (old)"\n' >"$clone/bin/rustc"
  if output=$(PATH="$clone/bin:$PATH" "$clone/deploy/dev/setup.sh" 2>&1); then fail 'an old compiler was accepted'; fi
  grep -q "rustup toolchain install 1.95.0" <<<"$output"
}

# Programs that behave as Lectern's do towards run.sh, and a cargo that "builds" them.
stand_ins() {
  mkdir -p "$clone/bin" "$clone/target/release"
  page_port=$(free_port 26500)
  echo 'channel = "1.95.0"' >"$clone/rust-toolchain.toml"
  printf '#!/bin/sh\n' >"$clone/deploy/dev/models.sh"
  printf '#!/bin/sh\n' >"$clone/bin/make" # which builds the page
  printf '#!/bin/sh\necho "rustc 1.95.0 (stand-in)"\n' >"$clone/bin/rustc"
  printf '#!/bin/sh\ncd target/release && cp ../../bin/api lectern-api && cp ../../bin/worker lectern-worker\n' >"$clone/bin/cargo"
  cat >"$clone/bin/api" <<'END'
#!/usr/bin/env python3
import http.server, os, signal, sys

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/api/v1/health" and "LECTERN_DATABASE_URL" in os.environ else 404)
        self.end_headers()

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
host, port = os.environ["LECTERN_LISTEN"].split(":")
server = http.server.HTTPServer((host, int(port)), Health)
print("serving", sys.argv[1], flush=True)
server.serve_forever()
END
  cat >"$clone/bin/worker" <<'END'
#!/usr/bin/env python3
import signal, sys

def stop(*_):
    print("worker: stopped in order", flush=True)
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(7))
while True:
    signal.pause()
END
  chmod +x "$clone/bin"/* "$clone/deploy/dev/models.sh"
}

# In a job of its own (set -m), since a shell ignores SIGINT in what it starts otherwise; and whoever started this test
# may have had it ignored already, which bash can't undo by itself.
start_run() {
  : >"$clone/run.log" # on a busy machine the log of the run before would be taken for this one's
  set -m
  PATH="$clone/bin:$PATH" LECTERN_LISTEN="127.0.0.1:$page_port" \
    env --default-signal=INT,QUIT "$clone/deploy/dev/run.sh" >"$clone/run.log" 2>&1 &
  run=$!
  set +m
}

# ---------------------------------------------------------------- the means

passed=0 failed=0

# check NAME: in a subshell where the first failing command ends the test
check() {
  local code=0 begin_ms
  begin_ms=$(now_ms)
  set +e
  (set -e; "$1") >"$scratch/output" 2>&1
  code=$?
  set -e
  if [ "$code" = 0 ]; then
    passed=$((passed + 1))
    printf 'ok      %s (%d ms)\n' "${1//_/ }" $(($(now_ms) - begin_ms))
  else
    failed=$((failed + 1))
    printf 'FAILED  %s (exit code %d)\n' "${1//_/ }" "$code"
    sed 's/^/        /' "$scratch/output"
    [ ! -e "$clone/run.log" ] || sed 's/^/        run.log: /' "$clone/run.log"
  fi
}

fail() { echo "${FUNCNAME[1]}: $*"; exit 1; }
equal() { [ "$1" = "$2" ] || { echo "line ${BASH_LINENO[0]}: '$1' isn't '$2'"; exit 1; }; }
now_ms() { date +%s%3N; }

eventually() {
  local tries=400
  until "$@"; do
    ((tries-- > 0)) || fail "not within 20 s: $*"
    sleep 0.05
  done
}

copy_scripts() {
  mkdir -p "$1/deploy"
  cp -R "$source_root/deploy/dev" "$1/deploy/"
}

in_clone() { "$clone/deploy/dev/services.sh" "$@"; }
port_of() { cat "$clone/.dev/services/$1.port"; }
pids() { head -qn 1 "$1/.dev/services/pgdata/postmaster.pid" "$1/.dev/services/run/redis.pid"; }

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_port() {
  local port=$1
  while listening "$port"; do port=$((port + 1)); done
  echo "$port"
}

# Another user's copy needs the wheels that this user has: the cache is private.
wheels_into() {
  local unpacked
  mkdir -p "$1/lectern/wheels"
  for unpacked in "$clone/.dev/services"/*-????????????/; do
    unpacked=${unpacked%/}
    cp "$cache/lectern/wheels/${unpacked##*-}"*.whl "$1/lectern/wheels/"
  done
  chmod -R a+rX "$1"
}

redis() { # COMMAND...: the first line of the reply
  local reply
  exec 3<>"/dev/tcp/127.0.0.1/$(port_of redis)"
  printf '%s\r\n' "$*" >&3
  IFS= read -r -t 5 reply <&3
  exec 3>&-
  echo "${reply%$'\r'}"
}

kill_9_both() {
  local pid
  for pid in $(pids "$clone"); do
    kill -KILL "$pid"
    eventually is_gone "$pid"
  done
}
# A killed process that nobody reaps stays, with an empty command line.
is_gone() { [ -z "$(command_line "/proc/$1")" ]; }
command_line() { tr '\0' ' ' 2>/dev/null <"$1/cmdline" || true; }

one_process_has() {
  local process found=0
  for process in /proc/[0-9]*; do
    [[ $(command_line "$process") != *"$1"* ]] || found=$((found + 1))
  done
  [ "$found" = 1 ]
}

pgrep_in() { # FOLDER NAME: the pid of a process with both in its command line or folder
  local process
  for process in /proc/[0-9]*; do
    [[ $(command_line "$process") == *"$2"* && $(readlink "$process/cwd") == "$1"* ]] || continue
    echo "${process#/proc/}"
  done
}

nothing_runs_in() { eventually none_runs_in "$1"; }
none_runs_in() {
  local process
  for process in /proc/[0-9]*; do
    if [[ $(readlink "$process/cwd" 2>/dev/null) == "$1"* ]] && ! is_gone "${process#/proc/}"; then return 1; fi
  done
}

clean_up() {
  local folder
  for folder in "$clone" "$scratch/nobody" "$scratch/private/lectern"; do
    [ ! -e "$folder/.dev/services" ] || "$folder/deploy/dev/services.sh" down 2>/dev/null || true
  done
  [ -z "$foreigner" ] || kill "$foreigner" 2>/dev/null || true
  rm -rf "$scratch"
}

main
