"""A house to live in: a store, a clock that tests move, and the use cases with everything filled in."""

from typing import Any

from experiments import lifecycle
from experiments.audit import Deed
from experiments.evaluation import Asking
from experiments.evaluation import Evaluation
from experiments.evaluation import evaluate
from experiments.events import Terms
from experiments.log.intake import Intake
from experiments.publishing import publish_act
from experiments.reallocation import reallocate
from experiments.receipts import Receipt
from experiments.recording import Sender
from experiments.recording import record
from experiments.reports import build_report
from experiments.signing import Succession
from experiments.signing import keyring
from experiments.snapshot import Snapshots
from experiments.storage.cells import CellRow
from experiments.storage.ledger import LedgerRow
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.times import iso

SECRET = Succession(b"a secret that only tests know, long enough")
SECRETS = keyring(SECRET.current)

DAY = 86_400_000
HOUR = 3_600_000
START = 20_000 * DAY + 12 * HOUR


def bar(store: Store, key: str, *, arm: str, metric: str, now_ms: int) -> None:
    """Do what the service does to an arm that breaks a guardrail."""

    def work(session: Session) -> LedgerRow:
        experiment = lifecycle.find(session, key).experiment
        return publish_act(session, experiment, "bar", deed=Deed("service", now_ms), news={"barred": {arm: metric}})

    store.transact(work)


class House:
    """One installation in a test; its events go by the log where it has one."""

    def __init__(self, store: Store, *, now_ms: int = START, log: Intake | None = None) -> None:
        self.store = store
        self.log = log
        self.snapshots = Snapshots(store)
        self.now_ms = now_ms
        self._made = 0

    def start(self, document: dict[str, Any]) -> str:
        """Create and start an experiment; its key."""
        lifecycle.create(self.store, document, deed=Deed("test", self.now_ms))
        self.act(document["key"], "start")
        return str(document["key"])

    def act(self, key: str, name: lifecycle.Act) -> None:
        """Start, pause, resume, stop or archive."""
        lifecycle.act(self.store, key, name, deed=Deed("test", self.now_ms))
        self.snapshots.refresh()

    def evaluate(self, key: str, visitor: object, *, objects: bool = False, **context: Any) -> Evaluation:
        """Evaluate as an OpenFeature client does."""
        return evaluate(
            self.store,
            self.snapshots.latest,
            key,
            context={"targetingKey": visitor, **context},
            asking=Asking(self.now_ms, "personalise", 90 * 86_400, objects),
            keyring=SECRETS,
        )

    def exposure(
        self, key: str, visitor: str, *, id: str | None = None, at: int | None = None, **context: Any
    ) -> dict[str, Any]:
        """The event of an exposure with the token that an evaluation now gives."""
        token = self.evaluate(key, visitor, **context).token
        return self.event(visitor, "Experiment Viewed", id=id, at=at, experiment_id=key, token=token)

    def event(
        self, visitor: str, name: str, *, id: str | None = None, at: int | None = None, **properties: Any
    ) -> dict[str, Any]:
        """An event as Segment's clients send it."""
        self._made += 1
        item = {"type": "track", "userId": visitor, "event": name, "properties": properties}
        item["messageId"] = id or f"message-{self._made}"
        return item if at is None else {**item, "timestamp": iso(at)}

    def record(
        self, *items: object, trusted: bool = False, sent_at: object = None, objects: bool = False
    ) -> list[Receipt]:
        """Record a batch."""
        return record(
            self.store,
            self.snapshots,
            items=items,
            sent_at=sent_at,
            sender=Sender(trusted, self.now_ms, objects),
            terms=Terms("personalise", 90 * 86_400),
            keyring=SECRETS,
            fresh_id=self._fresh_id,
            log=self.log,
        )

    def _fresh_id(self) -> bytes:
        self._made += 1
        return self._made.to_bytes(16, "big")

    def reallocate(self, key: str) -> LedgerRow:
        """Reallocate now."""
        row = reallocate(self.store, key, deed=Deed("test", self.now_ms))
        self.snapshots.refresh()
        return row

    def report(self, key: str, *, min_cell: int = 0) -> dict[str, Any]:
        """The report now."""
        return build_report(self.store, key, now_ms=self.now_ms, min_cell=min_cell)

    def cells(self, key: str) -> list[CellRow]:
        """All counters of an experiment."""
        return self.store.read(lambda session: session.cells.of(key))

    def total(self, key: str, metric: str, *, asserted: bool = False) -> tuple[int, int]:
        """Visitors and sum of a metric over all cells."""
        rows = [row for row in self.cells(key) if row.key.metric == metric and row.key.asserted == asserted]
        return sum(row.n for row in rows), sum(row.total for row in rows)
