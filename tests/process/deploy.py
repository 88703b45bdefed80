#!/usr/bin/env python3
"""What is in deploy/ works: the examples for nginx and keepalived, the hooks."""
import os
import re
import shutil
import socket
import subprocess
import tempfile
import unittest

from cluster import Client, Cluster, NotConnected, Writers, free_port, run, wait_until

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
DEPLOY = os.path.join(TOP, "deploy")


def need(*programs):
    for program in programs:
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            raise unittest.SkipTest(f"needs {program}")


def read(*path):
    with open(os.path.join(DEPLOY, *path), encoding="utf-8") as file:
        return file.read()


def write(path, text, mode=0o644):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="holdfast-deploy-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def place(self, *names):
        return os.path.join(self.folder, *names)


# ---- nginx, keepalived ----

class Nginx(Folder):
    MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"

    def setUp(self):
        super().setUp()
        need("nginx")
        if not os.path.exists(self.MODULE):
            self.skipTest("needs libnginx-mod-stream")

    def conf(self, cluster, port):
        text = read("nginx", "holdfast.conf")
        for node, address in zip(cluster.nodes, ("10.0.0.1:6379", "10.0.0.2:6379", "10.0.0.3:6379")):
            self.assertEqual(text.count(address), 1)
            text = text.replace(address, node.name)
        text = text.replace("listen 127.0.0.1:6379;", f"listen 127.0.0.1:{port};")
        return write(self.place("nginx.conf"), f"load_module {self.MODULE};\ndaemon off;\npid {self.place('pid')};\n"
                     f"error_log {self.place('log')};\nevents {{ }}\n{text}")

    def test_any_node_will_do_and_one_may_die(self):
        port = free_port()
        with Cluster(3) as cluster:
            cluster.start()
            conf = self.conf(cluster, port)
            path = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
            code, _, err = run(path, "-t", "-c", conf, "-p", self.folder, "-e", self.place("log"))
            self.assertEqual(code, 0, err)
            with subprocess.Popen([path, "-c", conf, "-p", self.folder, "-e", self.place("log")]) as nginx:
                try:
                    wait_until(lambda: answers(port), 10, "nginx takes connections")
                    writers = Writers(cluster.nodes, connect=lambda node: Client(("127.0.0.1", port), timeout=8))
                    writers.wait_acked(200)
                    cluster.leader().kill()
                    writers.wait_acked(200)
                    for _ in range(20):  # each new connection finds a node that lives
                        with Client(("127.0.0.1", port)) as client:
                            self.assertEqual(client.call("PING"), "PONG")
                    writers.stop()
                    with next(node for node in cluster.nodes if node.is_running()).client() as client:
                        writers.check(client)
                finally:
                    nginx.terminate()
                    nginx.wait(10)


def answers(port):
    try:
        with Client(("127.0.0.1", port), timeout=2) as client:
            return client.call("PING") == "PONG"
    except (OSError, NotConnected):
        return False


class Keepalived(Folder):
    def setUp(self):
        super().setUp()
        self.text = read("keepalived", "keepalived.conf")

    def check(self, text):
        path = shutil.which("keepalived", path=os.environ["PATH"] + ":/usr/sbin")
        return run(path, "--config-test", f"--use-file={write(self.place('keepalived.conf'), text, 0o600)}")

    def test_the_file_is_taken(self):
        need("keepalived", "curl")
        device = next(name for _, name in socket.if_nameindex() if name != "lo" or len(socket.if_nameindex()) == 1)
        # 2.2.7 ends itself by SIGTERM when it tests a script of another user than its own.
        text = self.text.replace("interface eth0", f"interface {device}").replace("script_user nobody", "script_user root")
        code, out, err = self.check(text)
        self.assertEqual(code, 0, out + err)
        self.assertNotEqual(self.check(text.replace("track_script", "follow_script"))[0], 0)

    def test_the_check_finds_the_leader(self):
        need("curl")
        script = re.search(r'^ *script "(.*)"$', self.text, re.M)[1]
        self.assertIn("http://10.0.0.1:7379/primary", script)
        with Cluster(3) as cluster:
            leader = cluster.start().leader()

            if leader.http("/primary") == 404:  # a node that does not tell who leads: the rest of the line works all the same
                script = script.replace("/primary", "/readyz")
                leads = [True, True, True]
            else:
                leads = [node is leader for node in cluster.nodes]

            def passes():
                return [run(*script.replace("10.0.0.1:7379", f"{node.host}:{node.http_port}").split())[0] == 0 for node in cluster.nodes]

            wait_until(lambda: passes() == leads, 5, "the check passes where it should")
            leader.kill()
            self.assertFalse(passes()[cluster.nodes.index(leader)])
            wait_until(lambda: sum(passes()) == max(1, sum(leads) - 1), 10, "it passes at another node")


