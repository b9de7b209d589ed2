"""Histories: all that may happen to an installation, step by step, done for real and held against the oracle."""

from collections import Counter
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any
from typing import NamedTuple

from experiments import lifecycle
from experiments.acts import do
from experiments.assigned_lists import Assigned
from experiments.assigning import Order
from experiments.assigning import assign
from experiments.audit import Deed
from experiments.errors import FrozenDocument
from experiments.errors import InvalidTransition
from experiments.errors import UnknownExperiment
from experiments.evaluation import Asking
from experiments.evaluation import evaluate
from experiments.events import Terms
from experiments.history.export import export_history
from experiments.history.record import ExportedHistory
from experiments.ledger import allocation_of
from experiments.privacy.erasure import Remembering
from experiments.privacy.erasure import erase
from experiments.privacy.opt_outs import opt_in
from experiments.privacy.opt_outs import opt_out
from experiments.reallocation import reallocate
from experiments.reallocation import reallocate_due
from experiments.receipts import Receipt
from experiments.signing import pseudonym
from experiments.storage.history_folder import HistoryFolder
from experiments.storage.history_folder import engine_of
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.times import iso
from experiments.verification import verify
from tests.experiments.documents import three_kinds
from tests.experiments.house import DAY
from tests.experiments.house import HOUR
from tests.experiments.house import House
from tests.experiments.house import SECRETS
from tests.experiments.house import START
from tests.experiments.oracle import BUILT_IN
from tests.experiments.oracle import Given
from tests.experiments.oracle import HORIZON_MS
from tests.experiments.oracle import Oracle
from tests.experiments.oracle import STEPS
from tests.experiments.oracle import Sheet
from tests.experiments.oracle import TOKEN_MS
from tests.experiments.oracle import View
from tests.experiments.oracle import milliseconds

_VISITORS = ("ann", "bob", "cem", "dan", "eve", "fay")
_EVENTS = ("Order Completed", "Order Completed", "Page Viewed", "Signed Up", "Never Heard Of")
_OFFSETS = (0, 0, 1000, HOUR, 5 * HOUR, DAY - 1000, DAY, 2 * DAY - 1000, 2 * DAY, 3 * DAY, 5 * DAY, -HOUR)
_CONSENTS = ("personalise", "personalise", "personalise", "personalise", "measure", "none")
#: Acts after which much can happen.
_CALM = ("start", "pause", "resume", "freeze", "unfreeze", "finish")
_LIMIT_MS = 30 * DAY
#: What runs when a history begins.
STARTED = ("letters", "offers")


class Node(House):
    """One process of the installation: it decides by what it has seen when it looked last."""

    def __init__(self, store: Store, *, made: int) -> None:
        super().__init__(store)
        # Ids that it makes are its own.
        self._made = made
        self.views: dict[str, View] = {}

    def look(self, sheets: dict[str, Sheet]) -> None:
        """See the newest of everything."""
        self.seen = self.snapshots.refresh()
        self.views = {key: View(sheet.state, len(sheet.weights)) for key, sheet in sheets.items()}


class Batch(NamedTuple):
    """What was sent once, and may be sent again."""

    items: list[dict[str, Any]]
    trusted: bool


