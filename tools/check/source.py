"""What every check knows: where the files are, which floor a folder is on, how C is read without its comments."""
import os
import re
import subprocess
import sys

ROOT = os.environ.get("ROOT") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# DESIGN of the floors (ARCHITECTURE.md). A folder includes only doors of lower floors, never of its own.
FLOORS = {
    "base": 0,
    "resp": 1, "store": 1, "raft": 1, "merge": 1, "cluster": 1,
    "command": 2, "wire": 2,
    "io": 3,
    "wal": 4, "snapshot": 4, "peer": 4,
    "replica": 5,
    "node": 6,
    "control": 7,
    "server": 8,
    "admin": 9, "redisview": 9, "metrics": 9, "http": 9,
    "worker": 10,
    "holdfastd": 11, "holdfast": 11,
}
# Which headers higher floors may include besides x/x.h.
EXTRA_DOORS = {"io/real.h": {"holdfastd", "holdfast"}}
# Folders that no clock, system call or allocator may enter; everything above io that is not listed as outside goes
# through the seam and is held to the same list of C library functions.
OUTSIDE = {"io", "http", "holdfastd", "holdfast"}


def files(*endings, folders=("src", "sim", "tests", "bench")):
    """Paths below ROOT, relative, sorted."""
    found = []
    for folder in folders:
        for directory, names, entries in os.walk(os.path.join(ROOT, folder)):
            names.sort()
            found += [os.path.relpath(os.path.join(directory, entry), ROOT)
                      for entry in entries if entry.endswith(endings)]
    return sorted(found)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def tracked():
    """Every file that is, or would be, in the repository."""
    try:
        out = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], text=True,
                             capture_output=True, check=True).stdout
        return sorted(path for path in out.splitlines() if os.path.isfile(os.path.join(ROOT, path)))
    except (OSError, subprocess.CalledProcessError):
        found = []
        for directory, names, entries in os.walk(ROOT):
            names[:] = [name for name in names if name != ".git" and not name.startswith("build")]
            found += [os.path.relpath(os.path.join(directory, entry), ROOT) for entry in entries]
        return sorted(found)


def folder_of(path):
    """('wal', None) for src/wal/x.c, ('replica', 'log') for src/replica/log/x.c."""
    parts = path.split("/")
    return parts[1], parts[2] if len(parts) > 3 else None


_NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank(match):
    text = match.group(0)
    if text[0] in "\"'":
        return text[0] + " " * (len(text) - 2) + text[0]
    return re.sub(r"[^\n]", " ", text)


def code_of(text):
    """The text with comments and the insides of literals blanked; lines and columns stay."""
    return _NOT_CODE.sub(blank, text)


def without_directives(code):
    """Preprocessor lines blanked too, with their continuations."""
    lines, inside = [], False
    for line in code.split("\n"):
        directive = inside or line.lstrip().startswith("#")
        inside = directive and line.rstrip().endswith("\\")
        lines.append("" if directive else line)
    return "\n".join(lines)


def finish(name, problems, said=""):
    """Prints the outcome and ends the process: 0 when nothing was found."""
    for problem in problems:
        print(f"{name}: {problem}")
    print(f"{name}: {'ok' if not problems else str(len(problems)) + ' found'}{', ' + said if said else ''}")
    sys.exit(1 if problems else 0)