# ---- hooks ----

class ExampleHooks(Folder):
    """With programs in place of ip, arping and nsupdate that write down what they are asked."""

    def setUp(self):
        super().setUp()
        os.mkdir(self.place("bin"))
        self.asked = self.place("asked")

    def stub(self, name, body=""):
        write(self.place("bin", name), f'#!/bin/sh\necho {name} "$@" >>{self.asked}\n{body}\n', 0o755)

    def run_hook(self, name, *words, **environment):
        open(self.asked, "w", encoding="utf-8").close()
        done = subprocess.run([os.path.join(DEPLOY, "hooks", name), *words], capture_output=True, text=True, timeout=20, check=False,
                              env={"PATH": self.place("bin") + ":/usr/bin:/bin", **environment})
        with open(self.asked, encoding="utf-8") as asked:
            return done.returncode, done.stderr, asked.read().splitlines()

    def virtual_ip(self, *words):
        return self.run_hook("virtual-ip.sh", *words, VIRTUAL_IP="192.0.2.10/24", VIRTUAL_IP_DEVICE="eth9")

    def test_virtual_ip(self):
        self.stub("arping")
        self.stub("ip", "[ $1 = -o ] && echo '2: eth9    inet 192.0.2.10/24 scope global eth9' || true")
        self.assertEqual(self.virtual_ip("leader-change", "default", "1", "leader", "1", "3", "10.0.0.1:6379"),
                         (0, "", ["ip address replace 192.0.2.10/24 dev eth9", "arping -q -U -c 2 -I eth9 192.0.2.10"]))
        self.assertEqual(self.virtual_ip("leader-change", "default", "1", "follower", "0", "4", "-")[2],
                         ["ip -o address show dev eth9", "ip address delete 192.0.2.10/24 dev eth9"])
        for words in (("leader-change", "carts", "2", "leader", "1", "3", "10.0.0.1:6379"),
                      ("state-change", "default", "1", "ready", "1", "3", "10.0.0.1:6379")):
            self.assertEqual(self.virtual_ip(*words), (0, "", []))
        self.stub("ip")  # it has not the address: nothing to take away, and nothing wrong
        self.assertEqual(self.virtual_ip("leader-change", "default", "1", "follower", "2", "4", "10.0.0.2:6379"),
                         (0, "", ["ip -o address show dev eth9"]))
        code, err, _ = self.run_hook("virtual-ip.sh", "leader-change", "default", "1", "leader", "1", "3", "10.0.0.1:6379")
        self.assertNotEqual(code, 0)
        self.assertIn("VIRTUAL_IP is not set", err)

    def dns(self, address, role="leader"):
        return self.run_hook("dns-update.sh", "leader-change", "default", "1", role, "1", "3", address,
                             DNS_NAME="db.example.", DNS_SERVER="192.0.2.53", DNS_KEY="/etc/holdfast/dns.key")

    def test_dns_update(self):
        self.stub("nsupdate", f"cat >>{self.asked}")
        for address, record in (("10.0.0.1:6379", "A 10.0.0.1"), ("[2001:db8::1]:6379", "AAAA 2001:db8::1"),
                                ("node1.example:6379", "CNAME node1.example.")):
            self.assertEqual(self.dns(address), (0, "", [
                "nsupdate -t 5 -k /etc/holdfast/dns.key", "server 192.0.2.53", "update delete db.example. A",
                "update delete db.example. AAAA", "update delete db.example. CNAME", f"update add db.example. 5 {record}", "send"]))
        self.assertEqual(self.dns("10.0.0.1:6379", "follower"), (0, "", []))  # the leader alone sends one

    def test_they_are_run_by_a_node(self):
        self.stub("nsupdate", f"cat >>{self.asked}")
        with Cluster(1) as cluster:
            node = cluster.nodes[0]
            node.options = ["--on-leader-change", os.path.join(DEPLOY, "hooks", "dns-update.sh")]
            node.environment = {"PATH": self.place("bin") + ":" + os.environ["PATH"], "DNS_NAME": "db.example.",
                                "DNS_SERVER": "192.0.2.53"}
            cluster.start()

            def sent():
                return os.path.exists(self.asked) and read(self.asked).endswith("send\n")

            wait_until(sent, 10, "the name server is told")
            self.assertIn(f"update add db.example. 5 A {node.host}\n", read(self.asked))


if __name__ == "__main__":
    unittest.main(verbosity=2)
