"""The bench's rows: 100,000 posts by 2,000 authors, the same on every machine, written into the table as it is."""
import os
import random
import sqlite3
import uuid

from harness import WORK

POSTS, AUTHORS = 100_000, 2_000
START_US = 1_700_000_000_000_000
FALLBACK_SCHEMA = """
CREATE TABLE posts (
  id BLOB NOT NULL UNIQUE, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, version INTEGER NOT NULL,
  author BLOB NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL, visibility TEXT NOT NULL DEFAULT 'public',
  score INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX posts__by_author_created_at ON posts (author, created_at DESC, id DESC);
"""
WORDS = ("the a of to and in that it for on with as was at by this from or one had not but what all were when we "
         "there can an your which their said if do will each about how up out them then she many some so these "
         "would other into has more two like him see time could no make than first been its who now people").split()


def uuid7(ms, rng):
    bits = (ms << 80) | (7 << 76) | (rng.getrandbits(12) << 64) | (2 << 62) | rng.getrandbits(62)
    return uuid.UUID(int=bits)


def sentence(rng, length):
    text = ""
    while len(text) < length:
        text += rng.choice(WORDS) + " "
    return text[:length]


def fill(db_path):
    """Put the posts into an empty table of whatever columns the server made."""
    db = sqlite3.connect(db_path)
    columns = [row[1] for row in db.execute("PRAGMA table_info(posts)") if not (row[5] and row[2] == "INTEGER")]
    rng = random.Random(7)
    authors = [uuid7(START_US // 1000 - 1_000_000 + i, rng) for i in range(AUTHORS)]
    # Bodies differ in length and in text, but drawing each word of each body would take a minute.
    bodies = [sentence(rng, rng.randrange(400, 800)) for _ in range(500)]

    def rows():
        for i in range(POSTS):
            at = START_US + i * 1_000_000 + rng.randrange(1000)
            known = {
                "id": uuid7(at // 1000, rng).bytes, "author": rng.choice(authors).bytes, "created_at": at,
                "updated_at": at, "version": 1, "title": f"Post {i}: {sentence(rng, 30)}",
                "body": rng.choice(bodies), "score": rng.randrange(-5, 500),
                # A tenth is not for everyone.
                "visibility": "public" if i % 10 else rng.choice(("followers", "private")),
            }
            yield [known.get(c) for c in columns]

    with db:
        marks = ", ".join("?" * len(columns))
        db.executemany(f"INSERT INTO posts ({', '.join(columns)}) VALUES ({marks})", rows())
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def uuids(db_path, sql):
    db = sqlite3.connect(db_path)
    found = [str(uuid.UUID(bytes=row[0])) for row in db.execute(sql)]
    db.close()
    return found


def write_paths(db_path):
    """The files of paths that wrk asks for."""
    ids = uuids(db_path, "SELECT id FROM posts WHERE visibility = 'public'")
    authors = uuids(db_path, "SELECT DISTINCT author FROM posts")
    rng = random.Random(9)
    rng.shuffle(ids)
    paths = {
        "row": [f"/api/v1/posts/{i}" for i in ids],
        "list": [f"/api/v1/posts?author={a}&sort=-created_at&limit=20" for a in authors],
    }
    files = {}
    for name, lines in paths.items():
        files[name] = os.path.join(WORK, f"paths-{name}.txt")
        with open(files[name], "w", encoding="ascii") as f:
            f.write("\n".join(lines) + "\n")
    return files, paths, authors
