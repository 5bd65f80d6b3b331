#!/usr/bin/env bash
# Builds Lectern and runs it on this machine until Ctrl-C: PostgreSQL and Redis of its own, the API and one worker.
#
#   deploy/dev/run.sh
#
# Settings (environment): every LECTERN_* setting of the API and the worker, and
#   LECTERN_LISTEN   address of the API and the page (127.0.0.1:8080)
# shellcheck disable=SC2317 # functions are called by name, through trap and timed
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
cd "$root"
export SQLX_OFFLINE=true # the queries were checked against a database when .sqlx was written
export LECTERN_LISTEN=${LECTERN_LISTEN:-127.0.0.1:8080}

binaries=${CARGO_TARGET_DIR:-target}/release
logs=.dev/log
start_deadline_s=60
stop_deadline_s=30

step='' api='' worker='' # pids, once they run
followers=()

say() { printf 'lectern: %s\n' "$*" >&2; }

main() {
  trap 'stop_everything 0' INT TERM HUP
  trap 'stop_everything $?' EXIT # a failed step, too, leaves nothing running
  refuse_taken_port
  timed 'system packages' deploy/dev/setup.sh
  timed 'PostgreSQL and Redis' deploy/dev/services.sh up
  timed 'model files' deploy/dev/models.sh
  timed 'page' make --no-print-directory web/dist/index.html
  timed 'build' cargo build --release --locked -p lectern-api -p lectern-worker
  # shellcheck disable=SC1091 # written by services.sh
  . .dev/env
  mkdir -p "$logs"
  start api "$binaries/lectern-api" serve
  start worker "$binaries/lectern-worker" run
  timed 'start' wait_for_health
  show_log api
  show_log worker
  greet
  follow_log api
  follow_log worker
  wait_for_a_death
}

# ---------------------------------------------------------------- steps

# timed NAME COMMAND...: in the background, since bash runs traps only between foreground commands,
# and in a process group of its own (set -m), so that a stop reaches what the step has started
timed() {
  local name=$1 begin_ms=$((${EPOCHREALTIME/[.,]/} / 1000)) code=0
  shift
  set -m
  "$@" </dev/null &
  step=$!
  set +m
  wait "$step" || code=$?
  step=''
  [ "$code" = 0 ] || { say "error: '$name' failed (exit code $code)"; exit "$code"; }
  local ms=$((${EPOCHREALTIME/[.,]/} / 1000 - begin_ms))
  say "$(printf '%-20s %4d.%d s' "$name" $((ms / 1000)) $((ms % 1000 / 100)))"
}

# host:port where this machine reaches the API: the address to listen on may be "any"
reachable() {
  local port=${LECTERN_LISTEN##*:} host=${LECTERN_LISTEN%:*}
  case $host in 0.0.0.0 | '[::]') host=127.0.0.1 ;; esac
  echo "$host:$port"
}

refuse_taken_port() {
  local address
  address=$(reachable)
  if (exec 3<>"/dev/tcp/$(tr -d '[]' <<<"${address%:*}")/${address##*:}") 2>/dev/null; then
    say "error: something listens on $address already: stop it, or choose another address, for example LECTERN_LISTEN=127.0.0.1:8081 make run"
    exit 1
  fi
}

# start NAME COMMAND...: in a session of its own, so that Ctrl-C reaches only this script, which stops it in order;
# and with a parent-death signal, so that not even kill -9 of this script leaves it behind
start() {
  local name=$1
  shift
  setsid setpriv --pdeathsig TERM -- "$@" </dev/null >"$logs/$name.log" 2>&1 &
  printf -v "$name" %s $!
}

wait_for_health() {
  local url deadline=$((SECONDS + start_deadline_s))
  url=http://$(reachable)/api/v1/health
  until curl --silent --fail --output /dev/null --max-time 2 "$url"; do
    alive "$api" || { fail_with_log api 'the API ended while starting'; return 1; }
    alive "$worker" || { fail_with_log worker 'the worker ended while starting'; return 1; }
    if ((SECONDS >= deadline)); then fail_with_log api "$url didn't answer 200 within $start_deadline_s s"; return 1; fi
    sleep 0.1
  done
}

# A process that ended but wasn't waited for still answers kill -0; its state is Z. (Its command line is empty, too, but
# so is that of a process in the moment of its exec.)
alive() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) && [[ $stat != *') Z '* ]]
}

fail_with_log() {
  tail -n 20 "$logs/$1.log" >&2
  say "error: $2; the log is $logs/$1.log"
}

greet() {
  local page=http://$LECTERN_LISTEN
  case $LECTERN_LISTEN in 127.0.0.1:* | 0.0.0.0:* | '[::]:'*) page=http://localhost:${LECTERN_LISTEN##*:} ;; esac
  cat >&2 <<END

  Lectern is ready at $page

  Add a document:
    curl -H 'Authorization: Bearer lectern-dev' -F file=@worker/tests/files/handbook.pdf $page/api/v1/documents
  Ask about it, and read the answer as it is written:
    curl -N -H 'Authorization: Bearer lectern-dev' -H 'Accept: text/event-stream' -H 'Content-Type: application/json' \\
      -d '{"question":"How much may a hotel night cost in Zurich?"}' $page/api/v1/questions
  Open the page:
    xdg-open $page

  Ctrl-C stops everything; the documents stay.

END
}

wait_for_a_death() {
  local code=0 dead='' name=worker
  wait -n -p dead "$api" "$worker" || code=$?
  [ "$dead" != "$api" ] || name=api
  say "error: the $name ended by itself (exit code $code); its log is $logs/$name.log"
  exit "$code"
}

# ---------------------------------------------------------------- logs

declare -A shown=([api]=0 [worker]=0) # lines on the terminal so far

show_log() {
  shown[$1]=$(wc -l <"$logs/$1.log")
  head -n "${shown[$1]}" "$logs/$1.log" | prefixed "$1"
}

follow_log() {
  setsid tail -n "+$((shown[$1] + 1))" -f --pid=$$ "$logs/$1.log" > >(trap '' INT TERM; prefixed "$1") 2>/dev/null &
  followers+=($!)
}

prefixed() { sed -u "s/^/$(printf '%-6s' "$1") | /"; }

# ---------------------------------------------------------------- stopping

stop_everything() {
  trap '' INT TERM HUP # a second Ctrl-C must not leave half of it running
  trap - EXIT
  say 'stopping'
  if [ -n "$step" ]; then end "-$step"; fi
  end "$api" "$worker"
  end "${followers[@]}"
  deploy/dev/services.sh down
  exit "$1"
}

# end PID...: SIGTERM to all, then waits for all; SIGKILL for those that don't end. A pid with a minus is a process group.
end() {
  local pid running=() deadline=$((SECONDS + stop_deadline_s))
  for pid in "$@"; do
    if [ -n "$pid" ] && kill -TERM -- "$pid" 2>/dev/null; then running+=("$pid"); fi
  done
  for pid in "${running[@]}"; do
    while alive "${pid#-}" && ((SECONDS < deadline)); do sleep 0.05; done
    if alive "${pid#-}"; then
      say "pid ${pid#-} didn't stop within $stop_deadline_s s: killing it"
      kill -KILL -- "$pid" 2>/dev/null || true
    fi
    wait "${pid#-}" 2>/dev/null || true
  done
}

main
