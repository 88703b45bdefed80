#!/bin/sh
# A guard that never fails guards nothing: each one passes a small good tree and fails the same tree with one thing wrong.
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
tree=$(mktemp -d) || exit 1
trap 'rm -rf "$tree"' EXIT
export ROOT="$tree" PYTHONDONTWRITEBYTECODE=1

plant_good_tree()
{
    rm -rf "$tree/src" "$tree/test" "$tree/docs" "$tree/build" "$tree/notes.txt"
    mkdir -p "$tree/src/base" "$tree/src/raft" "$tree/src/io" "$tree/src/replica/log" "$tree/tests/golden" "$tree/docs" "$tree/build/lib.p"
    cp "$top/.clang-format" "$top/.clang-tidy" "$tree/"
    printf '/* ids.h - floor 0. */\n#define ID_NONE 0\n' >"$tree/src/base/ids.h"
    printf 'int raft_step(int event);\n' >"$tree/src/raft/raft.h"
    printf 'int io_now(int io);\n' >"$tree/src/io/io.h"
    printf 'int replica_step(int event);\n' >"$tree/src/replica/replica.h"
    printf 'int replica_log_step(int event);\n' >"$tree/src/replica/log/log.h"
    cat >"$tree/src/raft/step.c" <<'END'
#include "base/ids.h"
#include "raft/raft.h"

#include <string.h>

static int length_of(const char *text)
{
    return (int)strlen(text);
}

/* RAFT-1 */
int raft_step(int event)
{
    if (event == ID_NONE)
        return length_of("none");
    return event;
}
END
    cat >"$tree/src/replica/log/step.c" <<'END'
#include "raft/raft.h"
#include "replica/log/log.h"
#include "replica/replica.h"

int replica_log_step(int event)
{
    return raft_step(event);
}
END
    printf '/* RAFT-1 */\n' >"$tree/tests/test_step.c"
    printf '| RAFT-1 | one leader | step.c | test_step.c |\n' >"$tree/docs/invariants.md"
    printf 'cost\n' >"$tree/tests/golden/cost.txt"
    printf 'journey\n' >"$tree/tests/golden/journey.txt"
    printf '#!/bin/sh\necho "$1"\n' >"$tree/build/holdfast-sim"
    chmod +x "$tree/build/holdfast-sim"
}

compile()
{
    for path in src/raft/step.c src/replica/log/step.c; do
        # What does not compile is for the guards that read text.
        cc -std=gnu11 -O2 -I"$tree/src" -c "$tree/$path" -o "$tree/build/lib.p/$(echo $path | tr / _).o" 2>/dev/null
    done
    printf '[{"directory": "%s/build", "file": "../src/raft/step.c", "command": "cc -I../src -c ../src/raft/step.c"}]\n' \
        "$tree" >"$tree/build/compile_commands.json"
}

expect() # expect pass|fail GUARD WHAT
{
    echo "$2" >>"$tree/tried"
    said=$("$here/$2" build 2>&1)
    outcome=$1$?
    case $said in *Traceback*) outcome=crashed ;; esac
    case $outcome in
    pass0 | fail1) ;;
    *)
        echo "selftest: $2 should $1: $3"
        echo "$said" | sed 's/^/    /'
        echo "$2" >>"$tree/failed"
        ;;
    esac
}

# wrong GUARD WHAT FILE: standard input goes to the end of FILE in a good tree
wrong()
{
    plant_good_tree
    cat >>"$tree/$3"
    compile
    expect fail "$1" "$2"
}

plant_good_tree
compile
for guard in floors.py symbols.py sizes.py words.py format.py tidy.py invariants.py hygiene.py golden.sh; do
    expect pass $guard "a good tree"
done

echo '#include "replica/replica.h"' | wrong floors.py "an include upwards" src/raft/step.c
echo '#include "raft/private.h"' | wrong floors.py "another folder's private header" src/replica/log/step.c
echo '#include <unistd.h>' | wrong floors.py "the system below the seam" src/raft/step.c
echo '#include "replica/private.h"' | wrong floors.py "a room reaches into its parent" src/replica/log/step.c
printf '#include <time.h>\nlong now(void)\n{\n    return time(0);\n}\n' | wrong symbols.py "a clock" src/raft/step.c
printf '#include <stdlib.h>\nvoid *get(void)\n{\n    return malloc(3);\n}\n' | wrong symbols.py "an allocator" src/raft/step.c
printf 'int replica_step(int);\nint up(void)\n{\n    return replica_step(1);\n}\n' |
    wrong symbols.py "a symbol of a higher floor" src/raft/step.c
printf 'int next(void)\n{\n    static int n;\n    return ++n;\n}\n' | wrong symbols.py "mutable state" src/raft/step.c
{ printf 'int many(int a)\n{\n'; yes '    a++;' | head -n 70; printf '    return a;\n}\n'; } |
    wrong sizes.py "a long function" src/raft/step.c
yes '/* line */' | head -n 900 | wrong sizes.py "a long file" src/raft/step.c
printf '/* %0101d */\n' 0 | wrong sizes.py "a wide line" src/raft/step.c
printf 'int deep(int a)\n{\n    if (a)\n        for (;;)\n            while (a)\n                if (a)\n                    switch (a) {\n                    default:\n                        return 1;\n                    }\n    return 0;\n}\n' |
    wrong sizes.py "five levels" src/raft/step.c
printf 'void copy(char *a, const char *b)\n{\n    strcpy(a, b);\n}\n' | wrong words.py "strcpy" src/raft/step.c
printf 'int  wide( void );\n' | wrong format.py "loose format" src/raft/step.c
printf 'int lose(int n)\n{\n    int k = 0;\n    while (n)\n        k++;\n    return k;\n}\n' |
    wrong tidy.py "a loop without end" src/raft/step.c
echo '| RAFT-2 | never held |' | wrong invariants.py "a promise that nobody holds" docs/invariants.md
echo '/* RAFT-3 */' | wrong invariants.py "a promise that is not listed" src/raft/step.c
echo "see /""home/somebody/notes" | wrong hygiene.py "a path of one machine" notes.txt
echo "get it at deb.""debian.org" | wrong hygiene.py "a package host" notes.txt
echo 'more' | wrong golden.sh "another cost" tests/golden/cost.txt

[ ! -e "$tree/failed" ] || exit 1
echo "selftest: ok, $(wc -l <"$tree/tried") trials"
