#!/usr/bin/env python3
"""script/bench [--rounds N] [--seconds N] [--quick] [--no-counts] [--json FILE] [NAME...]

Measure a release build beside what it is compared with, in one run, interleaved, and print medians. The server is
pinned to core 0, the load (wrk, 64 connections) to core 1. The load generator is often the slower of the two, so the
honest number is the server's CPU per request.

  health   GET /health/live beside nginx's `return 200` with the same body and headers
  edge     the same with every default standard and limits on: at most 1.1 x nginx with the same headers
  limits   instructions of a request without rate limits, with one and with three
  h2       the same over HTTP/2: 10 connections of 100 streams (h2load) beside nginx
  tls      https beside nginx with the same certificate and cipher: requests on kept connections, full handshakes,
           memory of an idle connection
  static   a file of 100 KiB beside nginx's sendfile
  compress a list by coding, and nginx's gzip of the same bytes
  clients  10,000 connections at 4,000 requests/s in all, an open loop, beside nginx
  idle     memory of 10,000 idle connections
  row      a post by id from 100,000, beside the floor: a bare epoll loop with the same bytes + the statement in C
  auth     the same with a bearer token beside without one; a login; reads beside 200 parallel logins
  list     twenty posts of an author, newest first, beside the same kind of floor
  create   durable creates beside bare group commit and Fastify with better-sqlite3
  mixed    nine reads to one create, beside reads alone
  scan     row reads while a filter scans all 100,000 posts
  import   the community of --community DIR (or COMMUNITY_DIR), validated and durable
  start    time to ready, resident memory after start and after a million requests
  peers    row, list and create of FastAPI with SQLAlchemy and Fastify with better-sqlite3

All of them unless named. --quick is one round of two seconds, for trying things out.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time

import data
import report
from contenders import (DB, PURLIN, capture, copy_of_db, counts, fastapi_server, fastify_server, nginx_server, prepared,
                        purlin_server)
from auth import bench_auth
from edge import (bench_clients, bench_compress, bench_edge, bench_h2, bench_idle, bench_limits, bench_static,
                  bench_tls)
from harness import LOAD_CORE, ROOT, SERVER_CORE, WORK, floor_http, floor_sqlite, interleave, wrk
from report import figures, keep, missed, row, title, verdict

BODY = {"author": None, "title": "A post of the bench, as durable as any", "body": "x" * 600}

# -- the benches -----------------------------------------------------------------------------------------

def bench_health():
    title("health", "GET /health/live, 64 connections")
    with purlin_server() as purlin:
        file, answer = capture(purlin, "/health/live", "health")
        with nginx_server(answer) as nginx, floor_http("floor-health", file) as floor:
            results = interleave(report.options.rounds, {
                s.name: (lambda s=s: wrk(s, report.options.seconds, path="/health/live")) for s in (purlin, nginx, floor)})
    keep("health", results)
    row("purlin", results["purlin"])
    row("nginx return 200", results["nginx"])
    row("bare epoll loop", results["floor-health"])
    verdict("health", "CPU, purlin / nginx", results["purlin"]["cpu_us"] / results["nginx"]["cpu_us"], 1.05, True)
    verdict("health", "requests/s, purlin / nginx", results["purlin"]["per_second"] / results["nginx"]["per_second"],
            0.95, False)
    counts("health", [("GET", "/health/live", None)], path="/health/live")


def bench_read(name, text, limit):
    title(name, text)
    files, paths, _ = prepared()
    with purlin_server() as purlin:
        file, _ = capture(purlin, paths[name][0], name)
        with floor_http("floor-" + name, file) as floor:
            statements = []

            def statement():
                statements.append(floor_sqlite(name, DB, max(1, report.options.seconds / 2)))
                return statements[-1]

            results = interleave(report.options.rounds, {
                "purlin": lambda: wrk(purlin, report.options.seconds, "get.lua", [files[name]]),
                "floor-http": lambda: wrk(floor, report.options.seconds, "get.lua", [files[name]]),
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
        results = interleave(report.options.rounds, {
            "purlin": lambda: wrk(purlin, report.options.seconds, "mixed.lua", args),
            "floor": lambda: floor_sqlite("create", floor_db, report.options.seconds),
            "fastify": lambda: wrk(fastify, report.options.seconds, "mixed.lua", args)})
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
    files, paths, authors = prepared()
    body = body_file(authors)
    floor_db = copy_of_db("mixed-floor")
    reads_args = ["get.lua", [files["row"]]]
    with purlin_server(db=copy_of_db("mixed")) as purlin:
        file, _ = capture(purlin, paths["row"][0], "mixed")
        with floor_http("floor-mixed", file) as floor:
            seconds = report.options.seconds
            short = max(1, seconds / 2)
            results = interleave(report.options.rounds, {
                "reads": lambda: wrk(purlin, seconds, *reads_args),
                "mixed": lambda: wrk(purlin, seconds, "mixed.lua", [files["row"], "/api/v1/posts", body, 10]),
                "floor-get": lambda: wrk(floor, seconds, *reads_args),
                "floor-post": lambda: wrk(floor, seconds, "mixed.lua", [files["row"], "/api/v1/posts", body, 100]),
                "floor-row": lambda: floor_sqlite("row", DB, short),
                "floor-create": lambda: floor_sqlite("create", floor_db, short)})
    keep("mixed", results)
    cpu = {name: result["cpu_us"] for name, result in results.items()}
    row("reads alone", results["reads"])
    row("mixed, both kinds", results["mixed"])
    reads = results["mixed"]["per_second"] * 0.9
    row("mixed, reads of it", {"per_second": reads})
    row("a create, with all it slows down", {"cpu_us": 10 * cpu["mixed"] - 9 * cpu["reads"]})
    bare_read = cpu["floor-get"] + cpu["floor-row"]
    bare_create = cpu["floor-post"] + cpu["floor-create"]
    row("bare epoll loop and statement, read", {"cpu_us": bare_read})
    row("the same, create", {"cpu_us": bare_create})
    # What the mix takes from reads is the price of a create in reads. A bare loop does not validate, give its writes
    # a thread, or undo one alone, and commits 64 at a time: nothing keeps more than it.
    print(f"  {'reads kept by the bare loops':34}{9 * bare_read / (9 * bare_read + bare_create):12.2f}")
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
                return wrk(purlin, report.options.seconds, "get.lua", [files["row"]])
            finally:
                ended.set()
                thread.join()

        results = interleave(report.options.rounds, {
            "alone": lambda: wrk(purlin, report.options.seconds, "get.lua", [files["row"]]), "scanned": with_scan})
    keep("scan", results)
    row("row reads alone", results["alone"])
    row("row reads beside the scan", results["scanned"])
    done = [s for status, s in scans if status == 200]
    if done:
        print(f"  {len(done)} scans, median {statistics.median(done) * 1e3:.0f} ms each")
    verdict("scan", "p99 beside the scan", results["scanned"]["p99_ms"], 10, True, " ms")


def bench_import():
    print("\nimport: a community of 20,833 rows, validated and durable")
    folder = report.options.community
    if not folder or not os.path.isdir(folder):
        print("  left out: name its folder with --community DIR or COMMUNITY_DIR")
        return
    times = []
    for _ in range(report.options.rounds):
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
    for _ in range(max(5, report.options.rounds)):
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
        goal = 1_000_000 if not report.options.quick else 100_000
        middle = None
        while requests < goal:
            requests += wrk(server, report.options.seconds, "get.lua", [files["row"]])["requests"]
            if middle is None and requests >= goal / 2:
                middle = server.memory_kib()
        last = server.memory_kib()
    for word, kib in (("after warming up", first), ("after half of them", middle), (f"after {requests:,}", last)):
        print(f"  resident {word:25}{kib['VmRSS'] / 1024:12.2f} MiB, {kib['RssAnon'] / 1024:.2f} MiB of it its own")
    verdict("start", "growth, own memory", (last["RssAnon"] - middle["RssAnon"]) / 1024, 1, True, " MiB")


def bench_peers():
    files, _, authors = prepared()
    create = [files["row"], "/api/v1/posts", body_file(authors), 100]
    loads = {"row": ("get.lua", [files["row"]]), "list": ("get.lua", [files["list"]]), "create": ("mixed.lua", create)}
    with purlin_server(db=copy_of_db("peers-purlin")) as purlin, \
            fastify_server(copy_of_db("peers-fastify")) as fastify, \
            fastapi_server(copy_of_db("peers-fastapi")) as fastapi:
        for what, (script, args) in loads.items():
            title("peers " + what, "the same request to each, 64 connections")
            results = interleave(report.options.rounds, {
                s.name: (lambda s=s: wrk(s, report.options.seconds, script, args)) for s in (purlin, fastify, fastapi)})
            keep("peers", {what: results})
            row("purlin", results["purlin"])
            row("Fastify, better-sqlite3", results["fastify"])
            row("FastAPI, SQLAlchemy", results["fastapi"])


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


BENCHES = {f.__name__.removeprefix("bench_"): f for f in (
    bench_health, bench_edge, bench_limits, bench_h2, bench_tls, bench_static, bench_compress, bench_clients, bench_idle,
    bench_row, bench_auth, bench_list, bench_create, bench_mixed, bench_scan, bench_import, bench_start, bench_peers)}


def main():
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each run of load")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-counts", action="store_true", help="no callgrind, strace and allocation counts")
    parser.add_argument("--community", default=os.environ.get("COMMUNITY_DIR"), help="its *.jsonl files")
    parser.add_argument("--json", metavar="FILE", help="write every figure there too")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    options = report.options = parser.parse_args()
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
