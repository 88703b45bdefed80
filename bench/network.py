"""Three nodes on a network of their own, so that one can be cut off: every packet lost, nobody told.

A program that is root starts again inside a fresh network namespace and gives each node a further one, joined by a bridge. Nothing
of it is named anywhere and all of it is gone with the processes. Without root the nodes live on loopback and cannot be cut off."""
import os
import shutil
import subprocess
import sys

from processes import NotReady, Process, free_ports, wait_until

INSIDE = "HOLDFAST_BENCH_NAMESPACE"
TOOLS = ("unshare", "nsenter", "ip", "nft")


def run(*words, text=None):
    done = subprocess.run([str(word) for word in words], input=text, text=True, capture_output=True, timeout=20, check=False)
    if done.returncode:
        raise NotReady(f"{' '.join(map(str, words))}: {(done.stderr or done.stdout).strip()}")


def enter():
    """Starts this program again in a namespace where that is possible; answers why not when it is not."""
    if os.environ.get(INSIDE):
        return None
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    if missing:
        return "not installed: " + ", ".join(missing)
    try:
        run("unshare", "--net", "sh", "-c", "ip link add b0 type bridge && nft add table inet t")
    except (NotReady, OSError, subprocess.SubprocessError):
        return "this system lets nobody make network namespaces, bridges or filters"
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    return None


class Loopback:
    can_cut = False
    hosts = [f"127.{1 + os.getpid() % 250}.0.{1 + number}" for number in range(3)]

    def start(self):
        pass

    def ports(self, number):
        return free_ports(3, self.hosts[number])

    def wrapper(self, _number):
        return []

    def stop(self):
        pass


class Namespaces:
    can_cut = True
    hosts = [f"10.77.0.{11 + number}" for number in range(3)]

    def __init__(self, folder):
        self.folder, self.keepers = folder, []

    def start(self):
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "b0", "type", "bridge")
        run("ip", "addr", "add", "10.77.0.1/24", "dev", "b0")
        run("ip", "link", "set", "b0", "up")
        for number, host in enumerate(self.hosts):
            self.add(number, host)

    def add(self, number, host):
        keeper = Process(["unshare", "--net", "sleep", "1000000"], os.path.join(self.folder, f"namespace{number}")).start()
        self.keepers.append(keeper)
        own = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(f"/proc/{keeper.pid}/ns/net") != own, 10, "a network namespace")
        run("ip", "link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns", keeper.pid)
        run("ip", "link", "set", f"v{number}", "master", "b0", "up")
        for words in (["lo", "up"], ["eth0", "up"]):
            run(*self.wrapper(number), "ip", "link", "set", *words)
        run(*self.wrapper(number), "ip", "addr", "add", f"{host}/24", "dev", "eth0")

    def ports(self, _number):
        return 6379, 16379, 7379  # nobody else is in there

    def wrapper(self, number):
        return ["nsenter", "--net", "--target", str(self.keepers[number].pid)]

    def cut(self, number, from_clients):
        """From the other nodes; from_clients: from everybody."""
        others = ", ".join(host for place, host in enumerate(self.hosts) if place != number)
        sources, targets = ("", "") if from_clients else (f"ip saddr {{ {others} }}", f"ip daddr {{ {others} }}")
        rules = f"""table inet cut {{
            chain input {{ type filter hook input priority 0; iifname "eth0" {sources} drop; }}
            chain output {{ type filter hook output priority 0; oifname "eth0" {targets} drop; }}
        }}"""
        run(*self.wrapper(number), "nft", "-f", "-", text=rules)

    def heal(self, number):
        run(*self.wrapper(number), "nft", "delete", "table", "inet", "cut")

    def stop(self):
        for keeper in self.keepers:
            keeper.kill()
