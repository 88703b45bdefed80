#!/usr/bin/env python3
"""What is in deploy/ works: the unit, the package, the manifests, the examples for nginx and keepalived, the hooks."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from cluster import BUILD, HOLDFASTD, Client, Cluster, NotConnected, ReplyError, Writers, free_port, run, wait_until

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
DEPLOY = os.path.join(TOP, "deploy")
EXPOSURE_MAX = 15  # tenths: what systemd-analyze calls OK begins at 4.5; Debian's redis has about 1.5


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


# ---- systemd ----

def allowed_calls(unit):
    """The names that the unit's SystemCallFilter lets through."""
    def names_of(word):
        if not word.startswith("@"):
            return {word}
        code, out, err = run("systemd-analyze", "syscall-filter", word)
        assert code == 0, err
        words = [line.strip() for line in out.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
        return set().union(*(names_of(name) for name in words))

    allowed = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit, re.M):
        named = set().union(*(names_of(word) for word in line.lstrip("~").split()))
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed


class Unit(Folder):
    def setUp(self):
        super().setUp()
        need("systemd-analyze")
        self.text = read("systemd", "holdfast.service")

    def unit(self, text):
        return write(self.place("holdfast.service"), text.replace("/usr/bin/holdfastd", os.path.realpath(HOLDFASTD)))

    def verify(self, text):
        code, out, err = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", self.unit(text))
        return code, out + err

    def test_it_is_a_unit(self):
        code, said = self.verify(self.text)
        self.assertEqual((code, said), (0, ""))
        _, said = self.verify(self.text.replace("WatchdogSec=30", "WatchdogSec=often"))
        self.assertIn("Failed to parse sec value", said)

    def test_it_is_hardened(self):
        words = ("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}")
        code, out, err = run(*words, self.unit(self.text))
        self.assertEqual(code, 0, out + err)
        self.assertNotEqual(run(*words, self.unit(self.text.replace("ProtectSystem=strict", "")
                                                  .replace("PrivateDevices=yes", "")))[0], 0)

    def test_no_call_is_made_that_the_unit_forbids(self):
        need("strace")
        allowed = allowed_calls(self.text)
        self.assertIn("fdatasync", allowed)
        self.assertNotIn("chown", allowed)
        with Cluster(1) as cluster:
            node = cluster.nodes[0]
            hook = write(os.path.join(cluster.folder, "hook"), "#!/bin/sh\nexit 0\n", 0o755)
            node.options = ["--on-leader-change", hook, "--workers", "2"]
            trace = os.path.join(cluster.folder, "trace")
            node.wrapper = ["strace", "-f", "-qq", "-o", trace]
            cluster.start()
            writers = Writers([node])
            writers.wait_acked(200)
            writers.stop()
            with open(f"/proc/{node.process.pid}/task/{node.process.pid}/children", encoding="ascii") as children:
                os.kill(int(children.read().split()[0]), signal.SIGTERM)
            self.assertEqual(node.wait_exit(), 0)
            with open(trace, encoding="utf-8", errors="replace") as lines:
                made = set(re.findall(r"^\d+ +([a-z_0-9]+)\(", lines.read(), re.M))
        self.assertIn("fdatasync", made)
        self.assertEqual(made - allowed, set())

    def test_what_it_is_told_is_asked_for(self):
        """Type=notify, and a time to end that covers the hand-over and the hooks."""
        values = dict(re.findall(r"^(\w+)=(.*)$", self.text, re.M))
        self.assertEqual(values["Type"], "notify")
        self.assertGreaterEqual(int(values["TimeoutStopSec"]), 1 + 3 + 2 + 10 + 5)
        self.assertEqual(values["Restart"], "on-failure")


class ExampleFile(Folder):
    def test_every_line_of_it_is_understood(self):
        """With what is commented out put in, too."""
        text = read("holdfast.conf").replace("/var/lib/holdfast", self.place("data"))
        text = text.replace("/usr/local/sbin/virtual-ip.sh", os.path.join(DEPLOY, "hooks", "virtual-ip.sh"))
        all_options = re.sub(r"^#(?=[a-z])", "", text, flags=re.M)
        self.assertGreater(all_options.count("\n") - text.count("\n#"), 5)
        for lines in (text, all_options):
            path = write(self.place("holdfast.conf"), lines)
            code, _, err = run(HOLDFASTD, path, "--help")
            self.assertEqual((code, err), (0, ""))
        code, _, err = run(HOLDFASTD, write(path, all_options + "colour blue\n"), "--help")
        self.assertEqual(code, 2, err)


