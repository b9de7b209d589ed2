"""Changing the logs of an installation behind everybody's back."""

from typing import Any

TRIGGERS = ("audit_is_not_changed", "audit_is_not_shortened", "ledger_is_not_changed", "ledger_is_not_shortened")


def tamper(connection: Any, statement: str, *parameters: object) -> None:
    """Run a statement as somebody would who means to change a log: what keeps it append-only is taken away first."""
    for trigger in TRIGGERS:
        connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    connection.execute(statement, parameters)
