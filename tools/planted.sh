#!/bin/sh
# Faults built in on purpose: the simulator must find each within ten minutes of one core. Two at a time, each stops at
# its find. planted.sh [FAULT ...]   BUILD=build MINUTES=10 SEED=first
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
sim=$build/holdfast-sim
said=$build/planted
[ -x "$sim" ] || make -s build BUILD="$build" || exit 1
mkdir -p "$said"
faults=${*:-$("$sim" faults)}

for fault in $faults; do
    echo "$fault"
done | xargs -P 2 -n 1 sh -c '
    timeout '"$((${MINUTES:-10} * 60 + 120))"' "$0" swarm --minutes '"${MINUTES:-10}"' --seed '"${SEED:-1}"' \
        --fault "$2" --stop-at-find >"$1/$2.txt" 2>"$1/$2.errors"
    true' "$sim" "$said"

missed=0
printf '%-18s %-8s %8s  %s\n' fault seed seconds "found by"
for fault in $faults; do
    found=$(sed -n 's/^FOUND after \([0-9]*\) s by \([a-z-]*\): .*/\1 \2/p' "$said/$fault.txt" | head -n 1)
    seed=$(sed -n 's/^replay: make sim SEED=\([0-9]*\) .*/\1/p' "$said/$fault.txt" | head -n 1)
    if [ -z "$found" ]; then
        printf '%-18s %-8s %8s  %s\n' "$fault" - - "NOT FOUND"
        missed=$((missed + 1))
    else
        printf '%-18s %-8s %8s  %s\n' "$fault" "$seed" "${found% *}" "${found#* }"
    fi
done
[ $missed -eq 0 ] && echo "planted: all found"
exit $((missed > 0))
