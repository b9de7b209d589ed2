"""Assign many visitors at once, each as if it were alone, and count their exposures where that is asked for."""

from collections import Counter
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple
from typing import TypeVar

import numpy as np

from experiments import tokens
from experiments.assigned_lists import Answers
from experiments.assignment import Assignment
from experiments.assignment import Plan
from experiments.codes import Codes
from experiments.codes import coded
from experiments.codes import gathered
from experiments.deciding import Decisions
from experiments.deciding import decide_all
from experiments.deciding import keep
from experiments.errors import Capped
from experiments.evaluation import Asking
from experiments.evaluation import claim_of
from experiments.evaluation import live_entry
from experiments.evaluation import may_be_counted
from experiments.evaluation import note
from experiments.evaluation import promised
from experiments.events import ExposureEvent
from experiments.events import assignment_id
from experiments.events import exposure_by_assignment
from experiments.frequency.caps import Cap
from experiments.frequency.reached import CAPPED
from experiments.frequency.reached import Caps
from experiments.log.intake import Intake
from experiments.model import Exposure
from experiments.receipts import Receipt
from experiments.recording import apply
from experiments.recording import check_here
from experiments.signing import Keyring
from experiments.signing import pseudonyms
from experiments.snapshot import Snapshots
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.visitor_lists import VisitorList
from experiments.visitor_lists import read_list

_NOT_COUNTED = Receipt("ignored")


T = TypeVar("T")


class Order(NamedTuple):
    """What is asked for all visitors of a list; `call_id` tells an exposing call from another one.

    `cap` is that over all experiments.
    """

    experiment: str
    exposes: bool = False
    call_id: bytes | None = None
    cap: Cap | None = None


def assign(
    store: Store,
    snapshots: Snapshots,
    order: Order,
    *,
    visitors: Sequence[object],
    asking: Asking,
    keyring: Keyring,
    log: Intake | None = None,
) -> Answers:
    """Assign visitors in one transaction, or by the log where there is one, as `read_list` takes them.

    With `order.exposes` each exposure is on disk when this returns.

    :raises UnknownExperiment: if there is none, or it was not started, or it is archived.
    """
    def answered(session: Session) -> Answers:
        return _Assigning(session, snapshots, order, asking=asking, keyring=keyring, log=log).answers(visitors)

    if order.exposes and not log:
        answers = store.transact_together(
            lambda session, lists: [answered(session) for _ in lists], visitors, visitors=len(visitors)
        )
    else:
        answers = store.read(answered)
        _count_capped(store, order, answers)
    _note(answers.listed, asking=asking)
    return answers


def _count_capped(store: Store, order: Order, answers: Answers) -> None:
    """Count those whom caps have left out, where that could not be done while they were assigned."""
    capped = sum(isinstance(fault, Capped) for fault in answers.listed.faults.values())
    if capped:
        store.transact_together(_add_capped, (order.experiment, capped))


def _add_capped(session: Session, counts: Sequence[tuple[str, int]]) -> Sequence[None]:
    session.counters.add(((experiment, CAPPED), number) for experiment, number in counts)
    return [None] * len(counts)


