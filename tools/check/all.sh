#!/bin/sh
# Every guard, one after the other; fails when one did. all.sh BUILD
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build}
export PYTHONDONTWRITEBYTECODE=1
failed=
for check in selftest.sh floors.py symbols.py sizes.py words.py format.py invariants.py hygiene.py golden.sh tidy.py; do
    tools/check/$check "$build" || failed="$failed ${check%.*}"
done
if [ -n "$failed" ]; then
    echo "check: failed:$failed"
    exit 1
fi
echo "check: all guards hold"
