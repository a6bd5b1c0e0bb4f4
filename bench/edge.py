"""What the edge costs: headers, limits, HTTP/2, TLS, files, compression, and ten thousand clients."""
import json
import os
import resource
import socket
import ssl
import subprocess

import report
from contenders import capture, nginx_files, nginx_server, prepared, purlin_server, purlin_tls_server
from harness import LOAD_CORE, ROOT, WORK, h2load, handshakes, instructions, interleave, wrk
from report import keep, row, title, verdict

# A limit that is counted and never reached.
WIDE = "100000000/1s/ip"


def bench_edge():
    title("edge", "GET /health/live with every default standard on, 64 connections")
    # Limits on, with the wide policy of the other benches for what is not exempt.
    with purlin_server(env={"PURLIN_LIMITS": "on"}) as purlin:
        _, answer = capture(purlin, "/health/live", "edge")
        with nginx_server(answer) as nginx:
            results = interleave(report.options.rounds, {
                s.name: (lambda s=s: wrk(s, report.options.seconds, path="/health/live")) for s in (purlin, nginx)})
    keep("edge", results)
    row("purlin", results["purlin"])
    row("nginx return 200, the same headers", results["nginx"])
    verdict("edge", "CPU, purlin / nginx", results["purlin"]["cpu_us"] / results["nginx"]["cpu_us"], 1.1, True)
    verdict("edge", "requests/s, purlin / nginx", results["purlin"]["per_second"] / results["nginx"]["per_second"], 0.9,
            False)


def load_open(server, path, connections, rate, seconds):
    """An open loop of many connections; latency from the moment that each request was due."""
    before = server.cpu_seconds()
    out = subprocess.run(["taskset", "-c", LOAD_CORE, os.path.join(ROOT, "build/release/bench/load_open"),
                          str(server.port), path, str(connections), str(rate), str(seconds)],
                         capture_output=True, text=True, timeout=seconds + 120)
    cpu = server.cpu_seconds() - before
    if out.returncode != 0:
        raise SystemExit(f"bench: load_open against {server.name}: {out.stderr.strip()}")
    found = json.loads(out.stdout)
    return {**found, "per_second": found["requests"] / seconds, "cpu_us": cpu * 1e6 / max(1, found["requests"]),
            "bad": found["errors"]}


def room_for(files):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = files if hard == resource.RLIM_INFINITY else min(hard, files)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, want), hard))


def bench_clients():
    connections, rate = 10_000, 4_000
    title("clients", f"{connections:,} kept connections, {rate:,} requests/s in all, each from its due time")
    room_for(2 * connections + 200)
    seconds = max(5, 2 * report.options.seconds)
    with purlin_server(env={"PURLIN_LIMITS": "on", "PURLIN_LIMITS_CONNECTIONS_PER_ADDRESS": "0"}) as purlin:
        _, answer = capture(purlin, "/health/live", "clients")
        with nginx_server(answer) as nginx:
            results, memory = {}, {}
            runs = {s.name: [] for s in (purlin, nginx)}
            for _ in range(min(report.options.rounds, 3)):
                for server in (purlin, nginx):
                    runs[server.name].append(load_open(server, "/health/live", connections, rate, seconds))
                    memory[server.name] = server.memory_kib()
            results = {name: min(found, key=lambda f: f["p99_ms"]) for name, found in runs.items()}
            errors = sum(f["errors"] for f in runs["purlin"])
    keep("clients", {**results, "memory": memory})
    row("purlin", results["purlin"])
    row("nginx return 200", results["nginx"])
    for name in results:
        print(f"  {name:34}p99.9 {results[name]['p999_ms']:.2f} ms, slowest {results[name]['max_ms']:.2f} ms, resident "
              f"{memory[name]['VmRSS'] / 1024:.1f} MiB")
    verdict("clients", "errors of all runs", errors, 0, True)
    verdict("clients", "p99", results["purlin"]["p99_ms"], 5, True, " ms")
    verdict("clients", "resident", memory["purlin"]["VmRSS"] / 1024, 60, True, " MiB")


IDLE_H2_KIB = 16  # nghttp2's session, its map of streams and two tables: docs/decisions/0031


def idle_cost(server, want, connect):
    """KiB of the server's own for each of so many connections that have had their answer."""
    room_for(want * 2 + 200)
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


