#!/usr/bin/env python3
"""script/bench [--rounds N] [--seconds N] [--quick] [--no-counts] [--json FILE] [NAME...]

Measure a release build beside what it is compared with, in one run, interleaved, and print medians. The server is
pinned to core 0, the load (wrk, 64 connections) to core 1. The load generator is often the slower of the two, so the
honest number is the server's CPU per request.

  health   GET /health/live beside nginx's `return 200` with the same body and headers
  h2       the same over HTTP/2: 10 connections of 100 streams (h2load) beside nginx
  row      a post by id from 100,000, beside the floor: a bare epoll loop with the same bytes + the statement in C
  list     twenty posts of an author, newest first, beside the same kind of floor
  create   durable creates beside bare group commit and Fastify with better-sqlite3
  mixed    nine reads to one create, beside reads alone
  scan     row reads while a filter scans all 100,000 posts
  import   the community of --community DIR (or COMMUNITY_DIR), validated and durable
  start    time to ready, resident memory after start and after a million requests
  idle     memory of 10,000 idle connections
  tls      https beside nginx with the same certificate and cipher: requests on kept connections, full handshakes,
           memory of an idle connection
  peers    row, list and create of FastAPI with SQLAlchemy and Fastify with better-sqlite3

All of them unless named. --quick is one round of two seconds, for trying things out.
"""
import argparse
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time

import data
from harness import (LOAD_CORE, ROOT, SERVER_CORE, WORK, MallocCounter, Server, floor_http, floor_sqlite,
                     free_port, h2load, handshakes, instructions, interleave, repeat_requests, system_calls, wrk)

PURLIN = os.path.join(ROOT, "build/release/purlin")
DB = os.path.join(WORK, "posts.db")
BODY = {"author": None, "title": "A post of the bench, as durable as any", "body": "x" * 600}

options = None
figures = {}
missed = []


def purlin_server(name="purlin", db=DB, contracts="bench/contracts", env=None):
    return Server(name, [PURLIN, "serve", "--config", "bench/purlin.yaml"], {
        "DATABASE_URL": "sqlite:" + db, "PURLIN_CONTRACTS": contracts, "PURLIN_THREADS": "1", "PURLIN_LIMITS": "off",
        "PURLIN_LIMITS_CONNECTIONS": "20000", "PURLIN_LIMITS_CONNECTIONS_PER_ADDRESS": "0",  # all come from one
        **(env or {})}, ready="/health/ready")


def fastify_server(db=DB):
    return Server("fastify", ["node", "bench/peers/fastify.mjs"], {"DATABASE": db, "NODE_ENV": "production"})


def fastapi_server(db=DB):
    return Server("fastapi", ["/usr/bin/python3", "-m", "uvicorn", "--app-dir", "bench/peers", "--loop", "uvloop",
                              "--http", "httptools", "--no-access-log", "--log-level", "warning", "--port", "{port}",
                              "fastapi_app:app"], {"DATABASE": db})


def tls_pair():
    """A certificate on P-256; its files, without their endings."""
    folder = os.path.join(WORK, "tls")
    if not os.path.exists(os.path.join(folder, "cert.pem")):
        subprocess.run([PURLIN, "cert", "dev", "--folder", folder, "--force"], check=True, stdout=subprocess.DEVNULL)
    return os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")


def purlin_tls_server(name="purlin"):
    cert, key = tls_pair()
    port = free_port()
    server = purlin_server(name, env={"PURLIN_TLS_PORT": str(port), "PURLIN_TLS_CERT": cert, "PURLIN_TLS_KEY": key,
                                      "PURLIN_TLS_REDIRECT": "off", "PURLIN_LIMITS_CONNECTIONS_PER_ADDRESS": "0"})
    server.secure_port = port
    return server


