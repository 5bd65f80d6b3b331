#!/usr/bin/env bash
# Runs the official clients of OpenAI's API and of the Model Context Protocol, unchanged, against the Lectern that
# with-lectern.sh has started.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
clients=$here/../../../.dev/clients
export OPENAI_BASE_URL=$LECTERN_URL/v1 OPENAI_API_KEY=$LECTERN_KEY
export PYTHONPATH=$clients/python NODE_PATH=$clients/node/node_modules
python3 "$here/openai_client.py"
node "$here/openai_client.cjs"
python3 "$here/mcp_client.py"
