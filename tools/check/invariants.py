#!/usr/bin/env python3
"""Every promise of docs/invariants.md is cited where it is held (src/, sim/) and where it is proven (tests, sim/);
every promise cited in the code is in the list. --write fills the table's last two columns with the places."""
import os
import re
import sys

import source

DOC = "docs/invariants.md"
ROW = re.compile(r"^\|\s*([A-Z]+-\d+)\s*\|([^|\n]*)\|.*$", re.M)
CITED = re.compile(r"\b([A-Z]+)-(\d+)(?:\.\.(\d+))?")
PLACES_MAX = 3


def cited(path, prefixes):
    """Ids that a file names; `RAFT-3..5` names each of the range."""
    found = set()
    for prefix, first, last in CITED.findall(source.read(path)):
        if prefix in prefixes:
            found.update(f"{prefix}-{number}" for number in range(int(first), int(last or first) + 1))
    return found


def places(paths, prefixes):
    found = {}
    for path in paths:
        for identity in cited(path, prefixes):
            found.setdefault(identity, []).append(path)
    return found


def column(paths):
    text = ", ".join(paths[:PLACES_MAX])
    return f" {text} and {len(paths) - PLACES_MAX} more " if len(paths) > PLACES_MAX else f" {text} " if text else " "


def write(text, held, proven):
    def row(match):
        identity = match.group(1)
        return f"| {identity} |{match.group(2)}|{column(held.get(identity, []))}|{column(proven.get(identity, []))}|"
    with open(os.path.join(source.ROOT, DOC), "w", encoding="utf-8") as file:
        file.write(ROW.sub(row, text))


def main():
    text = source.read(DOC)
    listed = [match.group(1) for match in ROW.finditer(text)]
    prefixes = {identity.split("-")[0] for identity in listed}
    held = places(source.files(".c", folders=("src", "sim")), prefixes)
    proven = places(source.files(".c", ".h", ".py", ".txt", folders=("tests", "sim")), prefixes)
    if "--write" in sys.argv:
        write(text, held, proven)
    problems = [f"{DOC}: {identity} is listed twice" for identity in sorted(set(listed)) if listed.count(identity) > 1]
    for identity in listed:
        if identity not in held:
            problems.append(f"{identity} is held nowhere: no .c file of src/ or sim/ cites it")
        if identity not in proven:
            problems.append(f"{identity} is proven nowhere: nothing in the tests or sim/ cites it")
    doors = places(source.files(".c", ".h", folders=("src", "sim")), prefixes)
    problems += [f"{where[0]}: {identity} is not in {DOC}" for identity, where in sorted(doors.items())
                 if identity not in listed]
    source.finish("invariants", problems, f"{len(listed)} promises")


main()
