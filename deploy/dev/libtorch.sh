#!/usr/bin/env bash
# Puts libtorch 2.4.1 for the CPU into .dev/libtorch (or the folder given), for builds with the feature rust-bert.
#
#   deploy/dev/libtorch.sh [FOLDER]
#
# The wheel's libtorch_cpu.so needs two CUDA libraries, of which it calls nothing without a GPU; they would be
# gigabytes. Stubs of ours (libtorch-stub/) take their place. What remains is 400 MB.
#
# Building and running against it needs the environment that the last lines print.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR
source "$here/wheels.sh"
detect_platform
folder=${1:-$here/../../.dev/libtorch}

[[ $arch == x86_64 ]] ||
  die "the pinned libtorch is for x86_64: on $arch unpack libtorch 2.4 yourself and point LIBTORCH at it, or use the runtime 'ort', which needs none"
torch_wheel=0b5f88afdfa05a335d80351e3cea57d38e578c8689f751d35e0ff36bce872113
# Anything else in the stubs' folder makes another library: their hash is part of the stamp.
stub_sources=$(cat "$here"/libtorch-stub/* | sha256sum | cut -d' ' -f1)

install_libtorch() {
  command -v cc >/dev/null || die "a C compiler is missing: install one (Debian: apt-get install gcc) and run this again"
  fetch_wheel torch 2.4.1 "$torch_wheel"
  say "unpacking libtorch"
  unpack torch/lib/libtorch_cpu.so=lib/libtorch_cpu.so \
    torch/lib/libc10.so=lib/libc10.so \
    torch/lib/libgomp-a34b3233.so.1=lib/libgomp-a34b3233.so.1 \
    torch/include/=include/ \
    torch-2.4.1.dist-info/LICENSE=licences/LICENSE \
    torch-2.4.1.dist-info/NOTICE=licences/NOTICE
  verify 7d755082242d1f04aa4c0079a7b0bdad2dfc412d31fc065ae634beaf2287c804 lib/libtorch_cpu.so
  verify ff4eddb5dec320702e7cf1a35af3a83cf2fcce29c68e4bfeeb0e0bfd48724041 lib/libc10.so
  verify 9eb01021bb58ec36925daeb5a56606bfab558332eb5f5119e990e4c208ed2581 lib/libgomp-a34b3233.so.1
  local stub
  for stub in cupti cudart; do
    cc -shared -fPIC -O2 "-Wl,-soname,lib$stub.so.12" "-Wl,--version-script=$here/libtorch-stub/$stub.map" \
      -o "$staging/lib/lib$stub.so.12" "$here/libtorch-stub/$stub.c"
  done
  # The crate links libtorch.so too, which in this layout has nothing of its own.
  cc -shared -fPIC -x c -Wl,-soname,libtorch.so -o "$staging/lib/libtorch.so" /dev/null
  # 60 MB of symbols that only a debugger reads.
  if command -v strip >/dev/null; then strip --strip-unneeded "$staging"/lib/lib{torch_cpu,c10}.so; fi
  publish include lib licences
}

ensure libtorch lib/libtorch_cpu.so "$torch_wheel" "$stub_sources"
folder=$(cd "$folder" && pwd)
say "libtorch is in $folder; cargo needs:"
printf '%s\n' \
  "export LIBTORCH=$folder" \
  "export LIBTORCH_CXX11_ABI=0 # as the wheel was built" \
  "export LIBTORCH_BYPASS_VERSION_CHECK=1 # the check runs 'import torch' otherwise" \
  "export LD_LIBRARY_PATH=$folder/lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
