"""What must come of a history by the contract's text: plain dicts and loops, written without a look at the product.

It believes the ledger's weights, which `verify` computes again, and nothing else: it reads documents, draws, keeps,
recognises repeats and attributes by itself, and counts everything anew each time it is asked.
"""

import json
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import NamedTuple

_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DAY = _UNITS_MS["d"]
HORIZON_MS = 90 * DAY
TOKEN_MS = DAY

#: The metrics that it counts besides the declared ones.
BUILT_IN = ("$exposures", "$profit")

#: How a state follows from another.
STEPS = {
    ("draft", "start"): "running",
    ("running", "pause"): "paused",
    ("paused", "resume"): "running",
    ("running", "stop"): "stopped",
    ("paused", "stop"): "stopped",
    ("stopped", "archive"): "archived",
}


class Given(NamedTuple):
    """An arm for a visitor, as an evaluation or an exposure gives it."""

    arm: str
    segment: str
    weight: int
    epoch: int
    cause: str


class Token(NamedTuple):
    """What a token was issued for."""

    visitor: str
    experiment: str
    given: Given
    expires_ms: int


class First(NamedTuple):
    """A visitor's first exposure in an experiment."""

    arm: str
    segment: str
    epoch: int
    weight: int
    at_ms: int
    asserted: bool


class View(NamedTuple):
    """An experiment as a process saw it when it looked."""

    state: str
    epoch: int


@dataclass
class Sheet:
    """An experiment: its document, state, the weights of each epoch, and whether somebody holds them."""

    document: Mapping[str, Any]
    state: str = "draft"
    started_ms: int = 0
    weights: list[Mapping[str, Mapping[str, int]]] = field(default_factory=list)
    frozen: bool = False
    slot: int = 0

    @property
    def is_live(self) -> bool:
        """Whether it answers and counts."""
        return self.state in ("running", "paused", "stopped")

    def arms(self) -> dict[str, Mapping[str, Any]]:
        """The arms by key."""
        return {arm["key"]: arm for arm in self.document["arms"]}

    def first_mass(self) -> str:
        """The arm of whoever may not be decided about."""
        return next(str(arm["key"]) for arm in self.document["arms"] if arm["role"] == "mass")


class Stored(NamedTuple):
    """An event that is on disk: its body, when, and for which experiments; an exposure with what it gave."""

    visitor: str
    body: str
    item: Mapping[str, Any]
    at_ms: int
    received_ms: int
    trusted: bool
    experiments: tuple[str, ...]
    first: First | None


Fate = tuple[str, str | None]
Cells = dict[tuple[Any, ...], tuple[int, int, float]]


def milliseconds(duration: str) -> int:
    """A duration of the document."""
    return int(duration[:-1]) * _UNITS_MS[duration[-1]]


def position(seed: str, visitor: str) -> float:
    """GrowthBook's hash, version 2: FNV-1a twice, to four decimals."""
    return _fnv(str(_fnv(seed + visitor))) % 10_000 / 10_000


def _fnv(text: str) -> int:
    number = 2_166_136_261
    for letter in text.encode("ascii"):
        number = ((number ^ letter) * 16_777_619) % 2**32
    return number