def nginx_server(answer, secure=False):
    """nginx with the body and headers of a captured answer. What varies by request varies there too."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines, kind = [], "text/plain"
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if name.lower() == "content-type":
            kind = value
        elif name.lower() == "x-request-id":
            lines.append(f"add_header {name} $request_id;")
        elif name.lower() not in ("date", "server", "content-length", "connection", "keep-alive"):
            lines.append("add_header %s '%s';" % (name, value.replace("'", "\\'")))
    text = body.decode().replace("\\", "\\\\").replace("'", "\\'").replace("$", "${dollar}")
    server = Server("nginx", ["nginx", "-c", os.path.join(WORK, "nginx.conf"), "-p", WORK], ready="/")
    server.h2_port = free_port()
    tls = ""
    if secure:
        cert, key = tls_pair()
        server.secure_port = free_port()
        # As Purlin has it: the same versions, ciphers in the server's order, tickets with keys of its own.
        tls = (f"listen 127.0.0.1:{server.secure_port} ssl; ssl_certificate {cert}; ssl_certificate_key {key}; "
               "ssl_protocols TLSv1.2 TLSv1.3; ssl_prefer_server_ciphers on; ssl_ecdh_curve X25519:prime256v1; "
               "ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384;")
    config = f"""
        daemon off; master_process off; worker_processes 1; pid {WORK}/nginx.pid; error_log {WORK}/nginx-error.log;
        events {{ worker_connections 4096; }}
        http {{
            access_log off; server_tokens off; keepalive_requests 1000000000; keepalive_timeout 600s;
            client_body_temp_path {WORK}/nginx-body; proxy_temp_path {WORK}/nginx-proxy;
            fastcgi_temp_path {WORK}/nginx-fastcgi; uwsgi_temp_path {WORK}/nginx-uwsgi;
            scgi_temp_path {WORK}/nginx-scgi;
            geo $dollar {{ default '$'; }}
            server {{
                listen 127.0.0.1:{server.port}; listen 127.0.0.1:{server.h2_port} http2; {tls}
                default_type '{kind}';
                location / {{ {' '.join(lines)} return 200 '{text}'; }}
            }}
        }}"""
    with open(os.path.join(WORK, "nginx.conf"), "w", encoding="utf-8") as f:
        f.write(config)
    return server


# -- printing --------------------------------------------------------------------------------------------

def title(name, text):
    print(f"\n{name}: {text}")
    print(f"  {'':34}{'requests/s':>12}{'CPU us/req':>12}{'p50 ms':>9}{'p99 ms':>9}")


def row(name, figure):
    cells = [("per_second", 12, "{:,.0f}"), ("cpu_us", 12, "{:.2f}"), ("p50_ms", 9, "{:.2f}"), ("p99_ms", 9, "{:.2f}")]
    print(f"  {name:34}" + "".join(
        (form.format(figure[key]) if key in figure else "").rjust(width) for key, width, form in cells) +
        ("   ERRORS: %d" % figure["bad"] if figure.get("bad") else ""), flush=True)


def verdict(bench, what, value, limit, at_most, unit=""):
    good = value <= limit if at_most else value >= limit
    word = "at most" if at_most else "at least"
    print(f"  {what:34}{value:12,.2f}{unit}   {word} {limit:,g}{unit}: {'ok' if good else 'MISSED'}", flush=True)
    figures.setdefault(bench, {})[what] = value
    if not good:
        missed.append(f"{bench}: {what} {value:,.2f}{unit}, {word} {limit:,g}{unit}")


def keep(bench, results):
    figures.setdefault(bench, {}).update(results)


def counts(bench, requests, script=None, args=(), path="/", db=DB):
    """Instructions, system calls and allocations of one request of Purlin."""
    if options.no_counts:
        return
    said = []
    per_request = instructions(lambda: purlin_server("purlin-callgrind", db), requests)
    if per_request is not None:
        said.append(f"{per_request:,.0f} instructions")
        keep(bench, {"instructions": per_request})
    with purlin_server("purlin-strace", db) as server:
        load = lambda: wrk(server, 2, script, args, path)  # noqa: E731
        load()
        calls = system_calls(server, load)
    if calls is not None:
        said.append(f"{calls[0]:.2f} system calls (" + ", ".join(f"{k} {v:.2f}" for k, v in calls[1].items()) + ")")
        keep(bench, {"system_calls": calls[0]})
    counter = MallocCounter()
    with purlin_server("purlin-malloc", db, env=counter.env) as server:
        repeat_requests(server, 2000, requests)
        before = counter.read()
        repeat_requests(server, 2000, requests)
        per_request = (counter.read() - before) / 2000
    said.append(f"{per_request:.3f} heap allocations")
    keep(bench, {"allocations": per_request})
    print(f"  {'purlin, per warm request':34}" + ", ".join(said), flush=True)


def copy_of_db(name):
    """A database of its own for a contender that writes."""
    path = os.path.join(WORK, f"{name}.db")
    for ending in ("", "-wal", "-shm"):
        if os.path.exists(path + ending):
            os.unlink(path + ending)
    shutil.copyfile(DB, path)
    return path


def capture(server, path, name):
    file = os.path.join(WORK, f"answer-{name}.http")
    answer = server.raw_answer(path)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"bench: {path} answered {answer[:60]!r}")
    with open(file, "wb") as f:
        f.write(answer)
    return file, answer


# -- the benches -----------------------------------------------------------------------------------------

def bench_health():
    title("health", "GET /health/live, 64 connections")
    with purlin_server() as purlin:
        file, answer = capture(purlin, "/health/live", "health")
        with nginx_server(answer) as nginx, floor_http("floor-health", file) as floor:
            results = interleave(options.rounds, {
                s.name: (lambda s=s: wrk(s, options.seconds, path="/health/live")) for s in (purlin, nginx, floor)})
    keep("health", results)
    row("purlin", results["purlin"])
    row("nginx return 200", results["nginx"])
    row("bare epoll loop", results["floor-health"])
    verdict("health", "CPU, purlin / nginx", results["purlin"]["cpu_us"] / results["nginx"]["cpu_us"], 1.05, True)
    verdict("health", "requests/s, purlin / nginx", results["purlin"]["per_second"] / results["nginx"]["per_second"],
            0.95, False)
    counts("health", [("GET", "/health/live", None)], path="/health/live")


def bench_limits():
    """What rate limits and the measure of overload cost a warm request from an address that is within its limits."""
    print("\nlimits: instructions of a warm request, without and with them")
    if options.no_counts:
        return
    _, paths, _ = prepared()
    wide = "100000000/1s/ip"
    contenders = {
        "off": {},
        "on": {"PURLIN_LIMITS": "on", "PURLIN_RATE_REQUESTS": wide},
        "on, three rules": {"PURLIN_LIMITS": "on", "PURLIN_RATE_REQUESTS": f"{wide}, {wide}, 100000000/1h/ip+route"},
    }
    for name, requests in (("health", [("GET", "/health/live", None)]), ("row", [("GET", p, None) for p in paths["row"][:500]])):
        base = None
        for what, env in contenders.items():
            cost = instructions(lambda env=env: purlin_server("purlin-callgrind", env=env), requests)
            if cost is None:
                return
            base = base or cost
            print(f"  {name + ', limits ' + what:34}{cost:12,.0f} instructions   {100 * (cost / base - 1):+.1f} %", flush=True)
            keep("limits", {f"{name} {what}": cost})


def bench_h2():
    title("h2", "GET /health/live over HTTP/2, 10 connections of 100 streams")
    with purlin_server() as purlin:
        _, answer = capture(purlin, "/health/live", "h2")
        with nginx_server(answer) as nginx:
            ports = {purlin: purlin.port, nginx: nginx.h2_port}
            results = interleave(options.rounds, {
                s.name: (lambda s=s: h2load(s, ports[s], options.seconds, "/health/live")) for s in ports})
    keep("h2", results)
    row("purlin", results["purlin"])
    row("nginx return 200", results["nginx"])
    verdict("h2", "CPU, purlin / nginx", results["purlin"]["cpu_us"] / results["nginx"]["cpu_us"], 1.05, True)


def bench_read(name, text, limit):
    title(name, text)
    files, paths, _ = prepared()
    with purlin_server() as purlin:
        file, _ = capture(purlin, paths[name][0], name)
        with floor_http("floor-" + name, file) as floor:
            statements = []

            def statement():
                statements.append(floor_sqlite(name, DB, max(1, options.seconds / 2)))
                return statements[-1]

            results = interleave(options.rounds, {
                "purlin": lambda: wrk(purlin, options.seconds, "get.lua", [files[name]]),
                "floor-http": lambda: wrk(floor, options.seconds, "get.lua", [files[name]]),
                "floor-sqlite": statement})
    keep(name, results)
    row("purlin", results["purlin"])
    row("bare epoll loop, same bytes", results["floor-http"])
    row("bare statement and JSON", {k: results["floor-sqlite"][k] for k in ("per_second", "cpu_us")})
    floor_us = results["floor-http"]["cpu_us"] + results["floor-sqlite"]["cpu_us"]
    row("floor: both", {"cpu_us": floor_us})
    verdict(name, "CPU, purlin / floor", results["purlin"]["cpu_us"] / floor_us, limit, True)
    counts(name, [("GET", p, None) for p in paths[name][:500]], "get.lua", [files[name]])


def bench_row():
    bench_read("row", "GET /api/v1/posts/{id} from 100,000, 64 connections", 1.35)


def bench_list():
    bench_read("list", "GET /api/v1/posts?author=X&sort=-created_at&limit=20, 64 connections", 1.3)


def body_file(authors):
    path = os.path.join(WORK, "body.json")
    with open(path, "w", encoding="ascii") as f:
        json.dump({**BODY, "author": authors[0]}, f)
    return path


def bench_create():
    title("create", "POST /api/v1/posts, 64 connections, acknowledged after commit at synchronous=FULL")
    files, _, authors = prepared()
    args = [files["row"], "/api/v1/posts", body_file(authors), 100]
    floor_db = copy_of_db("create-floor")
    with purlin_server(db=copy_of_db("create-purlin")) as purlin, \
            fastify_server(copy_of_db("create-fastify")) as fastify:
        results = interleave(options.rounds, {
            "purlin": lambda: wrk(purlin, options.seconds, "mixed.lua", args),
            "floor": lambda: floor_sqlite("create", floor_db, options.seconds),
            "fastify": lambda: wrk(fastify, options.seconds, "mixed.lua", args)})
    keep("create", results)
    row("purlin", results["purlin"])
    row("bare group commit of 64", {k: results["floor"][k] for k in ("per_second", "cpu_us")})
    row("fastify, better-sqlite3", results["fastify"])
    verdict("create", "rows/s, purlin / group commit",
            results["purlin"]["per_second"] / results["floor"]["per_second"], 0.5, False)
    verdict("create", "rows/s, purlin / fastify",
            results["purlin"]["per_second"] / results["fastify"]["per_second"], 6, False)
    with open(args[2], encoding="ascii") as f:
        body = f.read()
    counts("create", [("POST", "/api/v1/posts", body)], "mixed.lua", args, db=copy_of_db("create-counts"))


def bench_mixed():
    title("mixed", "nine row reads to one create, 64 connections")
    files, _, authors = prepared()
    body = body_file(authors)
    with purlin_server(db=copy_of_db("mixed")) as purlin:
        results = interleave(options.rounds, {
            "reads": lambda: wrk(purlin, options.seconds, "get.lua", [files["row"]]),
            "mixed": lambda: wrk(purlin, options.seconds, "mixed.lua", [files["row"], "/api/v1/posts", body, 10])})
    keep("mixed", results)
    row("reads alone", results["reads"])
    row("mixed, both kinds", results["mixed"])
    reads = results["mixed"]["per_second"] * 0.9
    row("mixed, reads of it", {"per_second": reads})
    verdict("mixed", "reads kept", reads / results["reads"]["per_second"], 0.8, False)
    verdict("mixed", "p99", results["mixed"]["p99_ms"], 20, True, " ms")


def bench_scan():
    title("scan", "row reads while one client scans all posts with a filter that finds nothing")
    files, _, _ = prepared()
    path = "/api/v1/posts?filter=score%20%3E%201000000&limit=1"
    with purlin_server() as purlin:
        ended = threading.Event()
        scans = []

        def scan():
            while not ended.is_set():
                started = time.perf_counter()
                status, text = purlin.get(path)
                scans.append((status, time.perf_counter() - started))
                if status != 200:
                    print(f"  the scan answered {status}: {text[:200]!r}")
                    return

        def with_scan():
            ended.clear()
            thread = threading.Thread(target=scan)
            thread.start()
            try:
                return wrk(purlin, options.seconds, "get.lua", [files["row"]])
            finally:
                ended.set()
                thread.join()

        results = interleave(options.rounds, {
            "alone": lambda: wrk(purlin, options.seconds, "get.lua", [files["row"]]), "scanned": with_scan})
    keep("scan", results)
    row("row reads alone", results["alone"])
    row("row reads beside the scan", results["scanned"])
    done = [s for status, s in scans if status == 200]
    if done:
        print(f"  {len(done)} scans, median {statistics.median(done) * 1e3:.0f} ms each")
    verdict("scan", "p99 beside the scan", results["scanned"]["p99_ms"], 10, True, " ms")


def bench_import():
    print("\nimport: a community of 20,833 rows, validated and durable")
    folder = options.community
    if not folder or not os.path.isdir(folder):
        print("  left out: name its folder with --community DIR or COMMUNITY_DIR")
        return
    times = []
    for _ in range(options.rounds):
        shutil.rmtree(os.path.join(WORK, "import"), ignore_errors=True)
        os.makedirs(os.path.join(WORK, "import"))
        db = os.path.join(WORK, "import", "community.db")
        env = {**os.environ, "DATABASE_URL": "sqlite:" + db, "PURLIN_CONTRACTS": os.path.join(ROOT, "contracts"),
               "LOG_LEVEL": "warn"}
        started = time.perf_counter()
        out = subprocess.run(["taskset", "-c", SERVER_CORE, PURLIN, "import", "examples/stackexchange/import.yaml",
                              "--from", folder], cwd=ROOT, env=env, capture_output=True, text=True)
        times.append(time.perf_counter() - started)
        if out.returncode != 0:
            print(f"  failed: {(out.stderr or out.stdout)[-400:]}")
            missed.append("import: failed")
            return
    verdict("import", "seconds, one core", statistics.median(times), 3, True, " s")


def bench_start():
    print("\nstart: to the first 200 of /health/ready, and memory")
    community = os.path.join(WORK, "import", "community.db")
    loaded = os.path.exists(community)
    db, contracts = (community, os.path.join(ROOT, "contracts")) if loaded else (DB, "bench/contracts")
    print(f"  with {'the imported community' if loaded else 'the 100,000 posts'} as its database")
    times, memory = [], []
    for _ in range(max(5, options.rounds)):
        server = purlin_server(db=db, contracts=contracts)
        times.append(server.start() * 1e3)
        memory.append(server.memory_kib()["VmRSS"] / 1024)
        server.stop()
    verdict("start", "ready", statistics.median(times), 100, True, " ms")
    verdict("start", "resident after start", statistics.median(memory), 20, True, " MiB")

    files, _, _ = prepared()
    with purlin_server() as server:
        wrk(server, 2, "get.lua", [files["row"]])
        requests, first = 0, server.memory_kib()
        # Twice half a million: what is only warming up stops growing, a leak does not.
        goal = 1_000_000 if not options.quick else 100_000
        middle = None
        while requests < goal:
            requests += wrk(server, options.seconds, "get.lua", [files["row"]])["requests"]
            if middle is None and requests >= goal / 2:
                middle = server.memory_kib()
        last = server.memory_kib()
    for word, kib in (("after warming up", first), ("after half of them", middle), (f"after {requests:,}", last)):
        print(f"  resident {word:25}{kib['VmRSS'] / 1024:12.2f} MiB, {kib['RssAnon'] / 1024:.2f} MiB of it its own")
    verdict("start", "growth, own memory", (last["RssAnon"] - middle["RssAnon"]) / 1024, 1, True, " MiB")


IDLE_H2_KIB = 16  # nghttp2's session, its map of streams and two tables: docs/decisions/0031


def idle_cost(server, want, connect):
    """KiB of the server's own for each of so many connections that have had their answer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, want * 2 + 200)), hard))
    connect(server).close()
    before = server.memory_kib()["RssAnon"]
    socks = [connect(server) for _ in range(want)]
    after = server.memory_kib()["RssAnon"]
    for s in socks:
        s.close()
    return (after - before) / want


