"""Guards of the product that can be taken away one by one, so that a test can show that each of them is missed."""

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import nullcontext
from typing import Any

import pytest

from experiments import additions
from experiments import admission
from experiments import application
from experiments import cautions
from experiments import counting
from experiments import evaluation
from experiments import exposing
from experiments import tokens
from experiments.privacy import opted_out
from experiments.receipts import Receipt
from experiments.storage import cells
from experiments.storage import events
from experiments.storage import ledger
from service.requests import rates

Patch = Callable[[pytest.MonkeyPatch], None]


class _Forgetful(dict[Any, int]):
    """Numbers of events in which every event has one, as if its id had never been seen."""

    def pop(self, key: Any, *_: Any) -> int:
        """The number, which stays."""
        return self.get(key, 0)


def _no_unique_id(patch: pytest.MonkeyPatch) -> None:
    insert = events.Events.insert
    patch.setattr(events.Events, "insert", lambda self, rows: _Forgetful(insert(self, rows)))


def _no_digest(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(application.Application, "_repeat", lambda self, event: Receipt("duplicate"))


def _without_timing(*codes: str) -> Patch:
    def timing(*arguments: Any, **more: Any) -> str:
        found = counting.timing(*arguments, **more)
        return "counts" if found in codes else found

    return lambda patch: patch.setattr(application, "timing", timing)


def _no_cap(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(counting.Measures, "counted", lambda self, metric, total: total)


def _not_sticky(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(evaluation, "_look_up", lambda *arguments, **more: evaluation.LookedUp({}))


def _epoch_of_now(patch: pytest.MonkeyPatch) -> None:
    def exposed_to(event: Any, plan: Any, **more: Any) -> exposing.Exposed:
        return exposing.exposed_to(event, plan, **more)._replace(epoch=plan.allocation.epoch)

    patch.setattr(admission, "exposed_to", exposed_to)


def _doubled_on_retry(patch: pytest.MonkeyPatch) -> None:
    keep = additions.Additions.keep

    def keep_again(self: Any, session: Any) -> None:
        has_repeats = any(name == "duplicates" for _, name in self._counters)
        keep(self, session)
        if has_repeats:
            session.cells.add({
                place.cell(metric): change
                for place, sums in self._cells.items()
                for metric, change in sums.items()
            })

    patch.setattr(additions.Additions, "keep", keep_again)


def _no_end_of_tokens(patch: pytest.MonkeyPatch) -> None:
    read = exposing.read
    patch.setattr(exposing, "read", lambda *given, **more: read(*given, **more)._replace(expires_ms=1 << 62))


def _no_waiting(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(application.Visitor, "wait", lambda self, row: None)


def _waits_for_ever(patch: pytest.MonkeyPatch) -> None:
    take = application.Visitor.take_waiting
    patch.setattr(application.Visitor, "take_waiting", lambda self, *, now_ms: take(self, now_ms=0))


def _no_tombstones(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(admission.Admission, "_tombstones", lambda self: {})


def _no_objections(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(opted_out.OptedOut, "holds", lambda self, visitor, *, keyring: False)


def _no_sums_of_the_removed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cells.Cells, "remove", lambda self, changes: None)


def _no_fence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ledger.Slots, "claim", lambda self, *given, **more: True)


def _no_alarm(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cautions, "FORGERY", float("inf"))


def _no_sign_by_client(patch: pytest.MonkeyPatch) -> None:
    signs = cautions.signs
    patch.setattr(cautions, "signs", lambda readings: [sign for sign in signs(readings) if sign.kind != "by_client"])


def _any_shares(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cautions, "ALARM", float("inf"))


def _no_caps(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(counting, "cap_of", lambda metric, *, currency: None)


def _anybodys_tokens(patch: pytest.MonkeyPatch) -> None:
    def unbound(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda text, *, key, bound_to: function(text, key=key)

    patch.setattr(tokens, "sign", unbound(tokens.sign))
    patch.setattr(tokens, "unsign", unbound(tokens.unsign))


def _no_rates(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rates.Buckets, "take", lambda self, holder, *, now_ms: rates.Standing(True, 1, 1))


#: By name: what takes the guard away, which any history may miss.
GUARDS: dict[str, Patch] = {
    "unique id": _no_unique_id,
    "digest": _no_digest,
    "window": _without_timing("after_window"),
    "exposure": _without_timing("before_exposure"),
    "cap": _no_cap,
    "sticky": _not_sticky,
    "epoch of the exposure": _epoch_of_now,
    "nothing on a retry": _doubled_on_retry,
    "end of tokens": _no_end_of_tokens,
    "waiting": _no_waiting,
    "end of waiting": _waits_for_ever,
    "slots": _no_fence,
    "tombstones": _no_tombstones,
    "objections": _no_objections,
    "sums of the removed": _no_sums_of_the_removed,
}

#: The same of what keeps out outcomes that are made up.
LAYERS: dict[str, Patch] = {
    "alarm": _no_alarm,
    "sign by client": _no_sign_by_client,
    "planned shares": _any_shares,
    "caps": _no_caps,
    "tokens of one visitor": _anybodys_tokens,
    "rates": _no_rates,
}


@contextmanager
def taken_away(name: str | None) -> Iterator[None]:
    """The product without one of its guards; None leaves it whole."""
    with pytest.MonkeyPatch.context() if name else nullcontext() as patch:
        if name:
            (GUARDS | LAYERS)[name](patch)
        yield
