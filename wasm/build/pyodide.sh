#!/bin/sh
# Builds the Pyodide wheel of coterie_mls into dist/ (or, with "hooks", the test build with the feature
# kat-hooks into dist/test/).
#
#   wasm/build/pyodide.sh [hooks]
#
# It takes what is there:
#   compiler   rustup with the target wasm32-unknown-emscripten; or else Debian's rustc-web, cargo-web and
#              rust-web-src, whose sources let cargo build the standard library for that target
#   linker     emcc of exactly Pyodide's Emscripten version; or else wasm-ld-22 (Debian's lld-22) or rustup's
#              own rust-lld, through pyodide_ld.py
# and maturin in the venv or on PATH.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/common.sh"

target=wasm32-unknown-emscripten
emscripten=5.0.3 # of Pyodide 314.0.7
platform=2026_0  # its ABI
sources=/usr/lib/rustlib/src/rust/library

has_target() { have rustup && rustup target list --installed 2>/dev/null | grep -qx "$target"; }
has_debian() { [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && [ -d "$sources" ]; }

flags="-C relocation-model=pic"
if has_target; then
    set -- "$@" -i python3.14
elif has_debian; then
    PATH=/usr/bin:$PATH
    [ -d "$root/.venv/bin" ] && PATH=$root/.venv/bin:$PATH
    RUSTC=/usr/bin/rustc CARGO=/usr/bin/cargo RUSTC_BOOTSTRAP=1 # the last one allows -Zbuild-std
    export RUSTC CARGO RUSTC_BOOTSTRAP
    flags="$flags --remap-path-prefix=$sources=rust"
    set -- "$@" -i python3.14 -Zbuild-std=std,panic_unwind
else
    missing "a Rust compiler for $target" "With rustup: rustup target add $target. On Debian: \
apt-get install rustc-web cargo-web rust-web-src lld-22"
fi

if have emcc && emcc --version | head -n 1 | grep -qw "$emscripten"; then
    flags="$flags -C link-args=-sSIDE_MODULE=2"
    CARGO_TARGET_WASM32_UNKNOWN_EMSCRIPTEN_LINKER=emcc
else
    if have wasm-ld-22; then
        WASM_LD=wasm-ld-22
    elif has_target; then
        host=$(rustc -vV | sed -n 's/^host: //p')
        WASM_LD="$(rustc --print sysroot)/lib/rustlib/$host/bin/rust-lld -flavor wasm"
    else
        missing "a linker for wasm" "On Debian: apt-get install lld-22; or an Emscripten SDK $emscripten"
    fi
    export WASM_LD
    flags="$flags -C linker-flavor=em -C link-self-contained=no"
    CARGO_TARGET_WASM32_UNKNOWN_EMSCRIPTEN_LINKER=$here/pyodide_ld.py
fi
export CARGO_TARGET_WASM32_UNKNOWN_EMSCRIPTEN_LINKER

CARGO_TARGET_WASM32_UNKNOWN_EMSCRIPTEN_RUSTFLAGS="$flags $(remap)"
MATURIN_EMSCRIPTEN_VERSION=$emscripten
MATURIN_PYEMSCRIPTEN_PLATFORM_VERSION=$platform
export CARGO_TARGET_WASM32_UNKNOWN_EMSCRIPTEN_RUSTFLAGS MATURIN_EMSCRIPTEN_VERSION
export MATURIN_PYEMSCRIPTEN_PLATFORM_VERSION
# With abi3 the interpreter python3.14 need not exist: maturin takes its name only.
build "$@" --target "$target"
