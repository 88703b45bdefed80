#!/bin/sh
# Random bytes against the parser, guided by coverage: tests/resp/fuzz.sh [SECONDS], in the source root. Needs clang.
set -eu
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
clang -std=gnu11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -Isrc -I. \
    tests/resp/fuzz_parse.c src/resp/*.c src/base/*.c -lxxhash -lm -o "$directory/fuzz_parse"
mkdir "$directory/corpus"
printf '*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nvv\r\n' >"$directory/corpus/bulks"
printf 'SET "a b" '"'c'"'\r\n' >"$directory/corpus/inline"
"$directory/fuzz_parse" -max_total_time="${1:-60}" -max_len=300 "$directory/corpus"
