#!/usr/bin/env python3
"""Wrong use gets one line that names the cure and an exit code that says so."""
import os
import socket
import subprocess
import tempfile
import unittest

from cluster import HOLDFAST, HOLDFASTD, Cluster, Node, free_port, free_ports, run, wait_until


class CommandLine(unittest.TestCase):
    def refused(self, code, wanted, *command):
        got, out, err = run(*command)
        self.assertEqual(got, code, (command, out, err))
        self.assertEqual(out, "")
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertIn(wanted, err)

    def turned_away(self, wanted, *command):
        """Refused by what another node has answered: the log comes first."""
        got, out, err = run(*command)
        self.assertEqual((got, out), (1, ""), (command, err))
        self.assertIn(wanted, err.splitlines()[-1])

    def test_unknown_verbs_and_options_of_holdfast(self):
        self.refused(2, "holdfast --help", HOLDFAST)
        self.refused(2, "unknown verb 'stauts'", HOLDFAST, "stauts")
        self.refused(2, "unknown option '--jason'", HOLDFAST, "status", "--jason")
        self.refused(2, "status takes no 'now'", HOLDFAST, "status", "now")
        self.refused(2, "unknown option", HOLDFAST, "--verbose", "status")
        self.refused(2, "needs a value", HOLDFAST, "dev", "--nodes")
        self.refused(2, "give 1 to", HOLDFAST, "dev", "--nodes", "0")
        self.refused(2, "give 1 to", HOLDFAST, "dev", "--nodes", "3x")
        self.refused(2, "give 1 to", HOLDFAST, "dev", "--port", "65000")

    def test_wrong_use_of_verbs_that_are_commands(self):
        self.refused(2, "loss needs a further word", HOLDFAST, "loss")
        self.refused(2, "-a needs a value", HOLDFAST, "failovers", "-a")
        self.refused(2, "too many words", HOLDFAST, "loss", *["list"] * 64)
        self.refused(1, "is holdfastd running there?", HOLDFAST, "-a", f"127.0.0.1:{free_port()}", "loss", "list")
        self.refused(2, "--watch is for people", HOLDFAST, "status", "--watch", "--json")

    def test_wrong_use_of_keyspace(self):
        self.refused(2, "keyspace needs one of", HOLDFAST, "keyspace")
        self.refused(2, "keyspace needs one of", HOLDFAST, "keyspace", "make", "carts")
        self.refused(2, "needs the name of a keyspace", HOLDFAST, "keyspace", "create")
        self.refused(2, "needs a value", HOLDFAST, "keyspace", "create", "carts", "--ack")
        self.refused(2, "unknown option '--json=x'", HOLDFAST, "keyspace", "list", "--json=x")
        self.refused(2, "takes no 'more'", HOLDFAST, "keyspace", "list", "more")
        self.refused(1, "is holdfastd running there?", HOLDFAST, "-a", f"127.0.0.1:{free_port()}", "keyspace", "list")

    def test_verbs_of_later_versions(self):
        for verb in ("top", "backup"):
            self.refused(2, f"{verb}: not available in this version", HOLDFAST, verb)

    def test_help(self):
        self.assertIn("--count N", run(HOLDFAST, "failovers", "--help")[1])
        for words in ([], ["status"], ["keyspace"], ["loss"], ["failovers"], ["partition"], ["dev"], ["sim"], ["sim", "run"]):
            code, out, err = run(HOLDFAST, *words, "--help")
            self.assertEqual((code, err), (0, ""))
            self.assertIn("holdfast", out)
        self.assertEqual(run(HOLDFASTD, "--help")[0], 0)

    def test_status_without_a_server(self):
        self.refused(1, "is holdfastd running there?", HOLDFAST, "-a", f"127.0.0.1:{free_port()}", "status")
        self.refused(2, "it is not HOST:PORT", HOLDFAST, "-a", "nonsense", "status")
        self.refused(2, "the port up to 65535", HOLDFAST, "-a", "127.0.0.1:99999", "status")

    def test_unknown_options_of_holdfastd(self):
        with tempfile.TemporaryDirectory() as folder:
            place = os.path.join(folder, "data")
            self.refused(2, "unknown option 'dri'", HOLDFASTD, "--dri", place)
            self.refused(2, "is not an option", HOLDFASTD, "--dir", place, "extra")
            self.refused(2, "unknown option 'port': give --listen HOST:PORT", HOLDFASTD, "--port", "7000")
            self.refused(2, "needs a value", HOLDFASTD, "--dir")
            self.refused(2, "not HOST:PORT", HOLDFASTD, "--dir", place, "--listen", "6379")
            for number in ("0", "17", "two", "-1", "2x"):
                self.refused(2, "a number from 1 to 16", HOLDFASTD, "--dir", place, "--workers", number)
            for number in ("0", "1001", "half", "-1", "2x"):
                self.refused(2, "a number from 1 to 1000", HOLDFASTD, "--dir", place, "--weight", number)
            self.refused(2, "not available in this version", HOLDFASTD, "--dir", place, "--requirepass", "secret")
            self.refused(2, "cannot read the config file", HOLDFASTD, os.path.join(folder, "absent.conf"))
            self.assertFalse(os.path.exists(place), "a refused start leaves nothing behind")

    def test_values_that_cannot_be(self):
        with tempfile.TemporaryDirectory() as folder:
            place = ["--dir", os.path.join(folder, "data")]
            for value in ("127.0.0.1:99999", "127.0.0.1:x", "127.0.0.1:", ":1", "127.0.0.1:+1"):
                self.refused(2, f"--peer-listen: '{value}' is not HOST:PORT", HOLDFASTD, *place, "--peer-listen", value)
            self.refused(2, "[::1]:6379", HOLDFASTD, *place, "--listen", "::1:6379")
            self.refused(2, "the peer port would be 70000; give --peer-listen", HOLDFASTD, *place, "--listen", "127.0.0.1:60000")
            self.refused(2, "the health port would be 66000; give --http-listen", HOLDFASTD, *place, "--listen",
                         "127.0.0.1:65000", "--peer-listen", "127.0.0.1:1")
            for name in ("--site", "--zone", "--host"):
                for value in ("a\nb", "a\x1b[2J", "a\x7f", "a b", "a,b", 'a"b', "x" * 61):
                    self.refused(2, "control characters", HOLDFASTD, *place, name, value)
            self.refused(2, "'600mb' is not a size from 1mb to 512mb", HOLDFASTD, *place, "--proto-max-bulk-len", "600mb")
            self.refused(2, "from 256kb to 1gb", HOLDFASTD, *place, "--wal-segment-size", "1kb")
            self.refused(2, "cannot read /nope: No such file", HOLDFASTD, *place, "--boot-id-file", "/nope")
            self.refused(2, "there is no boot id in it", HOLDFASTD, *place, "--boot-id-file", "/dev/null")
            self.refused(2, "Is a directory", HOLDFASTD, *place, "--boot-id-file", folder)
            self.assertEqual(os.listdir(folder), [], "a refused start leaves nothing behind")

    def test_a_bad_config_file_is_named_with_its_line(self):
        for text, wanted in (("# ours\ndir /tmp/x\nbogus 1\n", "line 3: unknown option 'bogus'"),
                             ("\nlisten 99\n", "line 2: --listen: '99' is not HOST:PORT"),
                             ("site \"a\n", "line 1: 'site': unbalanced quotes"),
                             ("site a'\n", "line 1: 'site': unbalanced quotes"),
                             ("site \"\n", "line 1: 'site': unbalanced quotes"),
                             ("dir /tmp/x extra\n", "line 1: 'dir': 'extra' stands behind the value: put a value with spaces in quotes"),
                             ("dir \"/tmp/x\"y\n", "line 1: 'dir': 'y' stands behind the value"),
                             ("dir # the place\n", "line 1: --dir: the value is empty"),
                             ("save 900 1\n", "line 1: unknown option 'save'"),
                             ("dir " + "x" * 5000 + "\n", "line 1: it is too long"),
                             ("dir\n", "line 1: --dir: the value is empty")):
            with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
                file.write(text)
                file.flush()
                self.refused(2, wanted, HOLDFASTD, file.name)
        with tempfile.TemporaryDirectory() as folder:
            self.refused(2, f"cannot read the config file {folder}: Is a directory", HOLDFASTD, folder)
            self.refused(2, "absent: No such file", HOLDFASTD, os.path.join(folder, "absent"))

    def test_a_value_of_a_config_file_ends_at_white_space(self):
        """A comment behind it is none of the name; quotes keep the spaces."""
        with tempfile.TemporaryDirectory() as folder:
            for value, name in (("{0}/one # ours", "one"), ("{0}/two#2\t#", "two#2"), ('"{0}/a name" # ours', "a name"),
                                ("'{0}/four'  ", "four")):
                file = os.path.join(folder, "conf")
                with open(file, "w", encoding="utf-8") as out:
                    out.write(f"dir {value.format(folder)}\n")
                os.mkdir(os.path.join(folder, name))
                os.mkdir(os.path.join(folder, name, "wal"), 0o700)
                with open(os.path.join(folder, name, "identity"), "w", encoding="utf-8") as out:
                    out.write("nonsense")
                command = self.serve(folder, "--http-listen", "127.0.0.1:0")
                code, _, err = run(HOLDFASTD, file, *command[3:])
                self.assertEqual(code, 1)
                self.assertIn(os.path.join(folder, name), err)

    def test_beginning_anew_needs_members(self):
        """Alone it would make an empty cluster of one in the place of what was lost."""
        with tempfile.TemporaryDirectory() as folder:
            self.refused(2, "--begin-anew needs --join: name the members", *self.serve(folder, "--begin-anew", "yes"))
            self.assertEqual(os.listdir(folder), [], "a refused start leaves nothing behind")
            os.mkdir(os.path.join(folder, "data"))
            self.refused(2, "--begin-anew needs --join: name the members", *self.serve(folder, "--begin-anew", "yes"))
            self.assertEqual(os.listdir(os.path.join(folder, "data")), [])
        with Cluster(1) as cluster:
            node = cluster.start().nodes[0]
            node.call("SET", "kept", "yes")
            node.stop()
            node.options = ["--begin-anew", "yes"]
            node.start()
            cluster.wait_ready(10)
            self.assertEqual(node.call("GET", "kept"), b"yes")

    def serve(self, folder, *more):
        """Arguments of a node with an address of its own that should not come up."""
        ports = [f"127.0.0.1:{port}" for port in free_ports(3)]
        return [HOLDFASTD, "--dir", os.path.join(folder, "data"), "--listen", ports[0], "--peer-listen", ports[1],
                "--http-listen", ports[2], *more]

    def test_ports_in_use(self):
        with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as taken:
            port = f"127.0.0.1:{taken.getsockname()[1]}"
            self.refused(1, port, HOLDFASTD, "--dir", os.path.join(folder, "a"), "--listen", port, "--peer-listen",
                         "127.0.0.1:0", "--http-listen", "127.0.0.1:0")
            self.refused(1, f"--listen {port} is in use: stop what listens there, or give another",
                         *self.serve(folder, "--listen", port))
            self.refused(1, f"--http-listen {port} is in use: stop what listens there, or give another",
                         *self.serve(folder, "--http-listen", port))
            self.refused(1, "--listen no..such..host:1: no such host", *self.serve(folder, "--listen", "no..such..host:1"))
            self.refused(1, "--http-listen no..such..host:1: no such host",
                         *self.serve(folder, "--http-listen", "no..such..host:1"))
            for name in ("--listen", "--http-listen"):
                self.refused(1, f"{name} 203.0.113.1:7001 is not of this machine: give an address that `ip address` lists",
                             *self.serve(folder, name, "203.0.113.1:7001"))
            self.refused(2, f"--peer-listen and --http-listen are both {port}: give them different ports",
                         *self.serve(folder, "--peer-listen", port, "--http-listen", port))

    def test_a_first_start_that_finds_a_port_in_use_binds_to_nothing(self):
        """Also the port for the other nodes, which was bound last: a corrected start may join what it likes."""
        with Cluster(1) as cluster, socket.create_server(("127.0.0.1", 0)) as taken:
            member = cluster.start().nodes[0]
            port = f"127.0.0.1:{taken.getsockname()[1]}"
            place = ("--dir", os.path.join(cluster.folder, "other"))
            first = self.serve(cluster.folder, *place)
            for name in ("--listen", "--peer-listen", "--http-listen"):
                self.refused(1, f"{name} {port} is in use: stop what listens there, or give another", *first, name, port)
                self.assertNotIn("identity", os.listdir(place[1]))
            for name in ("--peer-listen", "--http-listen"):
                self.refused(1, f"{name} {port} is in use", *first, name, port, "--join", member.name)
            joiner = Node(cluster.folder, 2, member.host)
            joiner.dir, joiner.join = place[1], member.name
            cluster.nodes.append(joiner)
            joiner.start()
            wait_until(joiner.is_ready, 20, "the corrected start joins")

    def test_a_directory_of_somebody_else(self):
        with tempfile.TemporaryDirectory() as folder:
            base = os.path.join(folder, "pg")
            os.makedirs(os.path.join(base, "base"))
            for name in ("PG_VERSION", "dump.rdb"):
                open(os.path.join(base, name), "w", encoding="utf-8").close()
            before = sorted(os.listdir(base))
            self.refused(1, f"{base} is not empty and is no directory of holdfast (it has ", *self.serve(folder, "--dir", base))
            self.assertEqual(sorted(os.listdir(base)), before)
            os.makedirs(os.path.join(folder, "dev", "node1", "data"))
            self.refused(1, "(it has node1): give another --dir", *self.serve(folder, "--dir", os.path.join(folder, "dev")))

    def test_a_member_under_another_name(self):
        """Who joined it by a name that the cluster does not know was a member for good, and never came up."""
        with Cluster(1, ["127.0.0.1"]) as cluster:
            member = cluster.start().nodes[0]
            self.turned_away(f"localhost:{member.port} is known to its cluster as {member.name}: name it so in --join",
                             *self.serve(cluster.folder, "--join", f"localhost:{member.port}"))
            self.assertEqual(member.call("SET", "a", "1"), "OK")
            self.assertEqual(len([key for key in member.call("KEYSPACE", "RECORDS")[::2] if key.startswith(b"node:")]), 1)

    def test_a_member_that_listens_everywhere(self):
        with tempfile.TemporaryDirectory() as folder:
            ports = free_ports(3)
            command = [HOLDFASTD, "--dir", os.path.join(folder, "everywhere"), "--listen", f"0.0.0.0:{ports[0]}",
                       "--peer-listen", f"0.0.0.0:{ports[1]}", "--http-listen", f"127.0.0.1:{ports[2]}"]
            with subprocess.Popen(command, stderr=subprocess.DEVNULL) as everywhere:
                try:
                    self.turned_away(f"node 1 is known to its cluster as 0.0.0.0:{ports[0]}",
                                     *self.serve(folder, "--join", f"127.0.0.1:{ports[0]}"))
                finally:
                    everywhere.kill()

    def test_a_directory_that_cannot_be(self):
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "file")
            open(file, "w", encoding="utf-8").close()
            def dir_(path):
                return self.serve(folder, "--dir", path)
            self.refused(1, f"{file} is not a directory: give another --dir", *dir_(file))
            self.refused(1, "its parent does not exist", *dir_(os.path.join(folder, "absent", "deep")))
            self.refused(1, "its parent does not exist", *dir_(os.path.join(file, "deep")))
            self.refused(1, "/proc is not empty and is no directory of holdfast", *dir_("/proc"))

    def test_files_in_the_place_of_directories(self):
        with Cluster(1) as cluster:
            node = cluster.start().nodes[0]
            for name, value in ((b"workers", b"1"), (b"snapshot-seconds", b"600"), (b"snapshot-log-bytes", b"64mb")):
                self.assertEqual(node.call("CONFIG", "GET", name), [name, value])
            node.stop()
            place = os.path.join(node.dir, "snapshots")
            os.rename(place, place + ".away")
            open(place, "w", encoding="utf-8").close()
            self.refused(1, f"{place} is not a directory: move it away", *self.serve(cluster.folder, "--dir", node.dir))

    @unittest.skipUnless(os.getuid() == 0, "only root can become somebody else")
    def test_a_directory_without_permission(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            closed = os.path.join(folder, "ro")
            os.mkdir(closed)
            def as_nobody(path):
                return ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                        *self.serve(folder, "--dir", path)]
            self.refused(1, f"no permission to write in {closed}: give this user access, or another --dir", *as_nobody(closed))
            self.refused(1, f"no permission to make {closed}/x: give this user access", *as_nobody(os.path.join(closed, "x")))

    def test_too_few_descriptors(self):
        with tempfile.TemporaryDirectory() as folder:
            self.refused(1, "too few file descriptors: raise ulimit -n", "sh", "-c", 'ulimit -n 12; exec "$@"', "sh",
                         *self.serve(folder))

    def test_help_by_one_letter(self):
        code, out, err = run(HOLDFASTD, "-h")
        self.assertEqual((code, err), (0, ""))
        self.assertIn("--proto-max-bulk-len", out)

    def test_a_directory_in_use(self):
        with Cluster(1) as cluster:
            node = cluster.start().nodes[0]
            self.refused(1, "in use by another process: stop it, or give another --dir",
                         *self.serve(cluster.folder, "--dir", node.dir))
            self.assertEqual(node.call("PING"), "PONG")

    def test_join_lists(self):
        with tempfile.TemporaryDirectory() as folder:
            for value in ("127.0.0.1:1,nonsense", ",", "127.0.0.1:1,,127.0.0.1:2", "127.0.0.1:1 127.0.0.1:2", "127.0.0.1:0",
                          "127.0.0.1:65536", ":1"):
                self.refused(1, "is not HOST:PORT: give client addresses with one comma between two",
                             *self.serve(folder, "--join", value))
            self.refused(1, "twice: name each node once", *self.serve(folder, "--join", "127.0.0.1:1,127.0.0.1:1"))
            self.refused(1, "with --join the port must be a fixed one",
                         *self.serve(folder, "--join", "127.0.0.1:1,127.0.0.1:2", "--peer-listen", "127.0.0.1:0"))

    def test_join_lists_that_differ_are_named(self):
        with Cluster(3) as cluster:
            odd = cluster.nodes[2]
            odd.join = f"{odd.name},{cluster.nodes[0].name}"
            for node in cluster.nodes:
                node.start()
            wait_until(lambda: f"{odd.name} was started with another --join list" in cluster.nodes[0].log(), 10,
                       "the first node names the odd one")
            self.assertFalse(cluster.nodes[0].is_ready())

    def test_a_directory_of_another_cluster(self):
        with Cluster(3) as cluster, Cluster(3) as other:
            cluster.start()
            other.start()
            stranger = other.nodes[2]
            stranger.stop()
            cluster.nodes[2].stop()
            os.rename(cluster.nodes[2].dir, cluster.nodes[2].dir + ".away")
            os.rename(stranger.dir, cluster.nodes[2].dir)
            cluster.nodes[2].start()
            self.assertNotEqual(cluster.nodes[2].wait_exit(10), 0)
            self.assertIn(f"this directory is that of node 3 at {stranger.name}, but --listen says {cluster.nodes[2].name}: "
                          f"start it with --listen {stranger.name}", cluster.nodes[2].log().splitlines()[-1])
            self.assertEqual(cluster.nodes[0].call("SET", "mine", "1"), "OK")
            self.assertEqual(other.nodes[0].call("GET", "mine"), None)

    def test_a_directory_of_a_cluster_of_one(self):
        """It acknowledged writes outside of the cluster that it was to be a member of."""
        with Cluster(1) as alone, Cluster(3) as cluster:
            solo = alone.start().nodes[0]
            self.assertEqual(solo.call("SET", "mine", "1"), "OK")
            self.assertEqual(solo.stop(), 0)
            self.assertRegex(solo.log().splitlines()[-1], "Z stopped$")
            cluster.start()
            cluster.nodes[0].stop()
            os.rename(cluster.nodes[0].dir, cluster.nodes[0].dir + ".away")
            os.rename(solo.dir, cluster.nodes[0].dir)
            cluster.nodes[0].start()
            self.assertEqual(cluster.nodes[0].wait_exit(10), 1)
            self.assertIn("this directory is a cluster of one", cluster.nodes[0].log().splitlines()[-1])
            self.assertIn("start it without --join, or give another --dir", cluster.nodes[0].log().splitlines()[-1])

    def test_a_member_that_moved(self):
        with Cluster(3) as cluster:
            node = cluster.start().nodes[2]
            node.stop()
            known, node.peer_port = node.peer_port, free_port(node.host)
            node.start()
            self.assertEqual(node.wait_exit(10), 1)
            self.assertIn(f"start it with --peer-listen {node.host}:{known}", node.log().splitlines()[-1])


if __name__ == "__main__":
    unittest.main(verbosity=2)
