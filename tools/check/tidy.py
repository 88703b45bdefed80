#!/usr/bin/env python3
"""The clang-tidy checks named in .clang-tidy, on every C file that a build knows: tidy.py BUILD

A file that passed is not looked at again until it, a header of ours that it includes, or the list of checks changes."""
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys

import source

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
ANALYZE = os.environ.get("ANALYZE") == "1"
CACHE = os.path.join(source.ROOT, BUILD, "tidy-analyzed" if ANALYZE else "tidy-passed")
DATABASE = os.path.join(source.ROOT, BUILD, "tidy")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)


def commands():
    """path below ROOT -> compile command"""
    with open(os.path.join(source.ROOT, BUILD, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    found, kept = {}, []
    # The daemon compiles every folder once more as one program (decision 0011): each file is looked at once.
    for entry in sorted(entries, key=lambda entry: "-flto" in entry["command"]):
        path = os.path.relpath(os.path.join(entry["directory"], entry["file"]), source.ROOT)
        if os.path.exists(os.path.join(source.ROOT, path)) and path not in found:
            entry["command"] = re.sub(r" -f(?:fat-)?lto[-=\w]*", "", entry["command"])
            found[path] = entry["command"]
            kept.append(entry)
    os.makedirs(DATABASE, exist_ok=True)
    with open(os.path.join(DATABASE, "compile_commands.json"), "w", encoding="utf-8") as file:
        json.dump(kept, file)
    return found


def closure(path, seen):
    """`path` and every header of ours that it reaches."""
    if path in seen or not os.path.exists(os.path.join(source.ROOT, path)):
        return seen
    seen.add(path)
    for name in INCLUDE.findall(source.read(path)):
        for place in (os.path.join(os.path.dirname(path), name), os.path.join("src", name), name):
            closure(os.path.normpath(place), seen)
    return seen


def key(path, command, version):
    digest = hashlib.sha256((version + command + source.read(".clang-tidy")).encode())
    for name in sorted(closure(path, set())):
        digest.update(name.encode() + source.read(name).encode())
    return digest.hexdigest()


def tidy(path):
    # The analyzer walks paths and is ten times dearer than the rest: `make analyze` runs it, before a release and when in doubt.
    cheaper = [] if ANALYZE and not path.startswith("test") else ["--checks=-clang-analyzer-*"]
    result = subprocess.run(["clang-tidy", "-p", DATABASE, "--quiet", "--extra-arg=-Wno-unknown-warning-option",
                             *cheaper, path], cwd=source.ROOT, text=True, capture_output=True)
    lines = [line for line in result.stdout.splitlines() if re.search(r": (error|warning): ", line)]
    lines = [re.sub(r"^(?:\.\./)+", "", line.replace(source.ROOT + "/", "").replace(BUILD + "/../", "")) for line in lines]
    return result.returncode == 0, sorted(set(lines)) or [f"{path}: clang-tidy ended with {result.returncode}"]


def main():
    version = subprocess.run(["clang-tidy", "--version"], text=True, capture_output=True, check=True).stdout
    os.makedirs(CACHE, exist_ok=True)
    keys = {path: key(path, command, version) for path, command in commands().items()}
    open_paths = [path for path in sorted(keys) if not os.path.exists(os.path.join(CACHE, keys[path]))]
    problems = []
    with concurrent.futures.ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for path, (passed, lines) in zip(open_paths, pool.map(tidy, open_paths)):
            if passed:
                open(os.path.join(CACHE, keys[path]), "w", encoding="utf-8").close()
            else:
                problems += lines
    source.finish("tidy", sorted(set(problems)), f"{len(open_paths)} of {len(keys)} files looked at")


main()
