# Shared by native.sh and pyodide.sh; sourced, not run.

root=$(CDPATH= cd -- "$here/../.." && pwd)
crate=$root/wasm
[ -d "$root/.venv/bin" ] && PATH=$root/.venv/bin:$PATH

have() { command -v "$1" >/dev/null 2>&1; }

missing() { # what is missing, how to get it
    echo "coterie_mls cannot be built: $1 is missing. $2" >&2
    exit 1
}

# No path of this machine in what we hand out: panics and errors name files.
remap() {
    cargo_home=${CARGO_HOME:-$HOME/.cargo}
    echo "--remap-path-prefix=$crate=coterie_mls --remap-path-prefix=$cargo_home=cargo"
}

# build [hooks] ARGUMENTS...: the release wheel into dist/, or the tests' wheel into dist/test/.
build() {
    have maturin || missing "maturin" "python -m pip install maturin==1.16.0"
    if [ "${1:-}" = hooks ]; then
        shift
        set -- --profile hooks --features kat-hooks --out "$root/dist/test" "$@"
    else
        set -- --release --out "$root/dist" "$@"
    fi
    cd "$crate" && maturin build --locked "$@"
}
