"""The state of the simulator in one SQLite file, from which a stopped simulator continues."""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, object TEXT NOT NULL, created INTEGER NOT NULL,
    customer TEXT, parent TEXT, tag TEXT, clock TEXT, deleted INTEGER NOT NULL DEFAULT 0, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS objects_customer ON objects (customer, object);
CREATE INDEX IF NOT EXISTS objects_parent ON objects (parent, object);
CREATE INDEX IF NOT EXISTS objects_tag ON objects (object, tag);
CREATE INDEX IF NOT EXISTS objects_clock ON objects (clock);
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, subject TEXT NOT NULL, due INTEGER NOT NULL, clock TEXT,
    UNIQUE (kind, subject));
CREATE INDEX IF NOT EXISTS jobs_due ON jobs (clock, due);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, type TEXT NOT NULL, endpoint TEXT NOT NULL, due REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT 'pending', status INTEGER, error TEXT, sent REAL);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (state, due);
CREATE INDEX IF NOT EXISTS deliveries_event ON deliveries (event);
CREATE TABLE IF NOT EXISTS replays (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS findings (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, operation TEXT NOT NULL, messages TEXT NOT NULL, at REAL NOT NULL);
"""
TABLES = ("objects", "jobs", "deliveries", "replays", "settings", "findings")


class Store:
    """One connection behind one lock: the transaction of a request runs alone, so no further isolation is needed."""

    def __init__(self, folder: Path | None) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()
        self.db = sqlite3.connect(":memory:" if folder is None else folder / "stripe.sqlite3", check_same_thread=False)
        self.db.isolation_level = None
        self.db.row_factory = sqlite3.Row
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.executescript(SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self.lock:
            self.db.execute("BEGIN")
            try:
                yield
            except BaseException:
                self.db.execute("ROLLBACK")
                raise
            self.db.execute("COMMIT")

    def all(self, query: str, arguments: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self.lock:
            return self.db.execute(query, arguments).fetchall()

    def one(self, query: str, arguments: Sequence[Any] = ()) -> sqlite3.Row | None:
        with self.lock:
            row: sqlite3.Row | None = self.db.execute(query, arguments).fetchone()
            return row

    def run(self, query: str, arguments: Sequence[Any] = ()) -> int:
        with self.lock:
            return self.db.execute(query, arguments).rowcount

    def setting(self, name: str, default: Any = None) -> Any:
        row = self.one("SELECT value FROM settings WHERE name = ?", (name,))
        return default if row is None else json.loads(row["value"])

    def set(self, name: str, value: Any) -> None:
        self.run("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, json.dumps(value)))

    def next_number(self, name: str) -> int:
        number = int(self.setting(name, 0)) + 1
        self.set(name, number)
        return number

    def clear(self) -> None:
        with self.transaction():
            for table in TABLES:
                self.db.execute(f"DELETE FROM {table}")

    def save(self) -> bytes:
        """Return the state of a store in memory."""
        with self.lock:
            return self.db.serialize()

    def load(self, state: bytes) -> None:
        """Replace the state of a store in memory by one that `save` returned."""
        with self.lock:
            self.db.deserialize(state)

    def close(self) -> None:
        with self.lock:
            self.db.close()
