#!/usr/bin/env python3
"""Functions that nobody calls here: no bound, hidden state, or a hidden wait."""
import re

import source

FORBIDDEN = {
    "strcpy": "no bound: memcpy with a size", "strcat": "no bound: buffer_append", "sprintf": "no bound: snprintf",
    "vsprintf": "no bound: vsnprintf", "gets": "no bound", "strtok": "hidden state: slice_take",
    "strncpy": "may leave no terminator: memcpy with a size", "strncat": "no clear bound: buffer_append",
    "alloca": "unbounded stack", "atoi": "cannot fail: slice_to_i64", "atol": "cannot fail: slice_to_i64",
    "rand": "hidden state: base/random.h", "srand": "hidden state: base/random.h", "random": "hidden state: base/random.h",
    "localtime": "hidden state", "gmtime": "hidden state",
    "setjmp": "no jumps", "longjmp": "no jumps",
}
WAITS = {"sleep": "waits for time, not for a condition", "usleep": "waits for time, not for a condition"}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(sorted(FORBIDDEN | WAITS)) + r")\s*\(")


def check(path):
    code = source.without_directives(source.code_of(source.read(path)))
    for match in CALL.finditer(code):
        word, line = match.group(1), code.count("\n", 0, match.start()) + 1
        yield f"{path}:{line}: {word}: {FORBIDDEN.get(word) or WAITS[word]}"


source.finish("words", [problem for path in source.files(".c", ".h") for problem in check(path)])
