# shellcheck shell=bash
# What the scripts in deploy share: messages, locks, PostgreSQL's programs, and metrics for the node exporter.
#
# Settings come from the environment; the scripts name theirs. LECTERN_OPS_ENV names a file of them (NAME=value a line,
# as systemd and Compose read them); what the environment has already wins over it.
set -euo pipefail

say() { printf '%s lectern: %s\n' "$(date -u +%FT%TZ)" "$*" >&2; }
die() { say "error: $*"; exit 1; }

# need VARIABLE WHAT: ends with what to set
need() { [ -n "${!1:-}" ] || die "$1 isn't set: $2"; }

# need_program PROGRAM PACKAGE
need_program() { command -v "$1" >/dev/null || die "$1 is missing: apt-get install $2"; }

# whole_number VARIABLE: ends unless it is one
whole_number() { [[ ${!1} =~ ^[0-9]+$ ]] || die "$1 is '${!1}': it must be a whole number"; }

load_settings() {
  local file=${LECTERN_OPS_ENV:-} line name
  [ -n "$file" ] || return 0
  [ -r "$file" ] || die "LECTERN_OPS_ENV=$file can't be read"
  while IFS= read -r line || [ -n "$line" ]; do
    [[ $line =~ ^([A-Z][A-Z0-9_]*)=(.*)$ ]] || continue
    name=${BASH_REMATCH[1]}
    [ -n "${!name:-}" ] || export "$name=${BASH_REMATCH[2]}"
  done <"$file"
}

usage() { sed -n '2,/^set -euo/{s/^# \{0,1\}//;/^set -euo/!p}' "$0" >&2; }

# lock FILE: ends when another process holds it. The lock goes with this process.
lock() {
  mkdir -p "$(dirname "$1")"
  exec 9>"$1"
  flock -n 9 || die "another run holds $1: wait for its end"
}

# ---------------------------------------------------------------- PostgreSQL

# The programs of LECTERN_PG_BIN, if it is set, before all others: pg_dump must not be older than the server.
use_postgres_programs() {
  [ -z "${LECTERN_PG_BIN:-}" ] || export PATH="$LECTERN_PG_BIN:$PATH"
  need_program psql postgresql-client
}

# connection URL: sets `database_url` without its password, which goes into PGPASSWORD: arguments of processes are public.
# shellcheck disable=SC2034 # whoever calls it uses database_url
connection() {
  database_url=$1
  if [[ $1 =~ ^(postgres(ql)?://[^:/@]*):([^@]*)@(.*)$ ]]; then
    database_url="${BASH_REMATCH[1]}@${BASH_REMATCH[4]}"
    PGPASSWORD=$(printf '%b' "${BASH_REMATCH[3]//%/\\x}")
    export PGPASSWORD
  fi
  export PGCONNECT_TIMEOUT=${PGCONNECT_TIMEOUT:-10}
}

# with_database URL NAME: the same server's database of that name
with_database() { sed -E "s|^(postgres(ql)?://[^/]*)/[^?]*|\1/$2|" <<<"$1"; }
database_of() { sed -E 's|^postgres(ql)?://[^/]*/([^?]*).*|\2|' <<<"$1"; }

# sql URL ARGUMENTS...: psql as scripts want it
sql() {
  local url=$1
  shift
  psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --dbname "$url" "$@"
}

# ---------------------------------------------------------------- metrics

# write_metrics NAME: standard input becomes NAME.prom for the node exporter's textfile collector, as a whole or not at all.
# Each metric is declared in deploy/lib/metrics.txt, where its help text is taken from.
write_metrics() {
  local folder=${LECTERN_METRICS_DIR:-} file metric help declared
  [ -n "$folder" ] || { cat >/dev/null; return 0; }
  mkdir -p "$folder"
  file=$(mktemp "$folder/.$1.XXXXXX")
  declared=$(dirname "${BASH_SOURCE[0]}")/metrics.txt
  while IFS= read -r line; do
    metric=${line%%[ \{]*}
    if [ "$metric" != "${metric_before:-}" ]; then
      help=$(sed -n "s/^$metric: //p" "$declared")
      [ -n "$help" ] || die "$metric isn't declared in $declared"
      printf '# HELP %s %s\n# TYPE %s gauge\n' "$metric" "$help" "$metric"
      metric_before=$metric
    fi
    printf '%s\n' "$line"
  done >"$file"
  unset metric_before
  chmod 644 "$file"
  mv "$file" "$folder/$1.prom"
}

seconds_since() { echo $(($(date +%s) - $1)); }