def h2_frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def h2_connect(server):
    """A connection with prior knowledge that has asked once; what a client says again it puts into the table."""

    def field(name, text):  # literal, to be kept, with a name of the static table
        return bytes([0x40 | name, len(text)]) + text

    block = (b"\x82\x86" + field(4, b"/health/live") + field(1, f"127.0.0.1:{server.port}".encode())
             + field(58, b"bench/1") + field(19, b"*/*"))
    s = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame(4, 0, 0) + h2_frame(1, 5, 1, block))
    data = b""
    while True:
        while len(data) < 9 or len(data) < 9 + int.from_bytes(data[:3], "big"):
            piece = s.recv(65536)
            if not piece:
                raise SystemExit("bench: the server closed a connection of HTTP/2")
            data += piece
        length = int.from_bytes(data[:3], "big")
        kind, flags, stream = data[3], data[4], int.from_bytes(data[5:9], "big")
        data = data[9 + length:]
        if kind == 4 and not flags & 1:
            s.sendall(h2_frame(4, 1, 0))
        if kind == 0 and stream == 1 and flags & 1:
            return s


def bench_idle_h2():
    want = 2000
    with purlin_server() as server:
        verdict("idle", f"one of HTTP/2, of {want:,}", idle_cost(server, want, h2_connect), IDLE_H2_KIB, True, " KiB")


