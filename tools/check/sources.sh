#!/bin/sh
# Prints our C files, one a line. ROOT is the tree to look at.
cd "${ROOT:-$(dirname "$0")/../..}" || exit 1
for folder in src sim tests bench; do
    [ -d "$folder" ] && find "$folder" -name '*.[ch]' -type f
done | sort