def _note(listed: VisitorList, *, asking: Asking) -> None:
    """Remember what visitors brought along who consent to that, spread over the list: it may be sorted."""
    room = asking.recent.room(asking.now_ms) if asking.recent else 0
    if room <= 0:
        return
    for index in range(0, len(listed.visitors), 1 + len(listed.visitors) // room):
        if index not in listed.faults:
            note(listed.attributes[index], listed.visitors[index], consent=listed.consents[index], asking=asking)


class _Assigning:
    """A list of visitors being assigned, in one session."""

    def __init__(
        self,
        session: Session,
        snapshots: Snapshots,
        order: Order,
        *,
        asking: Asking,
        keyring: Keyring,
        log: Intake | None,
    ) -> None:
        self._session = session
        self._snapshots = snapshots
        self._order = order
        self._asking = asking
        self._keyring = keyring
        self._log = log
        self._snapshot = snapshots.within(session) if log else check_here(snapshots.within(session))
        self._entry = live_entry(self._snapshot, order.experiment)

    def answers(self, visitors: Sequence[object]) -> Answers:
        """What everybody gets, counted where that is asked for."""
        assert self._entry.plan is not None, "only experiments that were started are evaluated"
        listed = read_list(self._entry.experiment, visitors, asking=self._asking, objects=self._objecting)
        if self._order.exposes:
            if not self._log:
                self._session.hold(self._stand_ins(listed))
            listed = self._without_capped(listed)
        exposed = self._exposed(listed)
        claims = self._promised(listed, exposed)
        decisions = self._decide(self._entry.plan, listed, exposed, claims)
        contexts = self._contexts(self._entry.plan, listed, exposed, claims)
        issued = self._tokens(listed, decisions, contexts)
        receipts = self._expose(listed, issued) if self._order.exposes else [None] * len(issued)
        return Answers(self._entry.plan, listed, decisions, issued, receipts)

    def _objecting(self, ids: Sequence[str]) -> list[int]:
        """The places of those who have opted out."""
        opted_out = self._snapshot.opted_out.visitors
        if not opted_out:
            return []
        stand_ins = pseudonyms(ids, key=self._keyring.visitors)
        return [place for place, stand_in in enumerate(stand_ins) if stand_in in opted_out]

    def _without_capped(self, listed: VisitorList) -> VisitorList:
        """Leave out who has been exposed as often as caps allow, before anybody's arm is known."""
        caps = Caps(self._entry.experiment, self._order.cap)
        asked = [index for index, consent in enumerate(listed.consents) if consent != "none"] if caps else []
        if not asked:
            return listed
        own = assignment_id(self._order.experiment, call_id=self._order.call_id)
        stand_ins = pseudonyms((listed.visitors[index] for index in asked), key=self._keyring.visitors)
        reached = self._asked(
            set(stand_ins), lambda session, some: caps.reached(session, some, own=own, now_ms=self._asking.now_ms)
        )
        capped = dict(chain.from_iterable(found.items() for found in reached))
        faults = {
            index: Capped(capped[stand_in]) for index, stand_in in zip(asked, stand_ins, strict=True)
            if stand_in in capped
        }
        if faults and not self._log:
            self._session.counters.add([((self._order.experiment, CAPPED), len(faults))])
        return listed.without(faults)

    def _decide(
        self,
        plan: Plan,
        listed: VisitorList,
        exposed: Mapping[int, Exposure],
        claims: Mapping[int, tokens.Claim],
    ) -> Decisions:
        state = self._entry.stored.state
        decisions = decide_all(
            plan,
            listed.visitors,
            columns=listed.columns, state=state, consents=listed.consents,
            kept={**exposed, **{index: claim.fixed for index, claim in claims.items()}},
            opted_out=listed.opted_out,
        )
        if self._order.exposes:
            repeated = self._repeated(listed, decisions, exposed)
            keep(plan, decisions, listed.visitors, kept=repeated, state=state, consents=listed.consents)
        return decisions

    def _asked(self, visitors: Collection[bytes], question: Callable[[Session, Sequence[bytes]], T]) -> list[T]:
        """What is known of visitors, in the database or in shards."""
        if self._log:
            return self._log.asked(visitors, question)
        return [question(self._session, list(visitors))]

    def _stand_ins(self, listed: VisitorList) -> Iterator[bytes]:
        """Everybody's stand-in; made where somebody wants it, since one writer alone holds nobody."""
        yield from pseudonyms(listed.visitors, key=self._keyring.visitors)

    def _exposed(self, listed: VisitorList) -> dict[int, Exposure]:
        """What exposures fixed for good, by place; who does not consent is not looked up."""
        key = self._order.experiment
        if not self._log and not self._session.exposures.has_any(key):
            return {}
        asked = [index for index, consent in enumerate(listed.consents) if consent != "none"]
        stand_ins = pseudonyms((listed.visitors[index] for index in asked), key=self._keyring.visitors)
        found = self._asked(set(stand_ins), lambda session, some: session.exposures.of_visitors(key, some))
        row_by_stand_in = dict(chain.from_iterable(found))
        return {
            index: row_by_stand_in[stand_in].fixed
            for index, stand_in in zip(asked, stand_ins, strict=True)
            if stand_in in row_by_stand_in
        }

    def _promised(self, listed: VisitorList, exposed: Mapping[int, Exposure]) -> dict[int, tokens.Claim]:
        """What tokens say of visitors who were not exposed, by place."""
        now_ms = self._asking.now_ms
        claims = {
            index: promised(self._entry, listed.visitors[index], token=token, now_ms=now_ms, keyring=self._keyring)
            for index, token in enumerate(listed.tokens)
            if token is not None and index not in exposed
        }
        return {index: claim for index, claim in claims.items() if claim is not None}

    def _contexts(
        self,
        plan: Plan,
        listed: VisitorList,
        exposed: Mapping[int, Exposure],
        claims: Mapping[int, tokens.Claim],
    ) -> Sequence[str | None]:
        """What is stored of each visitor once exposed: of those whose arm is drawn now, and what tokens hold."""
        if not plan.contexts:
            return []
        contexts = plan.contexts.of_all(listed.columns, len(listed.visitors))
        for index, consent in enumerate(listed.consents):
            if index in claims:
                contexts[index] = claims[index].context
            elif consent != "personalise" or index in exposed:
                contexts[index] = None
        return contexts

    def _repeated(
        self, listed: VisitorList, decisions: Decisions, exposed: Mapping[int, Exposure]
    ) -> dict[int, Exposure]:
        """Whoever stands in the list more than once is exposed the first time: what that fixes for the others."""
        times, different = Counter(listed.visitors), list(decisions.different)
        first: dict[str, Exposure] = {}
        repeated = {}
        for index, visitor in enumerate(listed.visitors):
            if times[visitor] == 1 or index in exposed:
                continue
            if visitor in first:
                repeated[index] = first[visitor]
                continue
            drawn = different[decisions.places[index]]
            if may_be_counted(drawn):
                first[visitor] = Exposure(drawn.arm, drawn.segment, drawn.epoch, drawn.weight)
        return repeated

    def _tokens(
        self, listed: VisitorList, decisions: Decisions, contexts: Sequence[str | None]
    ) -> list[str | None]:
        """The tokens of those who may be counted, for each assignment and context at once."""
        visitors = np.array(listed.visitors, np.object_)
        issued = np.full(len(visitors), None, np.object_)
        for assignment, context, holders in _sharing(decisions, contexts):
            claim = claim_of(self._order.experiment, assignment, context=context, asking=self._asking)
            if claim:
                issued[holders] = tokens.issue_all(claim, visitors[holders].tolist(), key=self._keyring.tokens)
        said: list[str | None] = issued.tolist()
        return said

    def _expose(self, listed: VisitorList, issued: Sequence[str | None]) -> list[Receipt | None]:
        """Count those who may be counted, by the one way in that events have."""
        event_by_index = {
            index: self._event(listed.visitors[index], token)
            for index, token in enumerate(issued)
            if token is not None
        }
        receipt_by_index = self._log.take(event_by_index, trusted=True) if self._log else self._apply(event_by_index)
        return [receipt_by_index.get(index, _NOT_COUNTED) for index in range(len(issued))]

    def _apply(self, event_by_index: Mapping[int, ExposureEvent]) -> Mapping[int, Receipt]:
        receipts = apply(
            self._session, self._snapshots, events=event_by_index.values(), trusted=True, keyring=self._keyring
        )
        return dict(zip(event_by_index, receipts, strict=True))

    def _event(self, visitor: str, token: str) -> ExposureEvent:
        return exposure_by_assignment(
            visitor, self._order.experiment, token=token, call_id=self._order.call_id, now_ms=self._asking.now_ms
        )


def _sharing(
    decisions: Decisions, contexts: Sequence[str | None]
) -> Iterator[tuple[Assignment, str | None, Codes]]:
    """Each assignment and context that somebody has, and who: places in the list, in order."""
    if not contexts:
        yield from ((assignment, None, holders) for assignment, holders in decisions.groups())
        return
    different, codes = coded(contexts)
    for assignment, holders in decisions.groups():
        for code, within in gathered(codes[holders]):
            yield assignment, different[code], holders[within]
