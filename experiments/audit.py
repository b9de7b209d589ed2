"""The audit log: who did what to the configuration and when, as canonical JSON chained by its hash.

A use case that changes the configuration is a function from a session to a `Change`, run by `configure`. One that went
past it, and past `tell`, would not be noticed by any server. People, whom servers look up each time, are changed and
let in by `perform`.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from typing import Generic
from typing import NamedTuple
from typing import TypeVar

import msgspec

from experiments.chains import canonical
from experiments.chains import chain_faults
from experiments.chains import digest
from experiments.chains import is_whole
from experiments.storage.audit import AuditRow
from experiments.storage.heads import AUDIT_LOG
from experiments.storage.heads import Head
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.times import iso

T = TypeVar("T")


class Deed(NamedTuple):
    """Who acts, when (ms since 1970, UTC), and why, where somebody says it.

    The actor is a key's prefix, a user's e-mail, `command line`, `scheduler` for the policy's slots, or `service` for
    what it does out of caution.
    """

    actor: str
    now_ms: int
    reason: str = ""


class Change(NamedTuple, Generic[T]):
    """What a deed came to: `action` in the words of the command line, `details` without secrets and visitors."""

    result: T
    action: str
    subject: str
    details: Mapping[str, Any] = MappingProxyType({})


def configure(store: Store, work: Callable[[Session], Change[T]], *, deed: Deed) -> T:
    """Change what servers work by, with its row in the audit log and word to every server, or nothing of it."""

    def all_of_it(session: Session) -> T:
        change = work(session)
        tell(session, change, deed=deed)
        return change.result

    return store.transact(all_of_it)


def tell(session: Session, change: Change[Any], *, deed: Deed) -> None:
    """Write a deed's row and give word to every server, in the transaction of the deed."""
    session.meta.bump_config_version(now_ms=deed.now_ms)
    log(session, change, deed=deed)


def perform(store: Store, work: Callable[[Session], Change[T]], *, deed: Deed) -> T:
    """Do something that servers look up when they need it, with its row in the audit log, or nothing of it."""

    def all_of_it(session: Session) -> T:
        change = work(session)
        log(session, change, deed=deed)
        return change.result

    return store.transact(all_of_it)


def log(session: Session, change: Change[Any], *, deed: Deed) -> None:
    """Write a deed's row, in the transaction of the deed."""
    session.audit.append(_row(session.audit.last(), change, deed))


def _row(last: AuditRow | None, change: Change[Any], deed: Deed) -> AuditRow:
    number = last.number + 1 if last else 1
    body = canonical({
        "number": number,
        "at_ms": deed.now_ms,
        "actor": deed.actor,
        "action": change.action,
        "subject": change.subject,
        "details": {**change.details, **({"reason": deed.reason} if deed.reason else {})},
        "previous_hash": last.hash if last else "",
    })
    return AuditRow(number, deed.now_ms, deed.actor, change.action, change.subject, body, digest(body))


class Selection(NamedTuple):
    """Which rows are asked for; None leaves a condition out, `before` is a row's number."""

    actor: str | None
    subject: str | None
    before: int | None
    limit: int


class Excerpt(NamedTuple):
    """Rows of the log, the newest first; `before` selects those that come next, None where there are none."""

    rows: list[dict[str, Any]]
    before: int | None


def audit_of(store: Store, selection: Selection) -> Excerpt:
    """The rows that are asked for."""
    # One more than is shown says whether there are more.
    more = selection._replace(limit=selection.limit + 1)
    rows = store.read(lambda session: session.audit.newest(**more._asdict()))
    shown = rows[: selection.limit]
    return Excerpt([audit_json(row) for row in shown], shown[-1].number if len(rows) > len(shown) else None)


def audit_json(row: AuditRow) -> dict[str, Any]:
    """A row for people and programs, the hashed body verbatim."""
    body = msgspec.json.decode(row.body)
    return {
        "number": row.number,
        "at": iso(row.at_ms),
        "actor": row.actor,
        "action": row.action,
        "subject": row.subject,
        "details": body["details"],
        "previous_hash": body["previous_hash"],
        "hash": row.hash,
        "body": row.body,
    }


def audit_faults(session: Session, *, head: Head | None) -> Iterator[str]:
    """Every place where the log has been changed, broken or cut off."""
    yield from chain_faults(session.audit.rows(), name=AUDIT_LOG, head=head)
    for row in session.audit.rows():
        if is_whole(row) and not _says_the_same(row, msgspec.json.decode(row.body)):
            yield f"{AUDIT_LOG}, row {row.number}: it shows something else than what was hashed"


def _says_the_same(row: AuditRow, body: Mapping[str, Any]) -> bool:
    return all(getattr(row, name) == body[name] for name in ("number", "at_ms", "actor", "action", "subject"))
