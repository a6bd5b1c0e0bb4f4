"""Servers pinned to one core, load from the other, and what can be counted about them."""
import atexit
import functools
import http.client
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORK = os.path.join(ROOT, "build", "bench")
SERVER_CORE, LOAD_CORE = "0", "1"
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """One contender: a command that listens on PORT, pinned to the server's core."""

    def __init__(self, name, argv, env=None, ready="/health/live", prefix=()):
        self.name = name
        self.argv = argv
        self.env = env or {}
        self.ready = ready
        self.prefix = prefix  # a tool that runs the server: valgrind
        self.secure_port = None  # of https; then that is what is measured
        self.port = free_port()
        self.process = None

    def start(self, timeout=60):
        argv = [str(self.port) if a == "{port}" else a.replace("{port}", str(self.port)) for a in self.argv]
        self.log = open(os.path.join(WORK, f"{self.name}.log"), "wb")
        started = time.perf_counter()
        self.process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *self.prefix, *argv], cwd=ROOT, stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log, env={**os.environ, "PORT": str(self.port), **self.env})
        while True:
            if self.process.poll() is not None:
                raise SystemExit(f"bench: {self.name} ended at once; see {self.log.name}")
            if time.perf_counter() - started > timeout:
                self.stop()
                raise SystemExit(f"bench: {self.name} was not ready in {timeout} s; see {self.log.name}")
            try:
                if self.get(self.ready)[0] < 500:
                    return time.perf_counter() - started
            except OSError:
                pass
            time.sleep(0.001)

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()

    def get(self, path, method="GET", body=None, headers=None):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            conn.request(method, path, body=body, headers=headers or {})
            response = conn.getresponse()
            return response.status, response.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            conn.close()

    def raw_answer(self, path):
        """The bytes of an answer, head and body, as they came."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s:
            # The very request that wrk sends.
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())
            data = b""
            while b"\r\n\r\n" not in data:
                data += s.recv(65536)
            head, _, body = data.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)^content-length: *(\d+)", head, re.M)
            want = int(length.group(1)) if length else 0
            while len(body) < want:
                body += s.recv(65536)
        return head + b"\r\n\r\n" + body

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory_kib(self):
        """Resident: all, and what is the program's own (not mapped from files)."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii", errors="replace") as f:
            text = f.read()
        return {key: int(re.search(rf"^{key}:\s+(\d+) kB", text, re.M).group(1)) for key in ("VmRSS", "RssAnon")}


def floor_http(name, answer_file):
    server = Server(name, [os.path.join(ROOT, "build/release/bench/floor_http"), "{port}", answer_file], ready="/")
    return server


def floor_sqlite(what, db, seconds):
    out = subprocess.run(["taskset", "-c", SERVER_CORE, os.path.join(ROOT, "build/release/bench/floor_sqlite"), what,
                          db, str(seconds)], capture_output=True, text=True)
    if out.returncode != 0:
        raise SystemExit(f"bench: {out.stderr.strip()}")
    return json.loads(out.stdout)


def seconds_of(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[unit]


@functools.cache
def keep_awake():
    """Something for the load generator's core to do when nothing else has: where it may sleep, whoever answers it first has to
    wake it, which costs the server some microseconds a request, and those of a faster one more of them."""
    spin = "import os\nos.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\nwhile True: pass"
    child = subprocess.Popen(["taskset", "-c", LOAD_CORE, sys.executable, "-c", spin], stdin=subprocess.DEVNULL)
    atexit.register(child.kill)


def wrk(server, seconds, script=None, args=(), path="/", connections=64, headers=None):
    """One run of load. CPU is the server's, over the requests that wrk saw answered."""
    argv = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
            "--timeout", "10s"]
    if script:
        argv += ["-s", os.path.join(ROOT, "bench/wrk", script)]
    for name, value in (headers or {}).items():
        argv += ["-H", f"{name}: {value}"]
    secure = server.secure_port is not None
    argv += [f"http{'s' if secure else ''}://127.0.0.1:{server.secure_port if secure else server.port}{path}"]
    if args:
        argv += ["--", *[str(a) for a in args]]
    keep_awake()
    before = server.cpu_seconds()
    out = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 60)
    cpu = server.cpu_seconds() - before
    text = out.stdout
    total = re.search(r"(\d+) requests in ([\d.]+)(\w+),", text)
    if out.returncode != 0 or not total or int(total.group(1)) == 0:
        raise SystemExit(f"bench: wrk against {server.name} failed:\n{text}{out.stderr}")
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = re.search(r"Socket errors: (.*)", text)
    requests = int(total.group(1))
    return {
        "requests": requests,
        "per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
        "cpu_us": cpu * 1e6 / requests,
        "p50_ms": seconds_of(re.search(r"^ +50% +(\S+)", text, re.M).group(1)) * 1e3,
        "p99_ms": seconds_of(re.search(r"^ +99% +(\S+)", text, re.M).group(1)) * 1e3,
        "bad": (int(bad.group(1)) if bad else 0) + (1 if errors else 0),
    }


