"""Repetition: a request that is sent again takes effect once, and is answered as it was the first time."""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple
from typing import TypeVar

from experiments.errors import IdempotencyKeyReused
from experiments.errors import shown
from experiments.storage.replies import ReplyRow
from experiments.storage.session import Session
from experiments.storage.store import Store

T = TypeVar("T")

#: How long an answer is kept.
KEPT_SECONDS = 86_400


class Claim(NamedTuple):
    """A request that may come again: whose it is, its idempotency key, and the digest of all that it asks for."""

    actor: str
    key: str
    digest: bytes


class Reply(NamedTuple):
    """An answer; `is_repeated` where it is that of an earlier request."""

    status: int
    body: bytes
    location: str | None = None
    is_repeated: bool = False


class _Answered(Exception):
    """The request was answered while it was being worked on; it never leaves this module."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply


def once(
    store: Store, claim: Claim, *, work: Callable[[Store], T], reply: Callable[[Session, T], Reply], now_ms: int
) -> Reply:
    """Do what a request asks, unless it was done: then the answer of then.

    `work` is a use case with one write. Its answer is kept in the same transaction, so that effect and answer agree
    however a process ends. What is refused has no effect, is not kept, and may be tried again under the same key.

    :raises IdempotencyKeyReused: if the key came with another request before.
    """
    known = store.read(lambda session: _known(session, claim, now_ms=now_ms))
    if known is not None:
        return known
    keeping = _Keeping(store, claim, reply, now_ms=now_ms)
    try:
        work(keeping)
    except _Answered as answered:
        return answered.reply
    assert keeping.reply is not None, "a use case that is done once writes"
    return keeping.reply


def _known(session: Session, claim: Claim, *, now_ms: int) -> Reply | None:
    row = session.replies.get(claim.actor, claim.key, since_ms=now_ms - KEPT_SECONDS * 1000)
    if row is None:
        return None
    if row.digest != claim.digest:
        raise IdempotencyKeyReused(f"Idempotency-Key: {shown(claim.key)} came with another request before")
    return Reply(row.status, row.body, row.location, is_repeated=True)


class _Keeping:
    """A store that keeps, with what is written, what is answered."""

    def __init__(
        self, store: Store, claim: Claim, reply: Callable[[Session, Any], Reply], *, now_ms: int
    ) -> None:
        self.reply: Reply | None = None
        self.read = store.read
        self.partitions = store.partitions
        self.transact_together = store.transact_together
        self.exposures_of = store.exposures_of
        self.parts = store.parts
        self.part_of = store.part_of
        self.databases = store.databases
        self.changes = store.changes
        self.await_changes = store.await_changes
        self.close = store.close
        self._store = store
        self._claim = claim
        self._answer = reply
        self._now_ms = now_ms

    def transact(self, work: Callable[[Session], T]) -> T:
        """Run `work` and keep its answer in one write transaction."""

        def both(session: Session) -> tuple[T, Reply]:
            # Whoever came first has committed by now: there is one writer.
            if known := _known(session, self._claim, now_ms=self._now_ms):
                raise _Answered(known)
            result = work(session)
            return result, self._keep(session, self._answer(session, result))

        result, self.reply = self._store.transact(both)
        return result

    def _keep(self, session: Session, reply: Reply) -> Reply:
        session.replies.forget(before_ms=self._now_ms - KEPT_SECONDS * 1000)
        session.replies.keep(ReplyRow(*self._claim, reply.status, reply.location, reply.body, self._now_ms))
        return reply
