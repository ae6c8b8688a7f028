#!/bin/sh
# Builds the CPython wheel of coterie_mls for this machine into dist/ (or, with "hooks", the test build with
# the feature kat-hooks into dist/test/). Needs a Rust toolchain, and maturin in the venv or on PATH.
#
#   wasm/build/native.sh [hooks]
#   python -m pip install --force-reinstall --no-deps dist/coterie_mls-*-manylinux*.whl
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/common.sh"

have cargo || missing "cargo" "install Rust 1.91 or newer: https://rustup.rs"
RUSTFLAGS="${RUSTFLAGS:-} $(remap)"
export RUSTFLAGS
build "$@" --compatibility linux
