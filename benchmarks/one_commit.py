"""A small honest server of events, as one would begin it: Flask, one table, one commit for each request."""

import os
from threading import Lock
from typing import Any

from flask import Flask
from flask import request
from pysqlite3 import dbapi2 as sqlite3

TABLE = "CREATE TABLE events (id TEXT PRIMARY KEY, visitor TEXT NOT NULL, name TEXT NOT NULL, properties TEXT NOT NULL)"
INSERT = "INSERT INTO events VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"


def opened(path: str) -> Any:
    """A database whose commits are on disk, as ours are."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(TABLE)
    return connection


def create_app() -> Flask:
    """The server of the database that the environment names."""
    app = Flask(__name__)
    # Threads that wait for SQLite's own lock sleep for longer than a commit takes.
    connection, lock = opened(os.environ["EVENTS"]), Lock()

    @app.post("/v1/track")
    def track() -> dict[str, bool]:
        event = request.get_json()
        row = (event["messageId"], event["userId"], event["event"], app.json.dumps(event["properties"]))
        with lock:
            connection.execute(INSERT, row)
        return {"success": True}

    return app
