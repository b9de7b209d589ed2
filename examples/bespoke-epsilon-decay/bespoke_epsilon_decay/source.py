"""A shop's table of orders as a source: `sqlite:/path/shop.db`, whose orders are numbered in the order they come."""

import sqlite3
from contextlib import closing

from experiments.outcome_sources import Fetched
from experiments.outcome_sources import OutcomeSource

_ORDERS = "SELECT number, customer, revenue, at FROM orders WHERE number > ? ORDER BY number LIMIT 1000"


def orders(target: str) -> OutcomeSource:
    """Ask the table for orders that are newer than the last one asked for."""

    def newer(reached: str) -> Fetched:
        with closing(sqlite3.connect(f"file:{target}?mode=ro", uri=True)) as shop:
            rows = shop.execute(_ORDERS, (int(reached or 0),)).fetchall()
        events = [
            {"type": "track", "userId": customer, "event": "Order Completed", "messageId": f"order-{number}",
             "timestamp": at, "properties": {"revenue": revenue}}
            for number, customer, revenue, at in rows
        ]
        return Fetched(events, str(rows[-1][0]) if rows else reached)

    return newer
