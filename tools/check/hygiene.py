#!/usr/bin/env python3
"""What has no business in the repository: names of package hosts, paths of somebody's machine, marks of unfinished merges,
large files."""
import os
import re

import source

SIZE_MAX = 400_000
RULES = [
    (re.compile(r"\b(?:deb|security|ftp|snapshot|archive|mirrors?)[.][a-z0-9.-]*(?:debian|ubuntu|kernel)[.](?:org|com|net)"),
     "names a package host"),
    (re.compile(r"\b(?:pypi[.]org|registry[.]npmjs|proxy[.]golang|crates[.]io)"), "names a package host"),
    (re.compile(r"(?<![\w.$}])/(?:home|Users)/[a-z][\w.-]*|(?<![\w.$}])/(?:root|work)/\w"), "names a path of one machine"),
    (re.compile(r"^(?:<{7} |>{7} )", re.M), "has marks of an unfinished merge"),
]

problems = []
for path in source.tracked():
    size = os.path.getsize(os.path.join(source.ROOT, path))
    if size > SIZE_MAX:
        problems.append(f"{path}: {size} bytes")
    text = source.read(path)
    if "\0" in text:
        problems.append(f"{path}: is not text")
        continue
    for pattern, said in RULES:
        match = pattern.search(text)
        if match:
            problems.append(f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {said}: {match.group(0)}")
    if text and not text.endswith("\n"):
        problems.append(f"{path}: ends without a newline")
source.finish("hygiene", problems)
