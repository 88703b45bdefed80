"""How many syncs some processes ask for while something runs: from the kernel's counters when perf may, else by strace."""
import re
import shutil
import signal
import subprocess
import tempfile

CALLS = ("fsync", "fdatasync", "sync_file_range", "msync")


class SyncCounter:
    def __init__(self):
        self.how = "nothing: neither perf nor strace works here"
        self.count = None
        if self.perf_works():
            self.how, self.count = "perf (tracepoints)", self.with_perf
        elif shutil.which("strace"):
            self.how, self.count = "strace, which slows the servers: batches are smaller then", self.with_strace

    def during(self, pids, run):
        """What run() answers, and the number; None when nothing can count here."""
        if not self.count:
            return run(), None
        return self.count(pids, run)

    @staticmethod
    def events():
        return ",".join("syscalls:sys_enter_" + call for call in CALLS)

    def perf_works(self):
        if not shutil.which("perf"):
            return False
        tried = subprocess.run(["perf", "stat", "-x,", "-e", self.events(), "true"], capture_output=True, text=True, timeout=20,
                               check=False)
        return tried.returncode == 0 and "<not" not in tried.stderr

    def with_perf(self, pids, run):
        with tempfile.NamedTemporaryFile("r") as report:
            return self.watched(["perf", "stat", "-x,", "-o", report.name, "-e", self.events(), "-p", ",".join(map(str, pids))], run,
                                lambda _: sum(int(number) for number in re.findall(r"^(\d+),", report.read(), re.M)))

    def with_strace(self, pids, run):
        command = ["strace", "-f", "-c", "-U", "calls,name", "-e", "trace=" + ",".join(CALLS)]
        for pid in pids:
            command += ["-p", str(pid)]
        return self.watched(command, run, lambda said: sum(
            int(number) for number, name in re.findall(r"^\s*(\d+)\s+(\w+)", said, re.M) if name in CALLS))

    @staticmethod
    def watched(command, run, number_of):
        """The watcher sees some milliseconds more than the run, in which nothing is written."""
        watcher = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            result = run()
        finally:
            watcher.send_signal(signal.SIGINT)
            said = watcher.communicate(timeout=20)[1]
        return result, number_of(said)