def bench_idle():
    print("\nidle: 10,000 keep-alive connections, each after one request")
    want = 10_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = hard if hard != resource.RLIM_INFINITY else 1 << 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(room, max(soft, want * 2 + 200)), hard))
    want = min(want, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200) // 2)
    with purlin_server() as server:
        server.get("/health/live")
        before = server.memory_kib()["RssAnon"]
        socks = []
        request = f"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
        for _ in range(want):
            s = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            s.sendall(request)
            s.recv(4096)
            socks.append(s)
        after = server.memory_kib()["RssAnon"]
        for s in socks:
            s.close()
    verdict("idle", f"a connection, of {want:,}", (after - before) / want, 2, True, " KiB")
    bench_idle_h2()


def bench_tls():
    title("tls", "GET /health/live over TLS 1.3 (AES-128-GCM, X25519, ECDSA P-256), 64 connections")
    with purlin_tls_server() as purlin:
        _, answer = capture(purlin, "/health/live", "tls")
        with nginx_server(answer, secure=True) as nginx:
            results = interleave(options.rounds, {
                s.name: (lambda s=s: wrk(s, options.seconds, path="/health/live")) for s in (purlin, nginx)})
            shakes = interleave(options.rounds, {
                s.name: (lambda s=s: handshakes(s, options.seconds)) for s in (purlin, nginx)})
    keep("tls", {"requests": results, "handshakes": shakes})
    row("purlin", results["purlin"])
    row("nginx return 200", results["nginx"])
    row("purlin, full handshakes", shakes["purlin"])
    row("nginx, full handshakes", shakes["nginx"])
    verdict("tls", "CPU, purlin / nginx", results["purlin"]["cpu_us"] / results["nginx"]["cpu_us"], 1.05, True)
    # The load's half of a handshake costs more than the server's: the server's core is never full.
    verdict("tls", "handshakes/s of a core, to nginx", shakes["nginx"]["cpu_us"] / shakes["purlin"]["cpu_us"], 0.95,
            False)
    bench_tls_idle()


