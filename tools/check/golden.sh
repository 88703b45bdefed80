#!/bin/sh
# The counted cost of each operation and the journey of one write are what the golden texts say: golden.sh BUILD
# GOLDEN=write accepts what the simulator says now; read the difference before you commit it.
cd "${ROOT:-$(dirname "$0")/../..}" || exit 1
build=${1:-build}
if [ ! -x "$build/holdfast-sim" ]; then
    echo "golden: $build/holdfast-sim is not built yet"
    exit 1
fi
found=0
for verb in cost journey; do
    golden=tests/golden/$verb.txt
    said=$build/golden-$verb.txt
    if ! timeout 120 "$build/holdfast-sim" "$verb" >"$said" 2>"$said.errors"; then
        echo "golden: holdfast-sim $verb failed: $(tail -n 1 "$said.errors")"
        found=$((found + 1))
    elif [ "${GOLDEN:-}" = write ]; then
        mkdir -p "tests/golden" && cp "$said" "$golden"
        echo "golden: wrote $golden"
    elif ! diff -u "$golden" "$said"; then
        echo "golden: $verb differs from $golden (GOLDEN=write tools/check/golden.sh accepts it)"
        found=$((found + 1))
    fi
done
[ $found -eq 0 ] && echo "golden: ok"
exit $((found > 0))
