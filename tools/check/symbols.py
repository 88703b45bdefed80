#!/usr/bin/env python3
"""Purity by symbols, from the objects of a release build: symbols.py BUILD

1. A folder's objects refer to its own symbols, those of lower floors and a short list of C library functions: no clock,
   system call or allocator gets in, whatever was included. Only io/, http/ and the programs meet the outside.
2. No object of src/ or sim/ has mutable data: many nodes live in one process."""
import glob
import os
import re
import subprocess
import sys

import source

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"

LIBC = set("""
    memcpy memmove memcmp memset memchr memrchr memmem strlen strnlen strcmp strncmp strcasecmp strncasecmp strchr strrchr strstr
    strspn strcspn strpbrk snprintf vsnprintf qsort bsearch abs labs
    strtol strtoll strtoul strtoull strtod strtold __isoc99_sscanf
    floor ceil fabs pow powl log log2 exp sqrt round llround lround roundl floorl ceill fabsl fmod modf frexp ldexp
    __isnan __isnanl __isinf __isinfl __finite __finitel __errno_location
    __assert_fail __stack_chk_fail __ctype_b_loc __ctype_tolower_loc __ctype_toupper_loc tolower toupper
    _GLOBAL_OFFSET_TABLE_
""".split())
# What base/ adds below itself: the one allocator and the one way to end the process.
MORE_LIBC = {"base": set("malloc calloc realloc free aligned_alloc malloc_usable_size abort stderr fputs fputc fwrite "
                         "fprintf vfprintf fflush".split())}
FORTIFIED = re.compile(r"__(\w+)_chk$")
OUTSIDE_LIBRARIES = {"base": re.compile(r"XXH"), "snapshot": re.compile(r"ZSTD_"),
                     "control": re.compile(r"json_")}
COMPILER = re.compile(r"__u?(div|mod|divmod|mul)[dt]i\d$")  # arithmetic that the machine lacks
# A signal handler is given no argument: what it wakes and sets is the one state that a program may hold in the open.
MUTABLE_ALLOWED = {"src_holdfastd_main.c": {"signal_io", "stop_asked"}}


def objects():
    """(folder, source path, object path) of each object that the build made from src/ and sim/."""
    for path in sorted(glob.glob(os.path.join(source.ROOT, BUILD, "*.p", "*.o"))):
        name = os.path.basename(path)[:-2]
        found = re.match(r"(src|sim)_(.+)$", name)
        if found and not os.path.basename(os.path.dirname(path)).startswith("test-"):
            folder = found.group(2).split("_")[0] if found.group(1) == "src" else "sim"
            again = os.path.basename(os.path.dirname(path)) == "holdfastd.p" and folder != "holdfastd"
            if is_living(name) and not again:  # the daemon compiles every folder once more (decision 0011)
                yield folder, name, path


def is_living(name):
    """False for the object of a file that has gone since."""
    return name in LIVING


LIVING = {path.replace("/", "_") for path in source.files(".c", folders=("src", "sim"))}


def run(*words):
    return subprocess.run(words, text=True, capture_output=True, check=True).stdout


def symbols(path):
    """(defined, undefined) names."""
    defined, undefined = set(), set()
    for line in run("nm", "-P", path).splitlines():
        name, kind = line.split()[:2]
        (undefined if kind in "Uwv" else defined).add(name)
    return defined, undefined


def mutable(path):
    """Names of variables in writable sections. Tables of constant pointers (.data.rel.ro) are not variables."""
    for line in run("objdump", "-t", path).splitlines():
        found = re.match(r"[0-9a-f]+ .{7} (\S+)\s+([0-9a-f]+)\s+(?:\.hidden )?(\S+)$", line)
        if not found or int(found.group(2), 16) == 0:
            continue
        section, name = found.group(1), found.group(3)
        if re.match(r"\.(data|bss|tdata|tbss)(\.|$)|\*COM\*", section) and not section.startswith(".data.rel.ro"):
            yield section, name


def may_use(name, folder):
    if name in LIBC or name in MORE_LIBC.get(folder, set()) or COMPILER.match(name):
        return True
    plain = FORTIFIED.match(name)
    if plain and (plain.group(1) in LIBC or plain.group(1) in MORE_LIBC.get(folder, set())):
        return True
    return folder in OUTSIDE_LIBRARIES and bool(OUTSIDE_LIBRARIES[folder].match(name))


def check():
    problems, known, count = [], {}, 0
    found = [(folder, name, path, *symbols(path)) for folder, name, path in objects()]
    for folder, _, _, defined, _ in found:
        known.setdefault(folder, set()).update(defined)
    for folder, name, path, _, undefined in found:
        count += 1
        for section, variable in mutable(path):
            if variable not in MUTABLE_ALLOWED.get(name, ()):
                problems.append(f"{name}: variable {variable} in {section}: no mutable state outside a struct")
        if folder == "sim" or folder in source.OUTSIDE or folder not in source.FLOORS:
            continue
        floor = source.FLOORS[folder]
        reachable = set().union(*(names for other, names in known.items() if other == folder
                                  or source.FLOORS.get(other, 99) < floor))
        if floor > source.FLOORS["io"]:
            reachable |= io_names()
        for symbol in sorted(undefined - reachable):
            if not may_use(symbol, folder):
                problems.append(f"{name}: refers to {symbol}, which {folder}/ may not know")
    if not count:
        problems.append(f"no objects in {BUILD}: build first")
    return problems, count


def io_names():
    """The names of the seam, from its door: the implementation may not be there."""
    return set(re.findall(r"\b(io_\w+)\(", source.code_of(source.read("src/io/io.h"))))


outcome, objects_seen = check()
source.finish("symbols", outcome, f"{objects_seen} objects")