def bench_tls_idle():
    import ssl
    want = 2000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, want * 2 + 200)), hard))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with purlin_tls_server() as server:
        request = f"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1:{server.secure_port}\r\n\r\n".encode()

        def connect():
            s = context.wrap_socket(socket.create_connection(("127.0.0.1", server.secure_port), timeout=10))
            s.sendall(request)
            s.recv(4096)
            return s

        connect().close()
        before = server.memory_kib()["RssAnon"]
        socks = [connect() for _ in range(want)]
        after = server.memory_kib()["RssAnon"]
        for s in socks:
            s.close()
    verdict("tls", f"an idle connection, of {want:,}", (after - before) / want, 40, True, " KiB")


def bench_peers():
    files, _, authors = prepared()
    create = [files["row"], "/api/v1/posts", body_file(authors), 100]
    loads = {"row": ("get.lua", [files["row"]]), "list": ("get.lua", [files["list"]]), "create": ("mixed.lua", create)}
    with purlin_server(db=copy_of_db("peers-purlin")) as purlin, \
            fastify_server(copy_of_db("peers-fastify")) as fastify, \
            fastapi_server(copy_of_db("peers-fastapi")) as fastapi:
        for what, (script, args) in loads.items():
            title("peers " + what, "the same request to each, 64 connections")
            results = interleave(options.rounds, {
                s.name: (lambda s=s: wrk(s, options.seconds, script, args)) for s in (purlin, fastify, fastapi)})
            keep("peers", {what: results})
            row("purlin", results["purlin"])
            row("Fastify, better-sqlite3", results["fastify"])
            row("FastAPI, SQLAlchemy", results["fastapi"])


