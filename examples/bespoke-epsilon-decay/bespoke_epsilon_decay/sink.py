"""A table of news as a sink: `table:/path/news.db`, in which what comes twice stands once."""

import json
import sqlite3
from contextlib import closing

from experiments.news import News
from experiments.news import Sink


def table(target: str) -> Sink:
    """Keep each news as a row, by its id."""

    def keep(news: News) -> None:
        with closing(sqlite3.connect(target)) as kept, kept:
            kept.execute("CREATE TABLE IF NOT EXISTS news (id TEXT PRIMARY KEY, type TEXT, experiment TEXT, data TEXT)")
            row = (news["id"], news["type"], news["subject"], json.dumps(news["data"]))
            kept.execute("INSERT OR IGNORE INTO news VALUES (?, ?, ?, ?)", row)

    return keep
