"""A campaign on a simulated clock, with visitors as they are and somebody who forges, by the service's own code."""

from collections import Counter
from typing import Any
from typing import NamedTuple

import numpy as np

from experiments.events import instant
from experiments.ledger import Decision
from experiments.ledger import ledger_of
from experiments.reallocation import reallocate_due
from experiments.storage.store import Store
from experiments.tokens import Claim
from experiments.tokens import expiry
from experiments.tokens import issue
from tests.experiments.house import DAY
from tests.experiments.house import SECRETS
from tests.experiments.house import House

VISITORS = 2_000
RATES = {"winner": 0.05, "loser": 0.04}
_MEAN_LAG = DAY / 4
_SECOND = 1_000


def shop(*, source: str = "any", **changes: Any) -> dict[str, Any]:
    """Two messages for all, reallocated every night."""
    document: dict[str, Any] = {
        "key": "shop",
        "arms": [{"key": arm, "role": "mass"} for arm in RATES],
        "metrics": [{"key": "order", "event": "Ordered", "kind": "conversion", "role": "goal", "source": source}],
        "policy": {"kind": "thompson", "every": "1d"},
    }
    return {**document, **changes}


class Forger(NamedTuple):
    """Somebody with a client key who wants the loser to win.

    Attributes:
        orders: made up on each day.
        first_day: on which it begins, counted from 0.
        is_hasty: orders within a second of the exposure, not as visitors do.
        is_selective: tells of the loser's exposures alone.
        shows_itself: tells of exposures of its own; else orders for visitors that it knows of.
    """

    orders: int = 0
    first_day: int = 0
    is_hasty: bool = True
    is_selective: bool = False
    shows_itself: bool = True

    @property
    def prefix(self) -> str:
        """What its own visitors' names begin with; those of others are known by theirs."""
        return "forged-" if self.shows_itself else ""


class Siege:
    """The campaign: visitors come evenly over each day, and at midnight the scheduler looks."""

    def __init__(
        self,
        store: Store,
        document: dict[str, Any],
        *,
        forger: Forger = Forger(),
        is_trusted: bool = False,
        seed: int = 0,
    ) -> None:
        self.house = House(store, now_ms=20_000 * DAY)
        self.key = self.house.start(document)
        self.refused: Counter[str] = Counter()
        self._is_trusted = is_trusted or document["metrics"][0].get("source") == "server"
        self._forger = forger
        self._rng = np.random.default_rng([seed, 1])
        self._forgers_rng = np.random.default_rng([seed, 2])
        self._coming: list[tuple[float, dict[str, Any]]] = []
        self.day = 0

    def live(self, days: int) -> "Siege":
        """Let days pass; once weights are frozen no more happens to them."""
        for _ in range(days):
            if self.is_frozen:
                break
            self._begin = self.house.now_ms
            self.house.now_ms += DAY
            self._serve()
            if self.day >= self._forger.first_day and self._forger.orders:
                self._forge()
            reallocate_due(self.house.store, now_ms=self.house.now_ms)
            self.house.snapshots.refresh()
            self.day += 1
        return self

    def _serve(self) -> None:
        names = [f"{self.day}-{number}" for number in range(VISITORS)]
        times = self._begin + np.sort(self._rng.integers(0, DAY, VISITORS))
        arms = self._expose(names, times.tolist())
        orders = self._rng.random(VISITORS) < np.array([RATES[arm] for arm in arms])
        lags = self._rng.exponential(_MEAN_LAG, VISITORS)
        for place in np.flatnonzero(orders).tolist():
            at_ms = int(times[place] + lags[place])
            self._coming.append((at_ms, self.house.event(names[place], "Ordered", id="order", at=at_ms)))
        come = [order for at_ms, order in self._coming if at_ms < self.house.now_ms]
        self._coming = [one for one in self._coming if one[0] >= self.house.now_ms]
        self.house.record(*come, trusted=self._is_trusted)

    def _expose(self, names: list[str], times: list[int]) -> list[str]:
        """Evaluate for visitors and tell of their exposures; their arms."""
        plan = self.house.snapshots.latest.entries[self.key].plan
        assert plan is not None
        drawn = [plan.draw(name, "everyone-else") for name in names]
        until_ms = expiry(self._begin, lifetime_seconds=90 * 86_400)
        self.house.record(*(
            self.house.event(
                name, "Experiment Viewed", id="view", at=at_ms, experiment_id=self.key,
                token=issue(
                    Claim(self.key, one.segment, one.arm, one.epoch, one.weight, until_ms), name, key=SECRETS.tokens
                ),
            )
            for name, at_ms, one in zip(names, times, drawn, strict=True)
        ))
        return [one.arm for one in drawn]

    def _forge(self) -> None:
        """Ask for as many arms as it takes, tell of exposures so that no shares give it away, and order."""
        plan = self.house.snapshots.latest.entries[self.key].plan
        assert plan is not None
        names: list[str] = []
        losers: list[str] = []
        while len(losers) < self._forger.orders:
            names.append(f"{self._forger.prefix}{self.day}-{len(names)}")
            losers += [names[-1]] if plan.draw(names[-1], "everyone-else").arm == "loser" else []
        times = dict(zip(names, self._forgers_times(len(names)), strict=True))
        if self._forger.shows_itself:
            exposed = losers if self._forger.is_selective else names
            self._expose(exposed, [times[name] for name in exposed])
        receipts = self.house.record(*(
            self.house.event(name, "Ordered", at=times[name] + lag)
            for name, lag in zip(losers, self._forgers_lags(len(losers)), strict=True)
        ))
        self.refused.update(receipt.code for receipt in receipts if receipt.code)

    def _forgers_times(self, n: int) -> list[int]:
        times: list[int] = (self._begin + self._forgers_rng.integers(0, DAY // 2, n)).tolist()
        return times

    def _forgers_lags(self, n: int) -> list[int]:
        if self._forger.is_hasty:
            return [_SECOND] * n
        return [int(min(lag, DAY // 2 - 1)) for lag in self._forgers_rng.exponential(_MEAN_LAG, n)]

    def ledger(self) -> list[Decision]:
        """What was decided."""
        return self.house.store.read(lambda session: ledger_of(session, self.key))

    def weights(self) -> list[float]:
        """The loser's weight after each decision."""
        return [row["weights"]["everyone-else"]["loser"] for row in self.ledger()]

    @property
    def is_frozen(self) -> bool:
        """Whether the weights are held."""
        return self.ledger()[-1]["frozen"]

    def frozen_after(self) -> int:
        """After how many nights the weights were frozen."""
        freeze = next(row for row in self.ledger() if row["act"] == "freeze")
        return (instant(freeze["at"], "at") - instant(self.ledger()[0]["at"], "at")) // DAY