def prepared(cache={}):  # noqa: B006 - made once, on purpose
    if not cache:
        cache["it"] = data.write_paths(DB)
    return cache["it"]


def prepare():
    """The table as Purlin makes it, with the bench's rows; kept until the contract or the program's schema changes."""
    os.makedirs(WORK, exist_ok=True)
    empty = os.path.join(WORK, "empty.db")
    for ending in ("", "-wal", "-shm"):
        if os.path.exists(empty + ending):
            os.unlink(empty + ending)
    # Started once on nothing, it makes its tables and goes.
    with purlin_server("purlin-empty", empty):
        pass
    import sqlite3
    db = sqlite3.connect(empty)
    schema = "\n".join(r[0] for r in db.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"))
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    stamp = os.path.join(WORK, "posts.schema")
    want = f"{data.POSTS} posts\n{schema}"
    if os.path.exists(DB) and os.path.exists(stamp):
        with open(stamp, encoding="utf-8") as f:
            if f.read() == want:
                return
    print("bench: writing 100,000 posts", file=sys.stderr)
    copy = DB + ".new"
    shutil.copyfile(empty, copy)
    data.fill(copy)
    for ending in ("-wal", "-shm"):
        if os.path.exists(DB + ending):
            os.unlink(DB + ending)
    os.replace(copy, DB)
    with open(stamp, "w", encoding="utf-8") as f:
        f.write(want)


BENCHES = {name[6:]: f for name, f in list(globals().items()) if name.startswith("bench_") and name not in ("bench_read", "bench_tls_idle", "bench_idle_h2")}


def main():
    global options
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each run of load")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-counts", action="store_true", help="no callgrind, strace and allocation counts")
    parser.add_argument("--community", default=os.environ.get("COMMUNITY_DIR"), help="its *.jsonl files")
    parser.add_argument("--json", metavar="FILE", help="write every figure there too")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 2
    unknown = [n for n in options.names if n not in BENCHES]
    if unknown:
        parser.error(f"no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    if not os.path.exists(PURLIN):
        sys.exit("bench: build/release/purlin is missing; run script/build release")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("bench: two cores are needed, one for the server and one for the load")

    prepare()
    print(f"server on core {SERVER_CORE}, load on core {LOAD_CORE}; {options.rounds} interleaved rounds of "
          f"{options.seconds} s, medians; no access log anywhere")
    for name in options.names or BENCHES:
        BENCHES[name]()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as f:
            json.dump(figures, f, indent=2)
    print()
    if missed:
        print("missed:\n  " + "\n  ".join(missed))
        return 1
    print("every target met")
    return 0


if __name__ == "__main__":
    sys.exit(main())
