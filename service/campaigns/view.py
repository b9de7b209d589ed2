"""The list of campaigns in words: what each has come to, and loudly where somebody is needed. Pure."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from datetime import timedelta
from typing import NamedTuple

from experiments.headlines import listed
from experiments.overview import Concern
from experiments.overview import ConcernKind
from experiments.overview import Summary
from experiments.times import day_of
from experiments.times import iso
from service.operation.disk import Space
from service.operation.disk import written
from service.wording import count
from service.wording import moment

#: The days that a sparkline shows, and those of the newest figure.
SPARK_DAYS = 28
_WEEK_DAYS = 7
_SPARK_HEIGHT = 24
_STEP = 4
_EPOCH = date(1970, 1, 1)


class Notice(NamedTuple):
    """What somebody should know of a campaign; `loud` where it must not be overlooked."""

    text: str
    loud: bool


class Spark(NamedTuple):
    """The visitors of each day, as the path of an SVG drawing, and in words."""

    path: str
    width: int
    height: int
    words: str


@dataclass(frozen=True)
class Campaign:
    """One line of the list."""

    key: str
    name: str
    state: str
    is_frozen: bool
    headline: str
    visitors: str
    week: str
    spark: Spark | None
    notices: tuple[Notice, ...]


class Shelf(NamedTuple):
    """Campaigns that stand together."""

    title: str
    campaigns: tuple[Campaign, ...]


class CampaignsView(NamedTuple):
    """Everything that the list shows; shelves that are empty are left out."""

    as_of: str
    shelves: tuple[Shelf, ...]
    archived: tuple[Campaign, ...]


#: The shelves in their order, by the states that stand on them.
_STATES_BY_TITLE = {"Running": ("running", "paused"), "Drafts": ("draft",), "Stopped": ("stopped",)}
_URGENT = "Needs your attention"
#: The kinds of concern for which nothing has to be done today, or can be.
_NOTED_ONLY: tuple[ConcernKind, ...] = ("review_soon", "intervals")

#: By kind, the sentence and whether it is loud.
_WORDS: Mapping[ConcernKind, tuple[str, bool]] = {
    "alarm": ("The service froze the weights. {names}. Find the cause, then unfreeze it.", True),
    "refused": ("Weights stay where they are: {names}.", True),
    "barred": ("A message lost its traffic for breaking a limit: {names}.", True),
    "sample_ratio": (
        "Visitors did not arrive in the planned shares. Find the cause before acting on any figure.", True
    ),
    "guardrail": ("A limit is broken: {names}.", True),
    "no_visitors": ("Nothing is arriving: it runs, but no new visitor has been counted since {day}.", True),
    "no_outcomes": ("Nothing is arriving: not one {names} was counted, though visitors have had their time.", True),
    "partial_data": ("Not everything that came has been counted yet: nothing is decided until it is.", True),
    "review": ("The day to review has passed for {names}.", False),
    "review_soon": ("The day to review comes soon for {names}.", False),
    "intervals": ("Conversions are too rare in places to promise what the intervals say.", False),
}


def campaigns_view(summaries: Sequence[Summary], *, now_ms: int, min_cell: int) -> CampaignsView:
    """The list, what needs attention first."""
    today = day_of(now_ms)
    urgent, calm = ([one for one in summaries if _is_urgent(one) == wanted] for wanted in (True, False))
    groups = {_URGENT: urgent} | {
        title: [one for one in calm if one.stored.state in states] for title, states in _STATES_BY_TITLE.items()
    }
    shelves = (
        Shelf(title, _campaigns(found, today=today, min_cell=min_cell)) for title, found in groups.items() if found
    )
    put_away = [one for one in calm if one.stored.state == "archived"]
    archived = _campaigns(put_away, today=today, min_cell=min_cell)
    return CampaignsView(moment(iso(now_ms)), tuple(shelves), archived)


def disk_warning(disk: Space | None) -> str | None:
    """What stands above the list while there is little space; None while there is enough, or nothing known of it."""
    if disk is None or not disk.is_low:
        return None
    return (
        f"Only {written(disk.free_bytes)} of disk space are left under the database. "
        "Once it is full no event is accepted any more: make room now."
    )


def _is_urgent(summary: Summary) -> bool:
    """What is noted only need not be done today, or cannot be."""
    return any(concern.kind not in _NOTED_ONLY for concern in summary.concerns)


def _campaigns(summaries: Sequence[Summary], *, today: int, min_cell: int) -> tuple[Campaign, ...]:
    return tuple(_campaign(one, today=today, min_cell=min_cell) for one in summaries)


def _campaign(summary: Summary, *, today: int, min_cell: int) -> Campaign:
    experiment, visitors = summary.stored.experiment, summary.visitors_by_day
    is_counting = summary.headline is not None
    newest = sum(n for day, n in visitors.items() if day > today - _WEEK_DAYS)
    # The report hides an arm that fewer have met; the sum less the other arms would tell them.
    step = 2 * min_cell if 0 < summary.fewest < min_cell else 0
    return Campaign(
        key=experiment.key,
        name=experiment.name,
        state=summary.stored.state,
        is_frozen=summary.is_frozen,
        headline=summary.headline or "",
        visitors=_number(sum(visitors.values()) if is_counting else None, step=step),
        week=_number(newest if is_counting else None, step=step),
        spark=None if step else spark(visitors, today=today),
        notices=tuple(_notices(summary)),
    )


def _number(n: int | None, *, step: int) -> str:
    """A number of visitors, no more precisely than in steps where there are any."""
    if n is None or not step:
        return count(n)
    return f"about {count(round(n / step) * step)}" if n >= step else f"fewer than {step}"


def _notices(summary: Summary) -> list[Notice]:
    names_by_kind: dict[ConcernKind, list[str]] = {}
    for concern in summary.concerns:
        names_by_kind.setdefault(concern.kind, []).extend(_names(concern))
    since = _day(max(summary.visitors_by_day)) if summary.visitors_by_day else "the start"
    return [
        Notice(sentence.format(names=listed(names) if names else "", day=since), loud)
        for kind, names in names_by_kind.items() for sentence, loud in [_WORDS[kind]]
    ]


def _names(concern: Concern) -> list[str]:
    if concern.kind in ("guardrail", "barred"):
        arm, metric = concern.names
        return [f"{metric} in {arm}"]
    return list(concern.names)


def spark(visitors_by_day: Mapping[int, int], *, today: int) -> Spark | None:
    """The drawing of the newest days, a bar for each; None where nobody came on any."""
    days = range(today - SPARK_DAYS + 1, today + 1)
    found = [visitors_by_day.get(day, 0) for day in days]
    most = max(found)
    if not most:
        return None
    bars = (_bar(place, n, most) for place, n in enumerate(found) if n)
    best = _day(days[found.index(most)])
    words = f"Visitors per day over the last {SPARK_DAYS} days: at most {count(most)}, on {best}"
    return Spark("".join(bars), SPARK_DAYS * _STEP, _SPARK_HEIGHT, words)


def _bar(place: int, n: int, most: int) -> str:
    height = max(1, round(_SPARK_HEIGHT * n / most))
    return f"M{place * _STEP} {_SPARK_HEIGHT}v-{height}h{_STEP - 1}v{height}z"


def _day(day: int) -> str:
    found = _EPOCH + timedelta(days=day)
    return f"{found.day} {found:%B %Y}"
