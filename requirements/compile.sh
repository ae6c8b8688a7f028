#!/bin/sh
# Recompile requirements/*.txt from *.in: every version and the hashes of all its files, for every
# platform and for Python 3.11 and later. Run by `make lock`, which puts uv on PATH.
set -eu
cd "$(dirname "$0")"
for name in lock run test supabase; do
    echo "requirements/$name.txt"
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
        --custom-compile-command "make lock" --no-emit-index-url --no-emit-find-links \
        --output-file "$name.txt" "$name.in"
done
