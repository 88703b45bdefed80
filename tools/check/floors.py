#!/usr/bin/env python3
"""Includes go down: only doors of lower floors, own headers, and the system headers that a folder may know."""
import os
import re

import source

PURE_HEADERS = {"assert.h", "ctype.h", "float.h", "inttypes.h", "limits.h", "math.h", "stdalign.h", "stdarg.h", "stdbool.h",
                "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h", "strings.h"}
MORE_HEADERS = {"base": {"xxhash.h"}, "store": {"xxhash.h"}, "snapshot": {"zstd.h"}, "control": {"jansson.h"}}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.M)


def is_own(name, folder, room):
    """Own headers; a room knows its own and its parent's door, a parent knows its rooms' doors."""
    parts = name.split("/")
    if parts[0] != folder:
        return False
    if len(parts) == 2:
        return room is None or parts[1] == f"{folder}.h"
    its_room = parts[1]
    return room == its_room or (room is None and parts[2] == f"{its_room}.h")


def is_door(name, folder):
    parts = name.split("/")
    if parts[0] == "base":
        return len(parts) == 2
    if name in source.EXTRA_DOORS:
        return folder in source.EXTRA_DOORS[name]
    return parts[-1] == f"{parts[-2]}.h"  # x/x.h, or x/room/room.h


def judge(name, folder, room):
    if is_own(name, folder, room):
        return None
    parts = name.split("/")
    if len(parts) < 2 or parts[0] not in source.FLOORS:
        return "is no folder of src/"
    if parts[0] == folder:
        return "is another room's, or private to the parent"
    if source.FLOORS[parts[0]] >= source.FLOORS[folder]:
        return f"is on floor {source.FLOORS[parts[0]]}, {folder} is on {source.FLOORS[folder]}"
    if not is_door(name, folder):
        return "is private there, not a door"
    return None


def check(path):
    folder, room = source.folder_of(path)
    if folder not in source.FLOORS:
        return [f"{path}: {folder} has no floor"]
    problems = []
    text = source.read(path)
    for match in INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        own, system = match.groups()
        if own:
            why = judge(own, folder, room)
            if why:
                problems.append(f"{path}:{line}: {own} {why}")
            elif not os.path.exists(os.path.join(source.ROOT, "src", own)):
                problems.append(f"{path}:{line}: {own} does not exist")
        elif folder not in source.OUTSIDE and system not in PURE_HEADERS | MORE_HEADERS.get(folder, set()):
            problems.append(f"{path}:{line}: <{system}> is not for {folder}/: only io/ and programs meet the outside")
    return problems


source.finish("floors", [problem for path in source.files(".c", ".h", folders=("src",)) for problem in check(path)])
