"""News: what becomes of experiments, handed to sinks in order, each at least once.

The ledger and the audit log are what is handed out: their rows are written in the transaction of the change itself, so
that nothing is told that did not happen, and nothing that happened goes untold, whatever is killed.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import TypedDict

import msgspec

from experiments.errands import run_errand
from experiments.ledger import ledger_json
from experiments.storage.audit import AuditRow
from experiments.storage.errands import ErrandRow
from experiments.storage.errands import Handed
from experiments.storage.heads import AUDIT_LOG
from experiments.storage.heads import Head
from experiments.storage.heads import ledger_key
from experiments.storage.ledger import LedgerRow
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.times import iso

#: What sinks are told of the audit log: acts on experiments, and nothing of people and keys.
_ACT = "experiment "
_ROWS_AT_ONCE = 100
# A sink may take ten seconds for each: a turn ends before another process would take it, and a server that is to end.
_MOST_AT_ONCE = 5


class News(TypedDict):
    """One thing that happened, as a CloudEvent (1.0); whoever gets an `id` twice has got the same thing."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    data: Mapping[str, Any]


#: Takes news; where it raises, the same comes again later.
Sink = Callable[[News], None]


def hand_out(store: Store, name: str, sink: Sink, *, now_ms: int) -> ErrandRow | None:
    """Hand a sink the news that it lacks; how it went, None where there was none. A new sink is told what comes."""

    def work(found: ErrandRow) -> ErrandRow:
        left = _MOST_AT_ONCE
        for chain in store.read(lambda session: session.handed.behind(name)):
            left -= _hand_out_chain(store, name, chain, sink, most=left)
        return found._replace(due_ms=now_ms, failures=0, fault="")

    if not store.read(lambda session: _may_lack(session, name)):
        return None
    return run_errand(store, name, work, now_ms=now_ms, enter=lambda session: session.handed.begin(name))


def _may_lack(session: Session, name: str) -> bool:
    return session.errands.get(name) is None or bool(session.handed.behind(name))


def _hand_out_chain(store: Store, name: str, chain: Handed, sink: Sink, *, most: int) -> int:
    """Hand out what follows in a chain, at most so many news; how many it were."""
    done = 0
    for head, news in store.read(lambda session: list(_rows(session, chain.chain, after=chain.number))):
        if news is not None:
            if done == most:
                return done
            sink(news)
            done += 1
        _move(store, name, head)
    return done


def _move(store: Store, name: str, head: Head) -> None:
    store.transact(lambda session: session.handed.move(name, head))


def _rows(session: Session, chain: str, *, after: int) -> Iterator[tuple[Head, News | None]]:
    if chain == AUDIT_LOG:
        for deed in session.audit.after(after, limit=_ROWS_AT_ONCE):
            yield Head(chain, deed.number, deed.hash), _of_deed(deed)
        return
    for row in session.ledger.after(ledger_key(chain), after, limit=_ROWS_AT_ONCE):
        yield Head(chain, row.number, row.hash), _of_decision(row)


def _of_deed(row: AuditRow) -> News | None:
    """An act on an experiment: what was done and why, but not by whom."""
    if not row.action.startswith(_ACT):
        return None
    act = row.action.removeprefix(_ACT)
    details = msgspec.json.decode(row.body)["details"]
    return _news(f"audit-{row.number}", f"experiment.{act}", row.subject, row.at_ms, {"act": act, **details})


def _of_decision(row: LedgerRow) -> News | None:
    """New weights; what the policy left is no news."""
    if row.kind != "published":
        return None
    found = ledger_json(row)
    told = ("epoch", "act", "reason", "weights", "previous", "hash")
    data = {name: value for name, value in found.items() if name in told}
    return _news(f"ledger-{row.experiment}-{row.number}", "allocation.published", row.experiment, row.at_ms, data)


def _news(number: str, kind: str, experiment: str, at_ms: int, data: Mapping[str, Any]) -> News:
    return {
        "specversion": "1.0",
        "id": number,
        "source": f"/experiments/{experiment}",
        "type": f"bespoke.{kind}",
        "subject": experiment,
        "time": iso(at_ms),
        "datacontenttype": "application/json",
        "data": {"experiment": experiment, **data},
    }