class History:
    """An installation of a server and a command on one file, and the oracle beside it."""

    def __init__(self, serving: Store, beside: Store, *, say: Callable[[str], None] = lambda _: None) -> None:
        self._say = say
        self._nodes = [Node(serving, made=0), Node(beside, made=1 << 32)]
        self._store = serving
        self._oracle = Oracle()
        self._now_ms = START
        self._made = 0
        self._batches: list[Batch] = []
        self._ids: list[str] = []
        self._fixed: dict[tuple[str, bytes], tuple[Any, ...]] = {}
        for document in three_kinds():
            self._oracle.sheets[document["key"]] = Sheet({**document, "metrics": _with_windows(document["metrics"])})
        for key in STARTED:
            assert self._may(key, "start")
            self._learn(key)
        for node in self._nodes:
            node.look(self._oracle.sheets)

    def _deed(self) -> Deed:
        return Deed("test", self._now_ms)

    def _key(self, rng: Random) -> str:
        return rng.choice(list(self._oracle.sheets))

    def look(self, rng: Random) -> None:
        """A process sees what others have changed; until then it decides by what it knows."""
        rng.choice(self._nodes).look(self._oracle.sheets)

    def let_time_pass(self, rng: Random) -> None:
        """The clock goes on, or is set back by up to an hour."""
        passed_ms = rng.choice((1000, 60_000, HOUR, 6 * HOUR, DAY, 2 * DAY, -60_000, -HOUR))
        self._now_ms = min(max(self._now_ms + passed_ms, START), START + _LIMIT_MS)
        self._say(iso(self._now_ms))

    def evaluate(self, rng: Random) -> None:
        """A visitor comes, perhaps with a token of an earlier visit, or of somebody else's."""
        node, key, visitor = rng.choice(self._nodes), self._key(rng), rng.choice(_VISITORS)
        token = rng.choice(list(self._oracle.tokens)) if self._oracle.tokens and rng.random() < 0.5 else None
        self._visit(
            node, key, visitor, womens=rng.choice((True, False, None)), consent=rng.choice(_CONSENTS), token=token
        )

    def _visit(
        self, node: Node, key: str, visitor: str, *, womens: bool | None, consent: str, token: str | None
    ) -> None:
        view = node.views[key]
        expected = self._oracle.evaluate(
            view, key, visitor, womens=womens, consent=consent, token=token, now_ms=self._now_ms
        )
        context = {"targetingKey": visitor, "womens": womens, "consent": consent, "token": token}
        try:
            found = evaluate(
                node.store, node.seen, key, context={k: v for k, v in context.items() if v is not None},
                asking=Asking(self._now_ms, "personalise", TOKEN_MS // 1000), keyring=SECRETS,
            )
        except UnknownExperiment:
            assert expected is None, f"{key}: unknown, should give {visitor} {expected}"
            return
        given = Given(*found.assignment)
        assert given == expected, f"{key} gave {visitor} {given}, should give {expected}"
        assert (found.token is not None) == (given.cause in ("allocated", "sticky"))
        if found.token:
            self._oracle.issue(found.token, visitor, key, given, now_ms=self._now_ms)

    def assign(self, rng: Random) -> None:
        """A list of visitors is assigned, some of them standing in it twice; perhaps it exposes them, perhaps again."""
        node, key, exposes = rng.choice(self._nodes), self._key(rng), rng.random() < 0.7
        call, sheet = f"call {rng.randint(1, 3)}", self._oracle.sheets[key]
        rows = [(rng.choice(_VISITORS), rng.random() < 0.5, rng.choice(_CONSENTS)) for _ in range(rng.randint(1, 6))]
        visitors = [
            {"id": visitor, "attributes": {"womens": womens}, "consent": consent} for visitor, womens, consent in rows
        ]
        asking = Asking(self._now_ms, "personalise", TOKEN_MS // 1000)
        order = Order(key, exposes, call.encode())
        try:
            answers = assign(
                node.store, node.snapshots, order, visitors=visitors, asking=asking, keyring=SECRETS
            ).each()
        except UnknownExperiment:
            assert not sheet.is_live, f"{key}: unknown to a list"
            return
        view, listed = View(sheet.state, len(sheet.weights)), dict[str, str]()
        for (visitor, womens, consent), answer in zip(rows, answers, strict=True):
            assert isinstance(answer, Assigned), f"{key}: {answer}"
            expected = self._oracle.evaluate(
                view, key, visitor, womens=womens, consent=consent, token=listed.get(visitor), now_ms=self._now_ms
            )
            given = Given(*answer.evaluation.assignment)
            assert given == expected, f"a list of {key} gave {visitor} {given}, should give {expected}"
            if answer.exposure is not None:
                should = self._oracle.expose(key, visitor, given, call=f"{call} of {key}", now_ms=self._now_ms)
                assert _fate(answer.exposure) == should, f"a list of {key}: {visitor} is {answer.exposure}"
                if should[1] == "erased" and visitor not in listed:
                    # Not exposed, and all the same given one arm throughout the list.
                    listed[visitor] = f"list of {visitor}"
                    self._oracle.issue(listed[visitor], visitor, key, given, now_ms=self._now_ms)
        for text in listed.values():
            del self._oracle.tokens[text]

    def send(self, rng: Random) -> None:
        """Events come in a batch of any size, in any order, some of them seen before."""
        items = [self._item(rng) for _ in range(rng.randint(1, 8))]
        if self._batches and rng.random() < 0.3:
            items += rng.choice(self._batches).items[:3]
        rng.shuffle(items)
        batch = Batch(items, rng.random() < 0.5)
        self._batches.append(batch)
        self._tell(rng.choice(self._nodes), batch)

    def erase(self, rng: Random) -> None:
        """A visitor, known or not, is erased, and every process sees it."""
        node, visitor = rng.choice(self._nodes), rng.choice(_VISITORS)
        self._say(f"{visitor} is erased")
        remembering = Remembering(Terms("personalise", HORIZON_MS // 1000), TOKEN_MS // 1000, 0)
        erase(node.store, visitor, keyring=SECRETS, remembering=remembering, deed=self._deed())
        self._oracle.erase(visitor, now_ms=self._now_ms)
        for each in self._nodes:
            each.look(self._oracle.sheets)
            each.store.forget_exposures()
        assert not self._store.read(lambda session: rows_of(session, _stand_in(visitor))), f"{visitor} is still there"

    def object(self, rng: Random) -> None:
        """A visitor, known or not, objects or takes that back, and every process sees it."""
        node, visitor, objects = rng.choice(self._nodes), rng.choice(_VISITORS), rng.random() < 0.6
        self._say(f"{visitor} {'objects' if objects else 'objects no longer'}")
        change = opt_out if objects else opt_in
        change(node.store, node.snapshots, [visitor], keyring=SECRETS, now_ms=self._now_ms)
        self._oracle.object(visitor, objects=objects)
        for each in self._nodes:
            each.look(self._oracle.sheets)

    def retry(self, rng: Random) -> None:
        """A client that had no answer sends its batch again."""
        if self._batches:
            self._tell(rng.choice(self._nodes), rng.choice(self._batches))

    def _tell(self, node: Node, batch: Batch) -> None:
        expected = [self._fate(item, batch.trusted) for item in batch.items]
        node.now_ms = self._now_ms
        found = [_fate(receipt) for receipt in node.record(*batch.items, trusted=batch.trusted)]
        for item, one, other in zip(batch.items, found, expected, strict=True):
            assert one == other, f"{item} is {one}, should be {other}"

    def _fate(self, item: dict[str, Any], trusted: bool) -> tuple[str, str | None]:
        given_ms = item["at_ms"] if item.get("timestamp") else self._now_ms
        return self._oracle.record(item, at_ms=min(given_ms, self._now_ms), now_ms=self._now_ms, trusted=trusted)

    def send_at_once(self, rng: Random) -> None:
        """The same event, perhaps with another body under its id, comes from many at once: one is the first."""
        item, trusted = self._item(rng), rng.random() < 0.7
        items = [item] * 3
        if item.get("messageId"):
            items += [{**item, "properties": {**item["properties"], "again": True}}] * 2
        for node in self._nodes:
            node.now_ms = self._now_ms
        with ThreadPoolExecutor(len(items)) as threads:
            tellings = [
                threads.submit(self._nodes[number % 2].record, each, trusted=trusted)
                for number, each in enumerate(items)
            ]
        told = [(each, _fate(telling.result()[0])) for each, telling in zip(items, tellings, strict=True)]
        # Whoever was not told of an earlier one was it.
        told.sort(key=lambda pair: pair[1][0] == "duplicate" or pair[1][1] == "id_reused")
        for each, fate in told:
            should = self._fate(each, trusted)
            assert fate == should, f"at once: {each} is {fate}, should be {should}"

    def _item(self, rng: Random) -> dict[str, Any]:
        visitor, at_ms = rng.choice(_VISITORS), self._now_ms - rng.choice(_OFFSETS)
        item: dict[str, Any] = {
            "type": "track", "userId": visitor, "event": rng.choice(_EVENTS), "at_ms": at_ms,
            "properties": {"revenue": rng.choice((0, 1, 9.99, 30, 60))},
            "context": {"consent": rng.choice(_CONSENTS)},
            "messageId": self._id(rng),
        }
        if rng.random() < 0.5:
            self._make_exposure(rng, item)
        if rng.random() < 0.03:
            item["type"] = "identify"
        if rng.random() < 0.02:
            item["at_ms"] = self._now_ms - 91 * DAY
        if rng.random() < 0.7:
            item["timestamp"] = iso(item["at_ms"])
        return item

    def _id(self, rng: Random) -> str | None:
        if rng.random() < 0.1:
            return None
        if self._ids and rng.random() < 0.15:
            return rng.choice(self._ids)
        self._made += 1
        self._ids.append(f"m{self._made}")
        return self._ids[-1]

    def _make_exposure(self, rng: Random, item: dict[str, Any]) -> None:
        item["event"], key = "Experiment Viewed", self._key(rng)
        sheet = self._oracle.sheets[key]
        if rng.random() < 0.6 and self._oracle.tokens:
            text, token = rng.choice(list(self._oracle.tokens.items()))
            is_stolen = rng.random() < 0.1
            item["userId"] = item["userId"] if is_stolen else token.visitor
            item["properties"] = {"experiment_id": token.experiment, "token": text}
            return
        epoch = f"@{rng.randint(1, len(sheet.weights) + 1)}" if rng.random() < 0.5 else ""
        arm = rng.choice([*sheet.arms(), "no-arm"])
        item["properties"] = {"experiment_id": key + epoch, "variation_id": arm}
        if "womens" in sheet.document.get("attributes", ()) and rng.random() < 0.5:
            item["context"]["traits"] = {"womens": rng.random() < 0.5}

    def act(self, rng: Random) -> None:
        """Somebody starts, pauses, resumes, freezes, unfreezes, finishes, stops or archives, allowed or not."""
        acts = (*_CALM, "stop", "archive") if rng.random() < 0.2 else _CALM
        self._act(rng.choice(self._nodes), self._key(rng), rng.choice(acts))

    def _act(self, node: Node, key: str, name: Any) -> None:
        self._say(f"{key}: {name}")
        may = self._may(key, name)
        try:
            do(node.store, key, name, deed=self._deed())
        except InvalidTransition:
            assert not may, f"{key}: {name} was refused"
            return
        assert may, f"{key}: {name} should have been refused"
        self._learn(key)

    def _may(self, key: str, name: str) -> bool:
        """Whether an act is allowed; if so, what it changes."""
        sheet = self._oracle.sheets[key]
        if name in ("freeze", "unfreeze", "finish"):
            if sheet.state not in ("running", "paused") or sheet.frozen == (name == "freeze") and name != "finish":
                return False
            sheet.frozen = name != "unfreeze"
            return True
        if (sheet.state, name) not in STEPS:
            return False
        sheet.state = STEPS[sheet.state, name]
        if name == "start":
            sheet.started_ms = self._now_ms
        return True

    def amend(self, rng: Random) -> None:
        """Somebody adds an arm, or changes the shares, whatever state the experiment is in."""
        key = rng.choice(("letters", "offers"))
        sheet, is_new = self._oracle.sheets[key], rng.random() < 0.3
        arms = [*sheet.document["arms"]]
        if is_new and len(arms) < 5:
            arms.append({"key": f"arm-{len(arms)}", "role": "mass"})
        policy = dict(sheet.document["policy"])
        if key == "offers":
            first = rng.choice((0.1, 0.3, 0.5, 0.7))
            rest = (1 - first) / (len(arms) - 1)
            policy["shares"] = {arm["key"]: first if index == 0 else rest for index, arm in enumerate(arms)}
        self._amend(rng.choice(self._nodes), key, {**sheet.document, "arms": arms, "policy": policy})

    def _amend(self, node: Node, key: str, document: dict[str, Any]) -> None:
        sheet = self._oracle.sheets[key]
        grows = len(document["arms"]) > len(sheet.arms())
        may = sheet.state in ("running", "paused") and not (grows and sheet.frozen)
        try:
            lifecycle.replace(node.store, key, document, deed=self._deed())
        except FrozenDocument:
            assert not may, f"{key}: the change was refused"
            return
        assert may, f"{key}: the change should have been refused"
        sheet.document = document
        self._learn(key)

    def reallocate(self, rng: Random) -> None:
        """Somebody asks for a reallocation."""
        node, key = rng.choice(self._nodes), self._key(rng)
        sheet = self._oracle.sheets[key]
        may = sheet.state == "running" and not sheet.frozen
        try:
            reallocate(node.store, key, deed=self._deed())
        except InvalidTransition:
            assert not may, f"{key}: reallocation was refused"
            return
        assert may, f"{key}: reallocation should have been refused"
        self._learn(key)

    def schedule(self, rng: Random) -> None:
        """One scheduler, or two at once, do the slots that have come."""
        schedulers = self._nodes if rng.random() < 0.5 else [rng.choice(self._nodes)]
        with ThreadPoolExecutor(2) as threads:
            looks = [threads.submit(reallocate_due, node.store, now_ms=self._now_ms) for node in schedulers]
        done = Counter(row.experiment for look in looks for row in look.result())
        assert done == Counter(self._due()), f"slots done: {done}"
        for key in done:
            self._learn(key)

    def _due(self) -> Iterator[str]:
        for key, sheet in self._oracle.sheets.items():
            slot = (self._now_ms - sheet.started_ms) // milliseconds(sheet.document["policy"]["every"])
            if sheet.state == "running" and not sheet.frozen and slot > sheet.slot:
                sheet.slot = slot
                yield key

    def _learn(self, key: str) -> None:
        """Take in the ledger's weights: epochs are dense, none that was published changes."""
        rows = self._store.read(lambda session: session.ledger.published(key))
        weights = [dict(allocation_of(row).weights) for row in rows]
        sheet = self._oracle.sheets[key]
        assert [row.epoch for row in rows] == list(range(1, len(rows) + 1)), f"{key}: epochs have gaps"
        assert weights[: len(sheet.weights)] == sheet.weights, f"{key}: an epoch has changed"
        assert len(weights) <= len(sheet.weights) + 1, f"{key}: one deed made several epochs"
        assert all(sum(arms.values()) == 10_000 and min(arms.values()) > 0 for arms in weights[-1].values())
        sheet.weights = weights

    def check(self) -> None:
        """Everything that must hold after every step."""
        self._store.read(self._check)

    def _check(self, session: Session) -> None:
        events = [event for _, event in session.events.in_order()]
        stored = {(event.visitor, event.at_ms, event.received_ms) for event in events}
        should = {(_stand_in(visitor), event.at_ms, event.received_ms)
                  for (visitor, _), event in self._oracle.stored.items()}
        assert stored == should, f"stored {stored - should}, not stored {should - stored}"
        assert len(events) == len(self._oracle.stored), "an event is stored twice"
        for key, sheet in self._oracle.sheets.items():
            self._check_experiment(session, key, sheet)

    def _check_experiment(self, session: Session, key: str, sheet: Sheet) -> None:
        counted = {
            row.key[1:7]: (row.n, row.total, row.total_squares)
            for row in session.cells.of(key)
            if row.key.metric in BUILT_IN or not row.key.metric.startswith("$")
        }
        should = self._oracle.cells(key)
        wrong = {place for place in counted.keys() | should if counted.get(place) != should.get(place)}
        assert not wrong, f"{key}: " + "; ".join(
            f"{place}: {counted.get(place)}, should be {should.get(place)}" for place in sorted(wrong)
        )
        waiting = session.waiting.counts(key, now_ms=self._now_ms)
        assert waiting == self._oracle.waiting(key, now_ms=self._now_ms), f"{key}: waiting, orphans: {waiting}"
        self._check_exposures(session, key, sheet)

    def _check_exposures(self, session: Session, key: str, sheet: Sheet) -> None:
        rows = {visitor: tuple(row[:6]) for visitor, row in session.exposures.all(key)}
        firsts = {_stand_in(visitor): tuple(first) for visitor, first in self._oracle.firsts(key).items()}
        assert rows == firsts, f"{key}: exposures {rows}, should be {firsts}"
        for visitor, row in rows.items():
            assert self._fixed.setdefault((key, visitor), row) == row, f"{key}: a visitor's arm has changed"
            arm, segment, epoch, weight, _, _ = row
            assert sheet.weights[epoch - 1][segment].get(arm, 0) == weight, f"{key}: a propensity is not its epoch's"

    def export(self, folder: Path) -> None:
        """What has been exported comes to what is counted, to the last bit."""
        for key in STARTED:
            place = HistoryFolder(folder, key)
            export_history(self._store, key, place, keyring=SECRETS, now_ms=self._now_ms)
            exported = ExportedHistory(place, engine_of("duckdb"))
            found = exported.recounted(self._store)
            counted = exported.counted()
            wrong = {cell for cell in found.keys() | counted.keys() if found.get(cell) != counted.get(cell)}
            assert not wrong, f"{key}: {[(cell, found.get(cell), counted.get(cell)) for cell in sorted(wrong)]}"

    def end(self) -> None:
        """All is quiet: the recount agrees, and every process sees the same."""
        faults = verify(self._store)
        assert not faults, f"the recount finds {faults}"
        seen = [node.snapshots.refresh() for node in self._nodes]
        one, other = (
            {key: (entry.stored, entry.plan and entry.plan.allocation) for key, entry in snapshot.entries.items()}
            for snapshot in seen
        )
        assert one == other, "two processes see different experiments"


#: What may happen, and how often it does beside the rest.
WHAT: dict[str, tuple[Callable[[History, Random], None], int]] = {
    "evaluate": (History.evaluate, 10),
    "send": (History.send, 10),
    "assign": (History.assign, 2),
    "retry": (History.retry, 3),
    "erase": (History.erase, 1),
    "object": (History.object, 1),
    "send at once": (History.send_at_once, 1),
    "let time pass": (History.let_time_pass, 5),
    "look": (History.look, 3),
    "act": (History.act, 2),
    "amend": (History.amend, 2),
    "reallocate": (History.reallocate, 1),
    "schedule": (History.schedule, 2),
}


def _with_windows(metrics: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"window": "14d", **metric} for metric in metrics]


def rows_of(session: Session, stand_in: bytes) -> list[str]:
    """The tables that have a row of a visitor."""
    return [
        table
        for table in ("events", "exposures", "totals", "waiting")
        if session.connection.execute(f"SELECT 1 FROM {table} WHERE visitor = ? LIMIT 1", (stand_in,)).fetchone()
    ]


def _stand_in(visitor: str) -> bytes:
    return pseudonym(visitor, key=SECRETS.visitors)


def _fate(receipt: Receipt) -> tuple[str, str | None]:
    return receipt.status, receipt.code
