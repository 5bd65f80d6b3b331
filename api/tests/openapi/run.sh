#!/usr/bin/env bash
# Asks the Lectern that with-lectern.sh has started whatever its description allows, and what it doesn't.
#
#   api/tests/openapi/run.sh [SECONDS]
#
# Each operation is asked with its examples and at the edges of its schemas; for SECONDS more, with random requests and
# chains of requests. `make test-openapi` has fetched schemathesis before.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
export PYTHONPATH=$here/../../../.dev/clients/schemathesis PYTHONDONTWRITEBYTECODE=1
cd "$here"
python3 examples.py "$LECTERN_URL/api/v1/openapi.json"
ask() {
  python3 -m schemathesis.cli --config-file schemathesis.toml run "$LECTERN_URL/api/v1/openapi.json" \
    --checks all --seed 1 --generation-database none "$@"
}
ask --phases examples,coverage
if [ "${1:-0}" != 0 ]; then
  ask --phases fuzzing,stateful --max-time "$1"
fi