def h2load(server, port, seconds, path="/", connections=10, streams=100):
    """As wrk, over HTTP/2 with prior knowledge. h2load tells no percentiles."""
    argv = ["taskset", "-c", LOAD_CORE, "h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds}",
            f"http://127.0.0.1:{port}{path}"]
    before = server.cpu_seconds()
    out = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 60)
    cpu = server.cpu_seconds() - before
    total = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed", out.stdout)
    if out.returncode != 0 or not total or int(total.group(2)) == 0:
        raise SystemExit(f"bench: h2load against {server.name} failed:\n{out.stdout}{out.stderr}")
    requests = int(total.group(2))
    return {"requests": requests, "per_second": requests / seconds, "cpu_us": cpu * 1e6 / requests,
            "bad": int(total.group(1)) - requests}


def handshakes(server, seconds, clients=4):
    """Full handshakes by `openssl s_time`, without a request. CPU is the server's, over those that were completed."""
    argv = ["taskset", "-c", LOAD_CORE, "openssl", "s_time", "-new", "-time", str(seconds), "-connect",
            f"127.0.0.1:{server.secure_port}"]
    before, started = server.cpu_seconds(), time.perf_counter()
    runs = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(clients)]
    done = 0
    for run in runs:
        text, _ = run.communicate(timeout=seconds + 60)
        found = re.search(r"(\d+) connections in \d+ real seconds", text)
        if not found:
            raise SystemExit(f"bench: s_time against {server.name} failed:\n{text[-400:]}")
        done += int(found.group(1))
    cpu = server.cpu_seconds() - before
    return {"per_second": done / (time.perf_counter() - started), "cpu_us": cpu * 1e6 / done}


def medians(runs):
    return {key: statistics.median(r[key] for r in runs) for key in runs[0]}


def interleave(rounds, contenders):
    """contenders: name -> function making one run. Round after round, so that a busy minute hits all alike."""
    runs = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            runs[name].append(run())
    return {name: medians(r) for name, r in runs.items()}


# -- what does not depend on the machine -------------------------------------------------------------------

def repeat_requests(server, n, requests, headers=None):
    """n requests on one connection, from a list of (method, path, body)."""
    conn = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    for i in range(n):
        method, path, body = requests[i % len(requests)]
        conn.request(method, path, body=body, headers={**({"Content-Type": "application/json"} if body else {}), **(headers or {})})
        response = conn.getresponse()
        response.read()
        if response.status >= 300:
            raise SystemExit(f"bench: {method} {path} answered {response.status}")
    conn.close()


def instructions(make_server, requests, few=200, many=1200, headers=None):
    """Per request: the difference between a short and a long life under callgrind, start and stop cancelling out."""
    if shutil.which("valgrind") is None:
        return None
    totals = []
    for n in (few, many):
        with tempfile.TemporaryDirectory(dir=WORK) as folder:
            out = os.path.join(folder, "callgrind.out")
            server = make_server()
            server.prefix = ("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "-q")
            server.start(timeout=180)
            repeat_requests(server, n, requests, headers)
            server.stop()
            total = 0
            for name in os.listdir(folder):
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as f:
                    found = re.findall(r"^(?:totals|summary): (\d+)", f.read(), re.M)
                total += int(found[-1]) if found else 0
            totals.append(total)
    return (totals[1] - totals[0]) / (many - few) if all(totals) else None


def system_calls(server, load):
    """Per request, under strace, at the same load; and the calls that make up most of it."""
    if shutil.which("strace") is None:
        return None
    with tempfile.NamedTemporaryFile(dir=WORK, mode="r") as out:
        tracer = subprocess.Popen(["strace", "-c", "-f", "-qq", "-o", out.name, "-p", str(server.process.pid)],
                                  stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        run = load()
        tracer.send_signal(signal.SIGINT)
        tracer.wait(30)
        text = out.read()
    calls = {}
    for line in text.split("\n"):
        words = line.split()
        if len(words) >= 5 and words[0].replace(".", "").isdigit() and words[-1] != "total":
            calls[words[-1]] = int(words[3])
    if not calls:
        return None
    top = sorted(calls.items(), key=lambda item: -item[1])[:4]
    return sum(calls.values()) / run["requests"], {name: n / run["requests"] for name, n in top}


class MallocCounter:
    """The environment that counts a server's heap allocations, and the number."""

    def __init__(self):
        self.path = os.path.join(WORK, "malloc-count")
        with open(self.path, "wb") as f:
            f.write(bytes(8))
        self.env = {"LD_PRELOAD": os.path.join(ROOT, "build/release/bench/libmalloc_count.so"),
                    "MALLOC_COUNT_FILE": self.path}

    def read(self):
        with open(self.path, "rb") as f:
            return int.from_bytes(f.read(8), "little")
