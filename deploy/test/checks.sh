#!/usr/bin/env bash
# shellcheck disable=SC2154 # the folder is the test's
# For the tests here to source: runs named checks, and says which of them failed and why. They need `scratch`, a folder.
# LECTERN_TEST_VERBOSE shows what the others said, too.

passed=0 failed=0

# A test may define these anew.
before_check() { :; }
after_check() { :; }

# check NAME: in a subshell where the first failing command ends the test
check() {
  local code=0 begin
  begin=$(date +%s%3N)
  before_check
  set +e
  (set -e; "$1") >"$scratch/output" 2>&1
  code=$?
  set -e
  after_check
  if [ "$code" = 0 ]; then
    passed=$((passed + 1))
    printf 'ok      %s (%d ms)\n' "${1//_/ }" $(($(date +%s%3N) - begin))
    [ -z "${LECTERN_TEST_VERBOSE:-}" ] || sed 's/^/        /' "$scratch/output"
  else
    failed=$((failed + 1))
    printf 'FAILED  %s (exit code %d)\n' "${1//_/ }" "$code"
    tail -60 "$scratch/output" | sed 's/^/        /'
  fi
}

# Whether all went well.
end_of_checks() {
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" = 0 ]
}

fail() { echo "${FUNCNAME[1]}: $*"; exit 1; }
equal() { [ "$1" = "$2" ] || { echo "line ${BASH_LINENO[0]}: '$1' isn't '$2'"; exit 1; }; }

# listening PORT: whether somebody does, on this machine
listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# eventually SECONDS COMMAND…: until it succeeds
eventually() {
  local seconds=$1 tries
  shift
  tries=$((seconds * 10))
  until "$@"; do
    ((tries-- > 0)) || { echo "not within $seconds s: $*"; return 1; }
    sleep 0.1
  done
}
