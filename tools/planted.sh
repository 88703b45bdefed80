#!/bin/sh
# Faults built in on purpose: the simulator must find each within ten minutes of one core. Two at a time, each stops at
# its find. What was found or missed is kept in BUILD/planted/state: a second call with the same program goes on where
# the first one stopped.
#   planted.sh [--again] [--turn N] [FAULT ...]     --again: forget the state; --turn N: N of them, others each day
#   BUILD=build MINUTES=10 (for one fault) LIMIT=60 (minutes for all) JOBS=2 SEED=1
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
sim=$build/holdfast-sim
said=$build/planted
[ -x "$sim" ] || make -s build BUILD="$build" || exit 1
mkdir -p "$said"

again="" turn=""
while [ $# -gt 0 ]; do
    case $1 in
    --again) again=1 ;;
    --turn) turn=$2; shift ;;
    --*) sed -n '2,6s/^# *//p' "$0" >&2; exit 2 ;;
    *) break ;;
    esac
    shift
done

program=$(cksum <"$sim")
[ -n "$again" ] && rm -f "$said/state"
if [ "$(head -n 1 "$said/state" 2>/dev/null)" != "$program" ]; then
    echo "$program" >"$said/state"
fi

by_turn() # by_turn N FAULT...
{
    count=$1
    shift
    first=$(($(date +%s) / 86400 * count % $#))
    printf '%s\n' "$@" "$@" | tail -n +$((first + 1)) | head -n "$count"
}

faults=${*:-$("$sim" faults)}
# shellcheck disable=SC2086
[ -n "$turn" ] && faults=$(by_turn "$turn" $faults)

# One fault, unless it is known already or time is up: a line "FAULT SEED SECONDS ORACLE", or "FAULT - - MISSED".
export sim said end_s
end_s=$(($(date +%s) + ${LIMIT:-60} * 60))
export minutes="${MINUTES:-10}" seed="${SEED:-1}"
for fault in $faults; do
    echo "$fault"
done | xargs -P "${JOBS:-2}" -n 1 sh -c '
    grep -q "^$0 " "$said/state" && exit 0
    left=$((end_s - $(date +%s)))
    [ $left -lt $((minutes * 60)) ] && exit 0
    timeout $((minutes * 60 + 120)) "$sim" swarm --minutes "$minutes" --seed "$seed" \
        --fault "$0" --stop-at-find >"$said/$0.txt" 2>"$said/$0.errors"
    found=$(sed -n "s/^FOUND after \([0-9]*\) s by \([a-z-]*\): .*/\1 \2/p" "$said/$0.txt" | head -n 1)
    by=$(sed -n "s/^replay: make sim SEED=\([0-9]*\) .*/\1/p" "$said/$0.txt" | head -n 1)
    echo "$0 ${by:--} ${found:-- MISSED}" >>"$said/state"'

missed=0 open=0
printf '%-18s %-8s %8s  %s\n' fault seed seconds "found by"
for fault in $faults; do
    line=$(grep "^$fault " "$said/state" | head -n 1)
    [ -n "$line" ] || { line="$fault - - NOT TRIED: call again"; open=$((open + 1)); }
    case $line in *MISSED) missed=$((missed + 1)) ;; esac
    # shellcheck disable=SC2086
    set -- $line
    shift 3
    printf '%-18s %-8s %8s  %s\n' $(echo "$line" | cut -d ' ' -f 1-3) "$*"
done
[ $missed -gt 0 ] && sed -i '/ MISSED$/d' "$said/state" # to be tried again
[ $((missed + open)) -eq 0 ] && echo "planted: all found"
exit $(((missed + open) > 0))
