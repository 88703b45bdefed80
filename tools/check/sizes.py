#!/usr/bin/env python3
"""Function at most 70 lines, file 900, line 100, nesting 4; prints the ten longest functions.

`/* style: why */` on the line above a function excuses its length and nesting, nothing else."""
import re

import source

FUNCTION_MAX, FILE_MAX, LINE_MAX, NESTING_MAX = 70, 900, 100, 4
TOKEN = re.compile(r"[A-Za-z_]\w*|[{}();]|[^\s\w]|\d[\w.]*")
CONTROL = {"if", "for", "while", "switch"}
NOT_NAMES = CONTROL | {"return", "sizeof", "__attribute__", "_Alignas", "_Static_assert", "defined"}


class Tokens:
    def __init__(self, code):
        self.items, self.lines = [], []
        for number, line in enumerate(code.split("\n"), 1):
            for match in TOKEN.finditer(line):
                self.items.append(match.group(0))
                self.lines.append(number)

    def text(self, at):
        return self.items[at] if at < len(self.items) else ""

    def after_pair(self, at):
        """The place behind the bracket that closes the one at `at`."""
        closing = {"(": ")", "{": "}"}[self.text(at)]
        opening, depth = self.text(at), 0
        while at < len(self.items):
            depth += (self.text(at) == opening) - (self.text(at) == closing)
            at += 1
            if depth == 0:
                return at
        return at


def statement(tokens, at, depth):
    """Walks one statement; answers the place behind it and the deepest nesting inside."""
    word = tokens.text(at)
    if word == "{":
        return block(tokens, at, depth)
    if word == "else":
        inner = depth if tokens.text(at + 1) == "if" else depth + 1
        return statement(tokens, at + 1, depth if inner == depth else inner)
    if word == "do":
        behind, deepest = statement(tokens, at + 1, depth + 1)
        while behind < len(tokens.items) and tokens.text(behind) != ";":
            behind += 1
        return behind + 1, deepest
    if word in CONTROL or is_loop_macro(tokens, at):
        return controlled(tokens, at, depth)
    while at < len(tokens.items) and tokens.text(at) != ";":
        if tokens.text(at) == "}":
            return at, depth
        at = tokens.after_pair(at) if tokens.text(at) in "({" else at + 1
        if tokens.text(at - 1) == ":" and tokens.text(at) in CONTROL | {"{"}:
            return statement(tokens, at, depth)  # behind a label
    return at + 1, depth


def is_loop_macro(tokens, at):
    if not re.match(r"[a-z_]\w*$", tokens.text(at)) or tokens.text(at + 1) != "(":
        return False
    return tokens.text(tokens.after_pair(at + 1)) == "{"


def controlled(tokens, at, depth):
    behind, deepest = statement(tokens, tokens.after_pair(at + 1), depth + 1)
    if tokens.text(at) == "if" and tokens.text(behind) == "else":
        chained = tokens.text(behind + 1) == "if"
        behind, other = statement(tokens, behind + 1, depth if chained else depth + 1)
        deepest = max(deepest, other)
    return behind, max(deepest, depth + 1)


def block(tokens, at, depth):
    end, at, deepest = tokens.after_pair(at), at + 1, depth
    while at < end - 1:
        before = at
        at, inner = statement(tokens, at, depth)
        deepest = max(deepest, inner)
        at = max(at, before + 1)
    return end, deepest


def functions(code):
    """(name, first line, last line, nesting) of every function defined in `code`."""
    tokens, at, found = Tokens(code), 0, []
    start = 0
    while at < len(tokens.items):
        word = tokens.text(at)
        if word == "{":
            end = tokens.after_pair(at)
            name = name_of(tokens, start, at)
            if name:
                found.append((name, tokens.lines[start], tokens.lines[end - 1], block(tokens, at, 0)[1]))
                start = end
            at = end
            continue
        at += 1
        if word == ";":
            start = at
    return found


def name_of(tokens, start, at):
    """The function's name if what stands between `start` and the brace at `at` is a definition's head."""
    if tokens.text(at - 1) != ")":
        return None
    for place in range(start, at):
        if tokens.text(place) == "=":
            return None
        if (tokens.text(place + 1) == "(" and re.match(r"[A-Za-z_]\w*$", tokens.text(place))
                and tokens.text(place) not in NOT_NAMES and place > start):
            return tokens.text(place)
    return None


def check(path, longest):
    text = source.read(path)
    lines, problems = text.split("\n"), []
    if len(lines) - 1 > FILE_MAX:
        problems.append(f"{path}: {len(lines) - 1} lines, at most {FILE_MAX}")
    wide = [number for number, line in enumerate(lines, 1) if len(line.expandtabs(4)) > LINE_MAX]
    if wide:
        problems.append(f"{path}:{wide[0]}: {len(wide)} lines of more than {LINE_MAX} columns")
    for name, first, last, nesting in functions(source.without_directives(source.code_of(text))):
        length = last - first + 1
        longest.append((length, f"{path}:{first} {name}"))
        if "/* style:" in lines[first - 2]:
            continue
        if length > FUNCTION_MAX:
            problems.append(f"{path}:{first}: {name} has {length} lines, at most {FUNCTION_MAX}")
        if nesting > NESTING_MAX:
            problems.append(f"{path}:{first}: {name} is nested {nesting} deep, at most {NESTING_MAX}")
    return problems


def main():
    longest = []
    problems = [problem for path in source.files(".c", ".h") for problem in check(path, longest)]
    lengths = sorted(length for length, _ in longest)
    for length, where in sorted(longest, reverse=True)[:10]:
        print(f"sizes: {length:4} lines  {where}")
    median = lengths[len(lengths) // 2] if lengths else 0
    source.finish("sizes", problems, f"{len(lengths)} functions, median {median} lines")


main()
