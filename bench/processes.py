"""Server processes in directories of their own, which end when this program does; waiting; what /proc knows of them."""
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
PAGE = os.sysconf("SC_PAGE_SIZE")


class NotReady(Exception):
    """A condition did not hold in time, or a server ended; the text is for people."""


def wait_until(condition, seconds, what):
    """The first true value of condition(), asked every few milliseconds."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise NotReady(f"{what}: not within {seconds} s")
        time.sleep(0.01)


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_ports(count, host="127.0.0.1"):
    """Ports that the kernel has just given and taken back, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((host, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class Process:
    def __init__(self, command, folder, environment=None):
        self.command, self.folder = [str(word) for word in command], folder
        self.environment = environment or {}
        self.popen = None

    @property
    def pid(self):
        return self.popen.pid

    def start(self):
        """Only from the main thread: the kernel ends it with the thread that started it."""
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, "output"), "ab") as output:
            self.popen = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                          env={**os.environ, **self.environment}, preexec_fn=die_with_parent)
        return self

    def output(self):
        with open(os.path.join(self.folder, "output"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def check(self):
        """True; raises when it has ended."""
        if self.popen.poll() is not None:
            last = (self.output().strip().splitlines() or ["it said nothing"])[-1]
            raise NotReady(f"{os.path.basename(self.command[0])} ended with {self.popen.returncode}: {last}")
        return True

    def kill(self):
        if self.popen and self.popen.poll() is None:
            self.popen.kill()
        if self.popen:
            self.popen.wait()

    def stop(self, seconds=10):
        """SIGTERM, then SIGKILL."""
        if self.popen and self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()

    def resident_bytes(self):
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * PAGE


class Workplace:
    """A temporary directory in the build directory (a real disk, which /tmp need not be), gone in the end."""
    def __init__(self, build, name):
        os.makedirs(build, exist_ok=True)
        self.path = tempfile.mkdtemp(prefix=name + "-", dir=build)

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def end_on_signal():
    """SIGTERM unwinds the stack like Ctrl-C, so that everything is cleaned up."""
    def leave(number, _):
        raise SystemExit(128 + number)
    signal.signal(signal.SIGTERM, leave)


def http(url, body=None, timeout=5.0):
    """Status and text of the answer; (0, "") when nobody answers."""
    request = urllib.request.Request(url, data=None if body is None else json.dumps(body).encode())
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (urllib.error.URLError, OSError):
        return 0, ""


def busy_cpu_seconds():
    """What all processes of the machine together have used."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _idle, _wait, interrupt, soft = (int(word) for word in file.readline().split()[1:8])
    return (user + nice + system + interrupt + soft) / os.sysconf("SC_CLK_TCK")
