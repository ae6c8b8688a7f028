#!/usr/bin/env python3
"""Linker for Rust's wasm32-unknown-emscripten target that needs no Emscripten SDK.

rustc calls its linker for this target with emcc's command line. A Pyodide extension module is a *side
module*: every libc symbol is imported from Pyodide's main module when it is loaded, so emcc adds nothing that
wasm-ld cannot do by itself. This script turns emcc's command into wasm-ld's. The environment variable
WASM_LD names the linker, with arguments if need be ("rust-lld -flavor wasm").
"""

import json
import os
import shlex
import subprocess
import sys

WASM_LD = shlex.split(os.environ.get("WASM_LD", "wasm-ld-22"))

SIDE_MODULE = [
    "-shared",
    "--experimental-pic",  # a side module, with a dylink.0 section
    "--unresolved-symbols=import-dynamic",  # libc and libpython come from the main module
    "--import-memory",
    "--no-entry",
    "--gc-sections",
    "--strip-all",
    "--export-if-defined=__wasm_apply_data_relocs",
    "--export-if-defined=__wasm_call_ctors",
]


def wasm_ld_command(arguments: list[str]) -> list[str]:
    """Translate the arguments that rustc has for emcc into one wasm-ld command."""
    output: list[str] = []
    objects: list[str] = []
    exports: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "-o":
            output = ["-o", next(words)]
        elif word == "-s":
            name, _, value = next(words).partition("=")
            if name == "EXPORTED_FUNCTIONS":  # emcc spells C names with a leading underscore
                exports = [f"--export={symbol.removeprefix('_')}" for symbol in json.loads(value)]
        elif word.endswith((".o", ".rlib", ".a")):
            objects.append(word)
    return [*WASM_LD, *output, *SIDE_MODULE, *exports, *objects]


if __name__ == "__main__":
    sys.exit(subprocess.call(wasm_ld_command(sys.argv[1:])))
