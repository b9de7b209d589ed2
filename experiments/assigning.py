"""Assign many visitors at once, each as if it were alone, and count their exposures where that is asked for."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from experiments.assignment import Assignment
from experiments.errors import InvalidContext
from experiments.errors import RejectedEvent
from experiments.errors import shown
from experiments.evaluation import Asking
from experiments.evaluation import Caller
from experiments.evaluation import Evaluation
from experiments.evaluation import assignment_of
from experiments.evaluation import exposures_of
from experiments.evaluation import live_entry
from experiments.evaluation import note
from experiments.evaluation import read_caller
from experiments.evaluation import token_of
from experiments.evaluation import written
from experiments.events import ExposureEvent
from experiments.events import checked_visitor
from experiments.events import exposure_by_assignment
from experiments.model import Exposure
from experiments.receipts import Receipt
from experiments.recording import apply
from experiments.signing import Keyring
from experiments.snapshot import Snapshots
from experiments.storage.session import Session
from experiments.storage.store import Store

_MEMBERS = ("id", "attributes", "consent", "token")
_NOT_COUNTED = Receipt("ignored")


class Order(NamedTuple):
    """What is asked for all visitors of a list; `call_id` tells an exposing call from another one."""

    experiment: str
    exposes: bool = False
    call_id: bytes | None = None


class Assigned(NamedTuple):
    """What one visitor gets, and what became of the exposure: None where none was asked for."""

    evaluation: Evaluation
    exposure: Receipt | None


class _Drawn(NamedTuple):
    """A visitor's arm before its message is written."""

    caller: Caller
    assignment: Assignment
    token: str | None


Drawn = _Drawn | InvalidContext


def assign(
    store: Store,
    snapshots: Snapshots,
    order: Order,
    *,
    visitors: Sequence[object],
    asking: Asking,
    keyring: Keyring,
) -> list[Assigned | InvalidContext]:
    """Assign visitors in one transaction; one answer for each, in order, errors among them.

    A visitor is an object with `id`, `attributes`, `consent` and `token`, of which only the first must be; an error in
    the place of a visitor stays where it is. With `order.exposes` each exposure is on disk when this returns.

    :raises UnknownExperiment: if there is none, or it was not started, or it is archived.
    """
    run = store.transact if order.exposes else store.read
    drawing, drawn, receipts = run(
        lambda session: _Drawing(session, snapshots, order, asking=asking, keyring=keyring).finished(visitors)
    )
    # Nobody has to wait for the messages: they are written after the commit.
    return [
        each if isinstance(each, InvalidContext) else Assigned(drawing.evaluation(each), receipt)
        for each, receipt in zip(drawn, receipts, strict=True)
    ]


class _Drawing:
    """A list of visitors in the drawing, in one session."""

    def __init__(
        self, session: Session, snapshots: Snapshots, order: Order, *, asking: Asking, keyring: Keyring
    ) -> None:
        self._session = session
        self._snapshots = snapshots
        self._order = order
        self._asking = asking
        self._keyring = keyring
        self._entry = live_entry(snapshots.within(session), order.experiment)

    def finished(self, visitors: Sequence[object]) -> tuple["_Drawing", list[Drawn], list[Receipt | None]]:
        """Each visitor drawn, and counted where that is asked for."""
        drawn = self._draw([self._read(visitor) for visitor in visitors])
        return self, drawn, self._expose(drawn) if self._order.exposes else [None] * len(drawn)

    def evaluation(self, drawn: _Drawn) -> Evaluation:
        """What a visitor gets, with the message."""
        return written(self._entry, drawn.caller, drawn.assignment, token=drawn.token)

    def _read(self, visitor: object) -> Caller | InvalidContext:
        if isinstance(visitor, InvalidContext):
            return visitor
        try:
            context = _context(visitor)
            caller = read_caller(
                self._entry.experiment, context["targetingKey"], context=context, asking=self._asking
            )
        except InvalidContext as error:
            return error
        note(context, caller.visitor, consent=caller.consent, asking=self._asking)
        return caller

    def _draw(self, callers: Sequence[Caller | InvalidContext]) -> list[Drawn]:
        known = exposures_of(
            self._session,
            self._order.experiment,
            (caller for caller in callers if isinstance(caller, Caller)),
            keyring=self._keyring,
        )
        return [
            caller if isinstance(caller, InvalidContext) else self._draw_one(caller, known) for caller in callers
        ]

    def _draw_one(self, caller: Caller, known: dict[str, Exposure]) -> _Drawn:
        exposed = known.get(caller.visitor)
        assignment = assignment_of(
            self._entry, caller, exposed=exposed, asking=self._asking, keyring=self._keyring
        )
        token = token_of(self._order.experiment, caller, assignment, asking=self._asking, keyring=self._keyring)
        if self._order.exposes and token is not None and exposed is None:
            # Whoever stands in the list twice is exposed the first time.
            known[caller.visitor] = Exposure(
                assignment.arm, assignment.segment, assignment.epoch, assignment.weight, self._asking.now_ms
            )
        return _Drawn(caller, assignment, token)

    def _expose(self, drawn: Sequence[Drawn]) -> list[Receipt | None]:
        """Count those who may be counted, by the one way in that events have."""
        event_by_index = {
            index: self._event(each.caller.visitor, each.token)
            for index, each in enumerate(drawn)
            if isinstance(each, _Drawn) and each.token is not None
        }
        receipts = apply(
            self._session, self._snapshots, events=event_by_index.values(), trusted=True, keyring=self._keyring
        )
        receipt_by_index = dict(zip(event_by_index, receipts, strict=True))
        return [receipt_by_index.get(index, _NOT_COUNTED) for index in range(len(drawn))]

    def _event(self, visitor: str, token: str) -> ExposureEvent:
        return exposure_by_assignment(
            visitor, self._order.experiment, token=token, call_id=self._order.call_id, now_ms=self._asking.now_ms
        )


def _context(visitor: object) -> Mapping[str, Any]:
    """A visitor of a list as an OpenFeature context, where consent and token stand among the attributes."""
    if not isinstance(visitor, dict):
        raise InvalidContext("INVALID_CONTEXT", f"a visitor must be an object, not {shown(visitor)}")
    for name in visitor:
        if name not in _MEMBERS:
            rule = f"is no member of a visitor; there are {', '.join(_MEMBERS)}"
            raise InvalidContext("INVALID_CONTEXT", f"{shown(name)} {rule}")
    attributes = visitor.get("attributes")
    if attributes is not None and not isinstance(attributes, dict):
        raise InvalidContext("INVALID_CONTEXT", f"attributes: {shown(attributes)} must be an object")
    said = {name: visitor[name] for name in ("consent", "token") if visitor.get(name) is not None}
    return {**(attributes or {}), **said, "targetingKey": _id(visitor)}


def _id(visitor: Mapping[str, Any]) -> str:
    try:
        return checked_visitor(visitor.get("id"), "id")
    except RejectedEvent as error:
        raise InvalidContext("INVALID_CONTEXT", str(error)) from error
