"""The heads: where each chain ends, kept apart from its rows."""

from typing import NamedTuple

from experiments.storage.connection import Connection

AUDIT_LOG = "audit log"
_LEDGER = "ledger of "


class Head(NamedTuple):
    """The newest row that a chain has ever had."""

    chain: str
    number: int
    hash: str


def ledger_name(experiment: str) -> str:
    """What the chain of an experiment's ledger is called."""
    return f"{_LEDGER}{experiment}"


def ledger_key(chain: str) -> str:
    """The experiment whose ledger a chain is."""
    return chain.removeprefix(_LEDGER)


class Heads:
    """One for each chain, moved in the transaction that appends."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def move(self, head: Head) -> None:
        """Say that a chain ends here from now on."""
        self._connection.execute(
            "INSERT INTO heads (chain, number, hash) VALUES (?, ?, ?)"
            " ON CONFLICT (chain) DO UPDATE SET number = excluded.number, hash = excluded.hash",
            head,
        )

    def all(self) -> list[Head]:
        """Every head, by the chain's name."""
        return [Head(*row) for row in self._connection.execute("SELECT chain, number, hash FROM heads ORDER BY chain")]