# ---- the package ----

class Package(Folder):
    package = None

    def setUp(self):
        super().setUp()
        need("dpkg-deb", "dpkg-query", "objdump", "strip")
        code, out, err = run(os.path.join(TOP, "tools", "deb.sh"), BUILD, self.folder, timeout=120)
        self.assertEqual((code, err), (0, ""))
        self.package = out.strip()

    def field(self, name):
        return run("dpkg-deb", "--field", self.package, name)[1].strip()

    def test_what_is_in_it(self):
        root = self.place("root")
        self.assertEqual(run("dpkg-deb", "--extract", self.package, root)[0], 0)
        version = run(HOLDFASTD, "--version")[1].split()[1]
        self.assertEqual((self.field("Package"), self.field("Version")), ("holdfast", version))
        for library in ("libc6 (>= ", "libevent-core-", "libjansson4 (>= ", "libjemalloc2 (>= ", "libzstd1 (>= "):
            self.assertIn(library, self.field("Depends"))
        for name in ("lib/systemd/system/holdfast.service", "etc/holdfast/holdfast.conf",
                     "usr/share/doc/holdfast/examples/hooks/dns-update.sh"):
            self.assertTrue(os.path.isfile(os.path.join(root, name)), name)
        self.assertEqual(run("sh", "-c", f"cd {root} && dpkg-deb --ctrl-tarfile {self.package} | tar -xO ./md5sums | md5sum -c --quiet"),
                         (0, "", ""))
        self.manual(root)
        self.runs(root)

    def manual(self, root):
        """Every option and verb that --help tells."""
        for page, program, pattern in (("man8/holdfastd.8.gz", "holdfastd", r"^  --(?!help )([a-z-]+) "),
                                       ("man1/holdfast.1.gz", "holdfast", r"^  ([a-z]+) +")):
            text = run("gzip", "-dc", os.path.join(root, "usr/share/man", page))[1]
            names = re.findall(pattern, run(os.path.join(BUILD, program), "--help")[1], re.M)
            self.assertGreater(len(names), 5)
            for name in names:
                self.assertTrue(re.search(rf"^\.B[I]? (\\-\\-)?{name}\b", text, re.M), f"{page}: {name}")
            self.assertNotIn("@", re.sub(r"\S+@\S+\.\S+", "", text))

    def runs(self, root):
        """The programs of the package, with its own config file but for the place and the port."""
        conf = os.path.join(root, "etc/holdfast/holdfast.conf")
        port = free_port()
        with open(conf, encoding="utf-8") as file:
            text = file.read().replace("/var/lib/holdfast", self.place("data")).replace("127.0.0.1:6379", f"127.0.0.1:{port}")
        write(conf, text)
        ports = ["--peer-listen", f"127.0.0.1:{free_port()}", "--http-listen", f"127.0.0.1:{free_port()}",
                 "--wal-segment-size", "1mb"]
        with subprocess.Popen([os.path.join(root, "usr/bin/holdfastd"), conf] + ports, stderr=subprocess.DEVNULL) as node:
            try:
                status = os.path.join(root, "usr/bin/holdfast"), "-a", f"127.0.0.1:{port}", "status"
                wait_until(lambda: run(*status)[0] == 0, 20, "the node of the package is healthy")
                with Client(("127.0.0.1", port)) as client:
                    self.assertEqual(client.call("SET", "a", "1"), "OK")
                node.terminate()
                self.assertEqual(node.wait(15), 0)
            finally:
                node.kill()

    def test_it_is_installed_and_removed(self):
        """By dpkg, its scripts included, into a root of its own."""
        if os.geteuid() != 0:
            self.skipTest("needs root")
        root = self.place("installed")
        for folder in ("etc", "var/lib/dpkg/info", "var/lib/dpkg/updates"):
            os.makedirs(os.path.join(root, folder))
        for name in ("etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "var/lib/dpkg/status", "var/lib/dpkg/available"):
            write(os.path.join(root, name), "")

        def dpkg(*words):
            code, out, err = run("dpkg", f"--root={root}", "--force-script-chrootless", "--force-depends", f"--log={root}/log", *words,
                                 timeout=60)
            self.assertEqual(code, 0, out + err)

        def has_user():
            with open(os.path.join(root, "etc/passwd"), encoding="utf-8") as users:
                return "\nholdfast:" in "\n" + users.read()

        dpkg("--install", self.package)
        self.assertTrue(has_user())
        conf = os.path.join(root, "etc/holdfast/holdfast.conf")
        with open(conf, "a", encoding="utf-8") as file:
            file.write("zone b\n")
        dpkg("--force-confold", "--install", self.package)  # what the operator wrote stays
        with open(conf, encoding="utf-8") as file:
            self.assertTrue(file.read().endswith("zone b\n"))
        os.makedirs(os.path.join(root, "var/lib/holdfast/wal"))
        dpkg("--purge", "holdfast")
        self.assertFalse(os.path.exists(os.path.join(root, "usr/bin/holdfastd")) or os.path.exists(conf))
        self.assertTrue(os.path.isdir(os.path.join(root, "var/lib/holdfast/wal")))  # the data too


# ---- Kubernetes ----

def documents():
    import yaml  # python3-yaml; only here
    found = {}
    for name in sorted(os.listdir(os.path.join(DEPLOY, "kubernetes"))):
        for document in yaml.safe_load_all(read("kubernetes", name)):
            found[document["kind"], document["metadata"]["name"]] = document
    return found


class Kubernetes(Folder):
    def setUp(self):
        super().setUp()
        try:
            self.all = documents()
        except ImportError:
            self.skipTest("needs python3-yaml")
        self.set = self.all["StatefulSet", "holdfast"]["spec"]
        self.pod = self.set["template"]["spec"]
        self.container = self.pod["containers"][0]

    def test_what_each_probe_asks(self):
        paths = {kind: self.container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
        self.assertEqual(paths, {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"})
        ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}
        self.assertEqual(ports, {"redis": 6379, "health": 7379, "peers": 16379})
        startup = self.container["startupProbe"]
        self.assertGreaterEqual(startup["periodSeconds"] * startup["failureThreshold"], 3600)

    def test_a_node_that_waits_for_others_is_live(self):
        """What the probes ask, of one node of three: HTTP-1."""
        with Cluster(3) as cluster:
            alone = cluster.nodes[0]
            alone.start()
            ask = {kind: self.container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
            wait_until(lambda: alone.http(ask["startup"]) == 200, 10, "it has started")
            self.assertEqual((alone.http(ask["liveness"]), alone.http(ask["readiness"])), (200, 503))

    def test_the_set(self):
        self.assertEqual(self.set["podManagementPolicy"], "Parallel")
        service = self.all["Service", self.set["serviceName"]]["spec"]
        self.assertEqual((service["clusterIP"], service["publishNotReadyAddresses"]), ("None", True))
        budget = self.all["PodDisruptionBudget", "holdfast"]["spec"]
        self.assertEqual(budget["maxUnavailable"], 1)
        labels = self.set["template"]["metadata"]["labels"]
        for selector in (self.set["selector"]["matchLabels"], budget["selector"]["matchLabels"], service["selector"],
                         self.all["Service", "holdfast-client"]["spec"]["selector"]):
            self.assertEqual(selector, labels)
        self.assertGreaterEqual(self.pod["terminationGracePeriodSeconds"], 16)
        self.assertNotIn("lifecycle", self.container)  # SIGTERM is all that is needed
        self.assertIn("kubernetes.io/hostname", [one["topologyKey"] for one in self.pod["topologySpreadConstraints"]])

    def test_the_options_are_taken(self):
        """With the longest name of a namespace that the comment allows, and refused where it gets too long."""
        for size, code in ((16, 0), (18, 2)):
            values = {"POD_NAME": "holdfast-0", "NAMESPACE": "n" * size, "NODE_NAME": "machine-1"}
            args = [re.sub(r"\$\((\w+)\)", lambda match: values[match[1]], word) for word in self.container["args"]]
            names = {one["name"] for one in self.container["env"]}
            self.assertEqual(names, set(values))
            self.assertEqual(run(HOLDFASTD, "--dir", self.place("data"), *args, "--help")[0], code)
        join = self.container["args"][self.container["args"].index("--join") + 1].split(",")
        self.assertEqual(len(join), self.set["replicas"])
        self.assertEqual(self.container["args"][1].replace("$(POD_NAME)", "holdfast-0"), join[0])

    def test_it_is_not_root(self):
        context = self.pod["securityContext"]
        image = read("container", "Containerfile")
        self.assertTrue(context["runAsNonRoot"])
        self.assertIn(f"USER {context['runAsUser']}:{context['runAsGroup']}\n", image)
        self.assertEqual(self.container["volumeMounts"][0]["mountPath"], re.search(r"^VOLUME (\S+)$", image, re.M)[1])
        self.assertTrue(self.container["securityContext"]["readOnlyRootFilesystem"])


# ---- names, and addresses that change behind them ----

class Names(unittest.TestCase):
    def test_a_node_whose_address_changes_behind_its_name(self):
        """As a pod that is started anew: --listen and --join name it, the name has another address."""
        words = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                 'mount --bind "$0" /etc/hosts && exec "$@"']
        if os.geteuid() != 0 or not shutil.which("unshare"):
            self.skipTest("needs root and unshare")
        with Cluster(3) as cluster:
            hosts = os.path.join(cluster.folder, "hosts")
            write(hosts, "127.0.0.1 localhost\n")
            if subprocess.run(words + [hosts, "true"], capture_output=True, check=False).returncode:
                self.skipTest("this system gives no mount namespace")
            addresses = [node.host for node in cluster.nodes]
            self.tell_names(hosts, addresses)
            for number, node in enumerate(cluster.nodes):
                node.wrapper = words + [hosts]
                node.options = ["--listen", self.name_of(number, node.port), "--peer-listen", self.name_of(number, node.peer_port)]
                node.join = ",".join(self.name_of(i, other.port) for i, other in enumerate(cluster.nodes))
            cluster.start()
            moved = cluster.leader()
            number = cluster.nodes.index(moved)
            writers = Writers(cluster.others(moved))
            writers.wait_acked(100)
            moved.kill()
            parts = addresses[number].split(".")
            addresses[number] = moved.host = ".".join(parts[:3] + ["77"])
            self.tell_names(hosts, addresses)
            writers.wait_acked(100)
            moved.start()
            wait_until(moved.is_ready, 20, "it is back at another address")
            for other in cluster.others(moved):  # the others reach it there: one of them alone is no majority
                third = next(node for node in cluster.others(moved) if node is not other)
                third.kill()
                wait_until(lambda other=other: self.writes(other), 10, "the moved node and another are a majority")
                third.start()
                cluster.wait_ready()
            writers.stop()
            with moved.client() as client:
                writers.check(client)

    @staticmethod
    def name_of(number, port):
        return f"holdfast-{number}.test:{port}"

    @staticmethod
    def tell_names(hosts, addresses):
        """In place: it is mounted."""
        with open(hosts, "r+", encoding="utf-8") as file:
            file.truncate()
            file.write("127.0.0.1 localhost\n")
            file.writelines(f"{address} holdfast-{i}.test\n" for i, address in enumerate(addresses))

    @staticmethod
    def writes(node):
        try:
            return node.call("SET", "written", "yes") == "OK"
        except (OSError, NotConnected, ReplyError):
            return False


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

    def webhook(self, *words, **environment):
        return self.run_hook("webhook.sh", *words, ALERT_URL="https://pager.example/in", **environment)

    def test_webhook(self):
        self.stub("curl", f"cat >>{self.asked}")
        text = 'node 3 at "here" \\ is gone'
        code, err, lines = self.webhook("alert", "raised", "critical", "node-down", "-", "-", "-", "3", text)
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(lines[0].split()[-1], "https://pager.example/in")
        self.assertEqual(json.loads(lines[1]), {
            "state": "raised", "severity": "critical", "alert": "node-down", "key": "node-down/-/-/3", "keyspace": None,
            "partition": None, "replica": None, "node": 3, "text": text})
        lines = self.webhook("alert", "cleared", "warning", "replica-lagging", "carts", "2", "1", "3", "late")[2]
        said = json.loads(lines[1])
        self.assertEqual((said["state"], said["keyspace"], said["partition"], said["replica"]), ("cleared", "carts", 2, 1))
        self.assertEqual(self.webhook("alert", "raised", "info", "feature-level", "-", "-", "-", "-", "x",
                                      ALERT_SEVERITIES="critical warning"), (0, "", []))
        code, err, _ = self.run_hook("webhook.sh", "alert", "raised", "info", "loss", "-", "-", "-", "-", "x")
        self.assertNotEqual(code, 0)
        self.assertIn("ALERT_URL is not set", err)

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
