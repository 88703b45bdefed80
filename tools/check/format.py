#!/usr/bin/env python3
"""clang-format has nothing to change. `make format` does it."""
import os
import subprocess

import source

paths = source.files(".c", ".h")
problems = []
if paths:
    result = subprocess.run(["clang-format", "--dry-run", "-Werror", *paths], cwd=source.ROOT, text=True,
                            capture_output=True)
    counted = {}
    for line in result.stderr.splitlines():
        if "error:" in line:
            path = line.split(":")[0]
            counted.setdefault(path, [line.split(":")[1], 0])[1] += 1
    problems = [f"{path}:{first}: {count} places to change" for path, (first, count) in sorted(counted.items())]
    if result.returncode and not problems:
        problems = [result.stderr.strip()]
source.finish("format", problems, f"{len(paths)} files")