def h1_connect(server):
    s = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    s.sendall(f"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
    s.recv(4096)
    return s


def bench_idle():
    print("\nidle: 10,000 keep-alive connections, each after one request")
    for what, want, connect, limit in (("a connection", 10_000, h1_connect, 2),
                                       ("one of HTTP/2", 2_000, h2_connect, IDLE_H2_KIB)):
        with purlin_server() as server:
            verdict("idle", f"{what}, of {want:,}", idle_cost(server, want, connect), limit, True, " KiB")


def bench_static():
    title("static", "a file of 100 KiB, 64 connections")
    folder = os.path.join(WORK, "static")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "file.bin"), "wb") as f:
        f.write(os.urandom(100 * 1024))
    with purlin_server(env={"PURLIN_LIMITS": "on", "PURLIN_STATIC_FOLDER": folder, "PURLIN_STATIC_PATH": "/",
                            "PURLIN_RATE_REQUESTS": WIDE}) as purlin:
        _, answer = capture(purlin, "/file.bin", "static")
        with nginx_files(folder, answer) as nginx:
            results = interleave(report.options.rounds, {
                s.name: (lambda s=s: wrk(s, report.options.seconds, path="/file.bin")) for s in (purlin, nginx)})
    keep("static", results)
    row("purlin", results["purlin"])
    row("nginx, sendfile", results["nginx"])
    verdict("static", "requests/s of a core, to nginx's", results["nginx"]["cpu_us"] / results["purlin"]["cpu_us"], 0.9,
            False)
    verdict("static", "requests/s, purlin / nginx", results["purlin"]["per_second"] / results["nginx"]["per_second"], 0.9,
            False)


def bench_compress():
    """What a compressed list costs and saves, beside nginx compressing the same bytes at the same level."""
    title("compress", "a list of twenty posts by coding, 64 connections")
    files, paths, _ = prepared()
    path = paths["list"][0]
    with purlin_server(env={"PURLIN_RATE_REQUESTS": WIDE}) as purlin:
        _, answer = capture(purlin, path, "compress")
        folder = os.path.join(WORK, "lists")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "list.json"), "wb") as f:
            f.write(answer.partition(b"\r\n\r\n")[2])
        with nginx_files(folder, answer, "gzip on; gzip_types *; gzip_comp_level 5; gzip_min_length 100;") as nginx:
            runs, sizes = {}, {}
            for coding in ("identity", "gzip", "br", "zstd"):
                sizes[coding] = len(purlin.get(path, headers={"Accept-Encoding": coding})[1])
                runs[f"purlin, {coding}"] = lambda coding=coding: wrk(
                    purlin, report.options.seconds, path=path, headers={"Accept-Encoding": coding})
            for coding in ("identity", "gzip"):
                runs[f"nginx, {coding}"] = lambda coding=coding: wrk(
                    nginx, report.options.seconds, path="/list.json", headers={"Accept-Encoding": coding})
            sizes["nginx gzip"] = len(nginx.get("/list.json", headers={"Accept-Encoding": "gzip"})[1])
            results = interleave(report.options.rounds, runs)
    keep("compress", {**results, "sizes": sizes})
    for name, found in results.items():
        row(name, found)
    print("  bytes of a body: " + ", ".join(f"{name} {size:,}" for name, size in sizes.items()))
    ours = results["purlin, gzip"]["cpu_us"] - results["purlin, identity"]["cpu_us"]
    theirs = results["nginx, gzip"]["cpu_us"] - results["nginx, identity"]["cpu_us"]
    verdict("compress", "CPU of gzip, purlin / nginx", ours / theirs, 1.1, True)


def bench_limits():
    """What rate limits and the measure of overload cost a warm request from an address that is within its limits."""
    print("\nlimits: instructions of a warm request, without and with them")
    if report.options.no_counts:
        return
    _, paths, _ = prepared()
    contenders = {
        "off": {},
        "on": {"PURLIN_LIMITS": "on", "PURLIN_RATE_REQUESTS": WIDE},
        "on, three rules": {"PURLIN_LIMITS": "on", "PURLIN_RATE_REQUESTS": f"{WIDE}, {WIDE}, 100000000/1h/ip+route"},
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
            results = interleave(report.options.rounds, {
                s.name: (lambda s=s: h2load(s, ports[s], report.options.seconds, "/health/live")) for s in ports})
    keep("h2", results)
    row("purlin", results["purlin"])
    row("nginx return 200", results["nginx"])
    verdict("h2", "CPU, purlin / nginx", results["purlin"]["cpu_us"] / results["nginx"]["cpu_us"], 1.05, True)


def bench_tls():
    title("tls", "GET /health/live over TLS 1.3 (AES-128-GCM, X25519, ECDSA P-256), 64 connections")
    with purlin_tls_server() as purlin:
        _, answer = capture(purlin, "/health/live", "tls")
        with nginx_server(answer, secure=True) as nginx:
            results = interleave(report.options.rounds, {
                s.name: (lambda s=s: wrk(s, report.options.seconds, path="/health/live")) for s in (purlin, nginx)})
            shakes = interleave(report.options.rounds, {
                s.name: (lambda s=s: handshakes(s, report.options.seconds)) for s in (purlin, nginx)})
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
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def connect(server):
        s = context.wrap_socket(socket.create_connection(("127.0.0.1", server.secure_port), timeout=10))
        s.sendall(f"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1:{server.secure_port}\r\n\r\n".encode())
        s.recv(4096)
        return s

    want = 2000
    with purlin_tls_server() as server:
        verdict("tls", f"an idle connection, of {want:,}", idle_cost(server, want, connect), 40, True, " KiB")