class Oracle:
    """Everything that was accepted, and what must be counted of it."""

    def __init__(self) -> None:
        self.sheets: dict[str, Sheet] = {}
        self.tokens: dict[str, Token] = {}
        self.stored: dict[tuple[str, str], Stored] = {}
        self.erased: dict[str, int] = {}
        self.objecting: set[str] = set()
        self._unnamed = 0
        self._left: dict[str, Cells] = {}
        self._left_orphans: dict[str, int] = {}

    def segment(self, sheet: Sheet, attributes: Mapping[str, Any], consent: str) -> str:
        """The first segment whose rule holds; rules here say that one attribute equals one value."""
        if consent == "measure":
            return "no-personalisation"
        for segment in sheet.document.get("segments", ()):
            [(name, value)] = segment["rule"].items()
            if attributes.get(name) == value:
                return str(segment["key"])
        return "everyone-else"

    def draw(self, key: str, visitor: str, segment: str, epoch: int) -> Given:
        """The arm on whose range the visitor stands; bounds are added as floats from left to right."""
        here, end = position(key, visitor), 0.0
        for arm, weight in self.sheets[key].weights[epoch - 1][segment].items():
            end += weight / 10_000
            if here < end:
                return Given(arm, segment, weight, epoch, "allocated")
        raise AssertionError(f"{visitor} stands at {here}, beyond all arms")

    def evaluate(
        self, view: View, key: str, visitor: str, *, womens: object, consent: str, token: str | None, now_ms: int
    ) -> Given | None:
        """What a process with this view of the experiment must answer; None where it knows no such experiment."""
        if view.state in ("draft", "archived"):
            return None
        sheet = self.sheets[key]
        mass = Given(sheet.first_mass(), "no-personalisation", 10_000, view.epoch, "no_consent")
        if visitor in self.objecting:
            return mass._replace(cause="opted_out")
        if consent == "none":
            return mass
        kept = self._kept(view, key, visitor, token=token, now_ms=now_ms)
        is_running = view.state == "running"
        if kept is not None:
            is_tailored = sheet.arms()[kept.arm]["role"] == "tailored"
            if consent == "measure" and is_tailored:
                return mass
            return kept._replace(cause="sticky" if is_running else "not_running")
        segment = self.segment(sheet, {"womens": womens}, consent)
        if view.state == "paused":
            return mass._replace(segment=segment, cause="not_running")
        drawn = self.draw(key, visitor, segment, view.epoch)
        return drawn if is_running else drawn._replace(cause="not_running")

    def _kept(self, view: View, key: str, visitor: str, *, token: str | None, now_ms: int) -> Given | None:
        first = self.firsts(key).get(visitor)
        if first is not None:
            return Given(first.arm, first.segment, first.weight, first.epoch, "sticky")
        held = self.tokens.get(token or "")
        if held is None or view.state == "paused":
            return None
        is_good = (held.visitor, held.experiment) == (visitor, key) and now_ms < held.expires_ms
        return held.given if is_good else None

    def issue(self, token: str, visitor: str, key: str, given: Given, *, now_ms: int) -> None:
        """A token was handed out; it ends with a day."""
        self.tokens[token] = Token(visitor, key, given, (now_ms // DAY + 1) * DAY + TOKEN_MS)

    def expose(self, key: str, visitor: str, given: Given, *, call: str, now_ms: int) -> Fate:
        """A list exposes a visitor who may be counted: once for each call, however often that is made."""
        if given.cause not in ("allocated", "sticky"):
            return "ignored", None
        if now_ms < self.erased.get(visitor, 0):
            return "ignored", "erased"
        if (visitor, call) in self.stored:
            return "duplicate", None
        first = First(given.arm, given.segment, given.epoch, given.weight, now_ms, False)
        item = {"event": "Experiment Viewed"}
        self.stored[visitor, call] = Stored(visitor, call, item, now_ms, now_ms, True, (key,), first)
        return "accepted", None

    def record(self, item: Mapping[str, Any], *, at_ms: int, now_ms: int, trusted: bool) -> Fate:
        """The fate of an event that is received now, by which it is stored or not."""
        if item["context"]["consent"] == "none":
            return "ignored", "no_consent"
        if item["type"] == "identify":
            return "ignored", "not_counted"
        if at_ms < now_ms - HORIZON_MS:
            return "rejected", "too_old"
        if item["userId"] in self.objecting:
            return "ignored", "opted_out"
        if now_ms < self.erased.get(item["userId"], 0):
            return "ignored", "erased"
        body = json.dumps([item["type"], item["event"], item["properties"], item.get("timestamp")], sort_keys=True)
        visitor, known_as = item["userId"], self._known_as(item, body)
        if (visitor, known_as) in self.stored:
            same = self.stored[visitor, known_as].body == body
            return ("duplicate", None) if same else ("rejected", "id_reused")
        fate, experiments, first = (
            self._expose(item, at_ms, now_ms, trusted) if item["event"] == "Experiment Viewed"
            else self._hear(item, at_ms, trusted)
        )
        if experiments:
            self.stored[visitor, known_as] = Stored(
                visitor, body, item, at_ms, now_ms, trusted, experiments, first
            )
        return fate

    def _known_as(self, item: Mapping[str, Any], body: str) -> str:
        if item.get("messageId") is not None:
            return str(item["messageId"])
        if item["event"] == "Experiment Viewed":
            return body
        self._unnamed += 1
        return f"unnamed {self._unnamed}"

    def _expose(
        self, item: Mapping[str, Any], at_ms: int, now_ms: int, trusted: bool
    ) -> tuple[Fate, tuple[str, ...], First | None]:
        key, _, epoch = item["properties"]["experiment_id"].partition("@")
        sheet = self.sheets.get(key)
        if sheet is None or not sheet.is_live:
            return ("rejected", "unknown_experiment"), (), None
        if item["properties"].get("token") is not None:
            given: Given | str = self._by_token(item, key, now_ms)
        else:
            given = self._by_word(item, key, int(epoch or 0), trusted)
        if isinstance(given, str):
            return ("rejected", given), (), None
        first = First(given.arm, given.segment, given.epoch, given.weight, at_ms, given.cause == "asserted")
        return ("accepted", None), (key,), first

    def _by_token(self, item: Mapping[str, Any], key: str, now_ms: int) -> Given | str:
        token = self.tokens.get(item["properties"]["token"])
        if token is None or (token.visitor, token.experiment) != (item["userId"], key):
            return "invalid_token"
        return token.given if now_ms < token.expires_ms else "token_expired"

    def _by_word(self, item: Mapping[str, Any], key: str, epoch: int, trusted: bool) -> Given | str:
        sheet, arm = self.sheets[key], item["properties"].get("variation_id")
        if not trusted and not (epoch and sheet.document.get("local_evaluation")):
            return "token_required"
        if epoch > len(sheet.weights):
            return "unknown_epoch"
        if arm not in sheet.arms():
            return "unknown_arm"
        if sheet.state != "running":
            return "not_running"
        segment = self.segment(sheet, item["context"].get("traits", {}), item["context"]["consent"])
        drawn = self.draw(key, item["userId"], segment, epoch or len(sheet.weights))
        if drawn.arm == arm:
            return drawn
        weight = sheet.weights[drawn.epoch - 1][segment].get(str(arm), 0)
        return Given(str(arm), segment, weight, drawn.epoch, "asserted")

    def _hear(self, item: Mapping[str, Any], at_ms: int, trusted: bool) -> tuple[Fate, tuple[str, ...], None]:
        live = [key for key, sheet in self.sheets.items() if sheet.is_live and _metrics(sheet, item["event"])]
        if not live:
            return ("rejected", "unknown_event"), (), None
        heard = [key for key in live if trusted or _metrics(self.sheets[key], item["event"], trusted=False)]
        if not heard:
            return ("rejected", "server_only"), (), None
        fates = {fate for key in heard for fate in self._fates(key, item, at_ms, trusted)}
        useless = ("before_exposure", "before_window", "after_window")
        code = None if "counts" in fates else next(each for each in useless if each in fates)
        return (("rejected", code) if code else ("accepted", None)), tuple(heard), None

    def _fates(self, key: str, item: Mapping[str, Any], at_ms: int, trusted: bool) -> Iterator[str]:
        first = self.firsts(key).get(item["userId"])
        for metric in _metrics(self.sheets[key], item["event"], trusted=trusted):
            yield "counts" if first is None else _timing(metric, first.at_ms, at_ms)

    def erase(self, visitor: str, *, now_ms: int) -> None:
        """Nothing is known of a visitor any more, what was counted stays, and what comes late is not stored."""
        for key in self.sheets:
            self._left[key] = self.cells(key)
            self._left_orphans[key] = sum(self.waiting(key, now_ms=now_ms))
        self.stored = {known_as: event for known_as, event in self.stored.items() if event.visitor != visitor}
        for key in self.sheets:
            # Only what was the visitor's own is left without an event.
            self._left[key] = _less(self._left[key], self._counted_cells(key))
            self._left_orphans[key] -= sum(self._counted_waiting(key, now_ms=now_ms))
        self.erased[visitor] = now_ms + HORIZON_MS

    def object(self, visitor: str, *, objects: bool) -> None:
        """From now on nothing of a visitor is stored or counted, until that is taken back; what was before stays."""
        (self.objecting.add if objects else self.objecting.discard)(visitor)

    def firsts(self, key: str) -> dict[str, First]:
        """Each visitor's first exposure: the one that was stored first."""
        firsts: dict[str, First] = {}
        for event in self.stored.values():
            if event.first is not None and event.experiments == (key,):
                firsts.setdefault(event.visitor, event.first)
        return firsts

    def totals(self, key: str) -> dict[str, dict[str, int]]:
        """What each exposed visitor has reached in each metric, before any cap."""
        sheet, firsts = self.sheets[key], self.firsts(key)
        totals = {visitor: {metric["key"]: 0 for metric in sheet.document["metrics"]} for visitor in firsts}
        for visitor in totals:
            totals[visitor]["$exposures"] = 0
        exposed_ms: dict[str, int] = {}
        ahead: dict[str, list[Stored]] = {}
        for event in self.stored.values():
            if key not in event.experiments:
                continue
            if event.first is not None:
                if event.visitor not in exposed_ms:
                    exposed_ms[event.visitor] = event.received_ms
                    for outcome in ahead.pop(event.visitor, ()):
                        self._add(totals, key, outcome, first=firsts[event.visitor], waited_until=event.received_ms)
                totals[event.visitor]["$exposures"] += 1
            elif event.visitor in exposed_ms:
                self._add(totals, key, event, first=firsts[event.visitor], waited_until=None)
            else:
                ahead.setdefault(event.visitor, []).append(event)
        return totals

    def _add(
        self, totals: dict[str, dict[str, int]], key: str, outcome: Stored, *, first: First, waited_until: int | None
    ) -> None:
        for metric in _metrics(self.sheets[key], outcome.item["event"], trusted=outcome.trusted):
            until = outcome.received_ms + milliseconds(metric["window"])
            is_orphan = waited_until is not None and until <= waited_until
            if not is_orphan and _timing(metric, first.at_ms, outcome.at_ms) == "counts":
                totals[outcome.visitor][metric["key"]] += _amount(metric, outcome.item["properties"])

    def cells(self, key: str) -> Cells:
        """Visitors, sum and sum of squares by epoch, day, segment, arm, asserted and metric; of the erased too."""
        return _less(self._counted_cells(key), _less({}, self._left.get(key, {})))

    def _counted_cells(self, key: str) -> Cells:
        sheet, firsts = self.sheets[key], self.firsts(key)
        cells: Cells = {}
        for visitor, totals in self.totals(key).items():
            first = firsts[visitor]
            for metric, value in _counted(sheet, first.arm, totals).items():
                place = (first.epoch, first.at_ms // DAY, first.segment, first.arm, first.asserted, metric)
                n, total, squares = cells.get(place, (0, 0, 0.0))
                cells[place] = n + 1, total + value, squares + value * value
        return cells

    def waiting(self, key: str, *, now_ms: int) -> tuple[int, int]:
        """How many outcomes wait for their exposure, and how many have waited for too long, or are gone."""
        waits, orphans = self._counted_waiting(key, now_ms=now_ms)
        return waits, orphans + self._left_orphans.get(key, 0)

    def _counted_waiting(self, key: str, *, now_ms: int) -> tuple[int, int]:
        waits = orphans = 0
        exposed_ms: dict[str, int] = {}
        events = [event for event in self.stored.values() if key in event.experiments]
        for event in events:
            if event.first is not None:
                exposed_ms.setdefault(event.visitor, event.received_ms)
        seen: set[str] = set()
        for event in events:
            if event.first is not None:
                seen.add(event.visitor)
            elif event.visitor not in seen:
                metrics = _metrics(self.sheets[key], event.item["event"], trusted=event.trusted)
                until = event.received_ms + max(milliseconds(metric["window"]) for metric in metrics)
                if event.visitor in exposed_ms and until > exposed_ms[event.visitor]:
                    continue  # It has been counted, or was of no use.
                waits, orphans = (waits + 1, orphans) if until > now_ms else (waits, orphans + 1)
        return waits, orphans


def _less(cells: Cells, others: Cells) -> Cells:
    """The difference of sums."""
    found = {}
    for place in cells.keys() | others.keys():
        one, other = cells.get(place, (0, 0, 0.0)), others.get(place, (0, 0, 0.0))
        found[place] = one[0] - other[0], one[1] - other[1], one[2] - other[2]
    return {place: sums for place, sums in found.items() if any(sums)}


def _metrics(sheet: Sheet, event: str, *, trusted: bool = True) -> list[Mapping[str, Any]]:
    return [
        metric
        for metric in sheet.document["metrics"]
        if metric["event"] == event and (trusted or metric.get("source", "any") == "any")
    ]


def _timing(metric: Mapping[str, Any], exposed_ms: int, at_ms: int) -> str:
    if at_ms < exposed_ms:
        return "before_exposure"
    if at_ms < exposed_ms + milliseconds(metric.get("from", "0d")):
        return "before_window"
    return "counts" if at_ms < exposed_ms + milliseconds(metric["window"]) else "after_window"


def _amount(metric: Mapping[str, Any], properties: Mapping[str, Any]) -> int:
    return round(properties.get(metric["property"], 0) * 100) if metric["kind"] == "value" else 1


def _counted(sheet: Sheet, arm: str, totals: Mapping[str, int]) -> dict[str, int]:
    """What a visitor's totals count for; money in cents, profit in ten-thousandths of them."""
    caps = {"conversion": 1, "retention": 1}
    counted = {"$exposures": totals["$exposures"]}
    for metric in sheet.document["metrics"]:
        cap = caps.get(metric["kind"], metric.get("cap", 0) * (100 if metric["kind"] == "value" else 1))
        counted[metric["key"]] = min(totals[metric["key"]], cap)
    goal = next(metric for metric in sheet.document["metrics"] if metric["role"] == "goal")
    value, cost = goal.get("value", 0), sheet.arms()[arm].get("cost_per_exposure", 0)
    profit = round(value * 1_000_000) * counted[goal["key"]] - round(cost * 1_000_000) * totals["$exposures"]
    return {**counted, "$profit": profit}
