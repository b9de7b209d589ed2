"""A campaign of the gallery: visitors who do what is true of them under whichever arm the server gives them."""

import time
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from datetime import timezone
from heapq import heappop
from heapq import heappush
from itertools import islice
from typing import Any
from typing import NamedTuple

import click

from experiments.currency import minor_digits
from experiments.times import DAY_MS
from service.demo.campaign import Campaign
from service.demo.campaign import Place
from service.demo.campaign import Tally
from service.demo.confirmation import check_verdict
from service.demo.confirmation import confirmations
from service.demo.conversation import Conversation
from service.demo.conversation import Unanswered
from service.demo.crowd import Visitor
from service.demo.crowd import crowd
from service.gallery.entries import Entry
from service.operation.clock import Clock

_BATCH = 1_000
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Simulated(Campaign):
    """The campaign of an entry."""

    entry: Entry

    def bring(self, place: Place, *, seed: int, limit: int) -> Tally:
        """Bring the visitors of each day on that day, and tell the server what they do when they do it."""
        begun_ms, left = place.clock.now_ms(), limit
        with closing(_Stage(self.entry, place)) as stage:
            with click.progressbar(length=limit, label="Visitors come, outcomes too") as bar:
                for day, visitors in enumerate(crowd(self.entry, seed=seed)):
                    came = visitors[:left]
                    stage.wait_until(begun_ms + day * DAY_MS)
                    stage.meet(came)
                    left -= len(came)
                    bar.update(len(came))
                stage.wait_for_all()
            return stage.tally

    def tell(self, report: Mapping[str, Any], ledger: Sequence[Mapping[str, Any]], tally: Tally) -> None:
        """Tell what is true of the visitors, and that it confirms the verdict.

        :raises Unconfirmed: if it does not.
        """
        verdict, truth = report["verdict"], self.entry.truth
        for line in confirmations(verdict, truth):
            click.echo(line)
        check_verdict(verdict, truth)
        click.echo("What is true of the simulated visitors confirms the verdict.")


def simulated(entry: Entry) -> Simulated:
    """The campaign of an entry, on a clock that runs a day in a second."""
    experiment = entry.experiment
    goal = experiment.goal
    return Simulated(
        title=f"{experiment.name} ({entry.kind}, simulated)",
        document=entry.document,
        size=entry.days * entry.assumptions.visitors_per_day,
        rate=86_400.0,
        units={goal.key: 10 ** minor_digits(experiment.currency) if goal.unit == "money" else 1},
        entry=entry,
    )


class _Outcome(NamedTuple):
    """What a visitor will do: when, the event, and where it counts how much."""

    at_ms: int
    visitor: str
    worth: float
    segment: str
    arm: str


class _Stage:
    """A conversation with the server, and what the visitors who have come are yet to do."""

    def __init__(self, entry: Entry, place: Place) -> None:
        self.tally = Tally()
        self._experiment, self._units = entry.experiment, simulated(entry).units
        self._rates, self._place = entry.assumptions.rates, place
        self._conversation = Conversation(place.address, place.key)
        self._coming: list[_Outcome] = []

    def close(self) -> None:
        """Hang up."""
        self._conversation.close()

    def meet(self, visitors: Sequence[Visitor]) -> None:
        """Have visitors assigned and exposed."""
        asked_ms = self._clock.now_ms()
        answer = self._conversation.post("/v1/assignments", {
            "experiment": self._experiment.key,
            "visitors": [{"id": visitor.id, "attributes": visitor.attributes} for visitor in visitors],
            "expose": True,
        })
        answered_ms = self._clock.now_ms()
        for visitor, item in zip(visitors, answer["assignments"], strict=True):
            self._expose(visitor, item, asked_ms=asked_ms, answered_ms=answered_ms)

    def _expose(self, visitor: Visitor, item: Mapping[str, Any], *, asked_ms: int, answered_ms: int) -> None:
        if item.get("exposure") != "accepted" or item["segment"] != visitor.segment:
            raise Unanswered(f"{visitor} was answered {item}")
        self.tally.asked += 1
        self.tally.posted[visitor.segment, item["arm"], "visitors"] += 1
        if visitor.luck < self._rates[visitor.segment][item["arm"]]:
            # The exposure was stored between the two, and what comes of it must lie inside its window.
            last_ms = asked_ms + self._experiment.goal.window_seconds * 1000 - 1
            at_ms = min(answered_ms + visitor.delay_ms, last_ms)
            heappush(self._coming, _Outcome(at_ms, visitor.id, visitor.worth, visitor.segment, item["arm"]))

    def wait_until(self, ms: int) -> None:
        """Wait, and tell meanwhile what visitors do."""
        while self._clock.now_ms() < ms:
            self._post_due()
            time.sleep(_LOOK_SECONDS)

    def wait_for_all(self) -> None:
        """Wait until everybody has done what they will."""
        while self._coming:
            self._post_due()
            time.sleep(_LOOK_SECONDS)

    @property
    def _clock(self) -> Clock:
        return self._place.clock

    def _post_due(self) -> None:
        due = list(self._due(self._clock.now_ms()))
        each = iter(due)
        while batch := list(islice(each, _BATCH)):
            answer = self._conversation.post("/v1/batch", {"batch": list(map(self._event, batch))})
            if answer["accepted"] != len(batch):
                raise Unanswered(f"of {len(batch)} events the server did not accept {answer['items']}")
        for outcome in due:
            self._count(outcome)

    def _due(self, now_ms: int) -> Iterator[_Outcome]:
        while self._coming and self._coming[0].at_ms <= now_ms:
            yield heappop(self._coming)

    def _count(self, outcome: _Outcome) -> None:
        for metric, unit in self._units.items():
            self.tally.posted[outcome.segment, outcome.arm, metric] += round(outcome.worth * unit)

    def _event(self, outcome: _Outcome) -> dict[str, Any]:
        goal = self._experiment.goal
        return {
            "type": "track", "userId": outcome.visitor, "messageId": f"{outcome.visitor} {goal.event}",
            "event": goal.event, "timestamp": _written(outcome.at_ms),
            "properties": {goal.property: outcome.worth} if goal.property else {},
        }


def _written(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, timezone.utc).isoformat(timespec="milliseconds")
