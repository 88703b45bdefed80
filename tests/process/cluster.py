"""Real processes for tests: a RESP client, nodes, clusters, writers whose acknowledgements are checked afterwards.

Every cluster has loopback addresses of its own (127.x.y.1, .2, ...), so that no outgoing connection of this machine can sit on
one of its ports; the ports come from the kernel. Nothing here sleeps but wait_until, which waits for a condition."""
import contextlib
import ctypes
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

BUILD = os.environ.get("HOLDFAST_BUILD", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build"))
HOLDFASTD = os.path.join(BUILD, "holdfastd")
HOLDFAST = os.path.join(BUILD, "holdfast")
LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1
SEGMENT = "1mb"  # small: a test's log has many segments and little disk


def wait_until(condition, deadline, what="the condition"):
    """Answers the first true value of condition(); fails after `deadline` seconds."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {deadline} s")
        time.sleep(0.005)


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def run(*command, timeout=20):
    """Exit code, stdout, stderr of a command that ends by itself."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
    return done.returncode, done.stdout, done.stderr


# ---- RESP ----

class ReplyError(Exception):
    """An error reply; the connection is still good."""


class NotConnected(Exception):
    """Nothing was sent."""


class Client:
    def __init__(self, address, timeout=10.0):
        self.input = b""
        try:
            self.socket = socket.create_connection(address, timeout)
        except OSError as error:
            raise NotConnected(str(error)) from None
        self.socket.settimeout(timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))

    def receive(self):
        value = self._value()
        if isinstance(value, ReplyError):
            raise value
        return value

    def call(self, *words):
        self.send(*words)
        return self.receive()

    def _more(self):
        bytes_ = self.socket.recv(65536)
        if not bytes_:
            raise ConnectionError("closed by the server")
        self.input += bytes_

    def _line(self):
        while b"\r\n" not in self.input:
            self._more()
        line, self.input = self.input.split(b"\r\n", 1)
        return line

    def _value(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return ReplyError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self._bulk(int(rest))
        if kind == b"*":
            return None if rest == b"-1" else [self._value() for _ in range(int(rest))]
        raise ConnectionError(f"not RESP2: {line[:40]!r}")

    def _bulk(self, size):
        if size < 0:
            return None
        while len(self.input) < size + 2:
            self._more()
        value, self.input = self.input[:size], self.input[size + 2:]
        return value


# ---- nodes ----

_hosts = itertools.count()


def own_hosts(count):
    """Loopback addresses that only this cluster uses."""
    number = next(_hosts)
    return [f"127.{1 + os.getpid() // 250 % 250}.{1 + (os.getpid() + 7 * number) % 250}.{1 + i}" for i in range(count)]


def free_ports(count, host="127.0.0.1"):
    """Ports that the kernel has just given and taken back, all different: each is held until the last is known."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket(family)) for _ in range(count)]
        for probe in probes:
            probe.bind((host, 0))
        return [probe.getsockname()[1] for probe in probes]


def free_port(host="127.0.0.1"):
    return free_ports(1, host)[0]


class Node:
    def __init__(self, folder, number, host, ports=None):
        self.number, self.host = number, host
        self.port, self.peer_port, self.http_port = ports or free_ports(3, host)
        self.folder = os.path.join(folder, f"node{number}")
        self.dir = os.path.join(self.folder, "data")
        self.log_path = os.path.join(self.folder, "log")
        os.mkdir(self.folder)
        self.process = None
        self.wrapper = []  # a command that starts the node: ip netns exec ..., strace ...
        self.join = None
        self.options = []
        self.environment = {}  # beside that of the test

    @property
    def address(self):
        return (self.host, self.port)

    @property
    def name(self):
        return f"{self.host}:{self.port}"

    def command(self):
        words = self.wrapper + [HOLDFASTD, "--dir", self.dir, "--listen", self.name, "--peer-listen",
                                f"{self.host}:{self.peer_port}", "--http-listen", f"{self.host}:{self.http_port}",
                                "--wal-segment-size", SEGMENT] + self.options
        return words + (["--join", self.join] if self.join else [])

    def start(self):
        """Only from the main thread: the node dies with the thread that started it."""
        assert self.process is None
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, **self.environment}, preexec_fn=die_with_parent)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self, deadline=15):
        self.process.send_signal(signal.SIGTERM)
        return self.wait_exit(deadline)

    def wait_exit(self, deadline=15):
        code = self.process.wait(deadline)
        self.process = None
        return code

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def client(self, timeout=10.0):
        return Client(self.address, timeout)

    def call(self, *words):
        with self.client() as client:
            return client.call(*words)

    def http(self, path):
        """The status code, 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{self.host}:{self.http_port}{path}", timeout=3) as page:
                return page.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def is_ready(self):
        return self.http("/readyz") == 200

    def role(self):
        try:
            return self.call("ROLE")[0].decode()
        except (OSError, ReplyError, NotConnected):
            return None

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()


class Cluster:
    """Use it in a `with`: the end kills what runs, and a failure shows what the nodes logged."""

    def __init__(self, count=3, hosts=None, ports=None):
        """`ports` (clients, nodes, health): only where the hosts are the cluster's own networks."""
        self.folder = tempfile.mkdtemp(prefix="holdfast-test-")
        self.at_end = []  # calls, last first, when no node runs any more
        hosts = hosts or own_hosts(count)
        self.nodes = [Node(self.folder, i + 1, hosts[i], ports) for i in range(count)]
        if count > 1:
            for node in self.nodes:
                node.join = ",".join(other.name for other in self.nodes)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for node in self.nodes:
            node.kill()
        if kind is not None and not issubclass(kind, unittest.SkipTest):
            self.show_logs()
        for call in reversed(self.at_end):
            call()
        shutil.rmtree(self.folder, ignore_errors=True)

    def show_logs(self):
        for node in self.nodes:
            if os.path.exists(node.log_path):
                lines = node.log().splitlines()
                print(f"--- node {node.number}, last lines of its log", *lines[-25:], sep="\n", file=sys.stderr)

    def start(self, deadline=20):
        for node in self.nodes:
            if not node.is_running():
                node.start()
        self.wait_ready(deadline)
        return self

    def wait_ready(self, deadline=20, nodes=None):
        for node in nodes or self.nodes:
            wait_until(lambda node=node: node.is_ready() or not node.is_running(), deadline,
                       f"node {node.number} is ready")
            assert node.is_running(), f"node {node.number} ended: {node.log().splitlines()[-1:]}"

    def find_leader(self):
        for node in self.nodes:
            if node.is_running() and node.role() == "master":
                return node
        return None

    def leader(self, deadline=10):
        return wait_until(self.find_leader, deadline, "a leader")

    def others(self, node):
        return [other for other in self.nodes if other is not node]

    def kill_all(self):
        """All at once: nobody sees another die first."""
        for node in self.nodes:
            if node.is_running():
                node.signal(signal.SIGKILL)
        for node in self.nodes:
            node.kill()


# ---- writers and the judgement ----

class Writer(threading.Thread):
    """Appends 0, 1, 2 ... to a list of its own, through one node after the other, and remembers what was promised."""

    def __init__(self, nodes, key, connect=None):
        super().__init__(daemon=True)
        self.nodes, self.key = nodes, key
        self.connect = connect or (lambda node: node.client(timeout=8))
        self.acked, self.unknown, self.refused = [], [], []
        self.ack_times = []  # (asked, answered)
        self.last_error = None
        self.ending = threading.Event()

    def run(self):
        for turn in itertools.count(hash(self.key)):
            if self.ending.is_set():
                return
            try:
                with self.connect(self.nodes[turn % len(self.nodes)]) as client:
                    self.write_to(client)
            except NotConnected as error:
                self.last_error = error
                self.ending.wait(0.01)  # nobody is there: not in a busy loop

    def write_to(self, client):
        while not self.ending.is_set():
            number = len(self.acked) + len(self.unknown) + len(self.refused)
            asked = time.monotonic()
            try:
                client.call("RPUSH", self.key, number)
                self.acked.append(number)
                self.ack_times.append((asked, time.monotonic()))
            except ReplyError as error:
                self.last_error = error
                (self.unknown if str(error).startswith("UNKNOWNOUTCOME") else self.refused).append(number)
            except OSError as error:
                self.last_error = error
                self.unknown.append(number)
                return

    def stop(self):
        self.ending.set()
        self.join(20)
        assert not self.is_alive(), "a writer is stuck"


class Writers:
    def __init__(self, nodes, count=4, prefix="w", connect=None):
        self.all = [Writer(nodes, f"{prefix}{i}", connect) for i in range(count)]
        for writer in self.all:
            writer.start()

    def acked(self):
        return sum(len(writer.acked) for writer in self.all)

    def wait_acked(self, more, deadline=20):
        goal = self.acked() + more
        wait_until(lambda: self.acked() >= goal, deadline, f"{more} more acknowledged writes")

    def first_ack_after(self, moment, deadline=20):
        """Seconds from `moment` to the first acknowledgement of a write that was asked for after it."""
        def first():
            times = [answered for writer in self.all for asked, answered in writer.ack_times[-400:] if asked > moment]
            return min(times) if times else None
        return wait_until(first, deadline, "an acknowledged write") - moment

    def stop(self):
        for writer in self.all:
            writer.ending.set()
        for writer in self.all:
            writer.stop()

    def check(self, client):
        """Nothing acknowledged is lost, nothing is there twice, nothing that was refused is there; what was acknowledged is in
        order (a write of unknown fate may come late)."""
        for writer in self.all:
            there = [int(number) for number in client.call("LRANGE", writer.key, 0, -1)]
            acked = set(writer.acked)
            lost = acked - set(there)
            ghosts = set(there) & set(writer.refused)
            assert not lost, f"{writer.key}: {len(lost)} acknowledged writes lost, first {min(lost)} of {len(writer.acked)}"
            assert len(there) == len(set(there)), f"{writer.key}: a write was applied twice"
            assert [number for number in there if number in acked] == writer.acked, f"{writer.key}: order not kept"
            assert not ghosts, f"{writer.key}: {len(ghosts)} refused writes were applied"
            assert set(there) <= acked | set(writer.unknown), f"{writer.key}: writes that nobody asked for"
        return self.acked()
