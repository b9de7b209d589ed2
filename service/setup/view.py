"""What a step of the set-up shows, in words. Pure."""

from collections import defaultdict
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from experiments.errors import Problem
from experiments.shares import RECENT_DAYS
from experiments.shares import RecentShares
from service.setup.errors import Error
from service.setup.errors import errors_of
from service.setup.form import document_of
from service.setup.form import types_of
from service.setup.kinds import Sheet
from service.setup.kinds import json_text
from service.setup.preview import Preview
from service.setup.preview import previews
from service.setup.rows import FoldedRow
from service.setup.rows import SECTION_BY_STEP
from service.setup.rows import folded_rows
from service.setup.rules import sentence
from service.setup.state import STEPS
from service.setup.state import Setup
from service.setup.state import is_frozen
from service.setup.traffic import Samples
from service.setup.traffic import SegmentsView
from service.wording import count
from service.wording import share

TITLES = {
    "basics": "The campaign",
    "segments": "Who gets what",
    "messages": "The messages",
    "metrics": "What counts",
    "policy": "How traffic is shared out",
    "check": "Check and finish",
}
#: Fields whose errors a later step puts right: what they need of the goal has not been asked for yet.
_SETTLED_LATER = ("objective", "local_evaluation")
_STARTED = (
    "The campaign has begun. What is grey is frozen: figures from before and after a change would not be of the same "
    "thing. Names, what you expect, the planned reach, how traffic is shared out and further messages may change."
)
_ENDED = "The campaign is {}: nothing of it changes any more."


class Traffic(NamedTuple):
    """What is known of visitors: those who were exposed, and those who were evaluated lately."""

    shares: RecentShares | None = None
    segments: SegmentsView = SegmentsView("", ())
    samples: Samples = Samples((), 0, {})


@dataclass(frozen=True)
class StepLink:
    """A step in the list of steps, and how many errors wait there."""

    name: str
    title: str
    is_current: bool
    faults: int


@dataclass(frozen=True)
class SetupView:
    """A step of the form.

    Attributes:
        errors: those to be shown now, at the top and beside their fields.
        waiting: all that keep the form from becoming the document.
        folded: the rows that do not stand open, by path.
        notes: by segment's key, how large it was among those who were exposed.
        recent: the same of whoever was evaluated lately.
        samples: whom of them the messages may be written for.
    """

    title: str
    step: str
    steps: tuple[StepLink, ...]
    sheet: Sheet
    errors: tuple[Error, ...]
    texts_by_field: Mapping[str, list[str]]
    folded: Mapping[str, FoldedRow]
    waiting: tuple[Error, ...]
    is_frozen: Callable[[str], bool]
    frozen_words: str
    state: str
    is_draft: bool
    types: Mapping[str, str]
    sentences: tuple[str, ...]
    notes: Mapping[str, str]
    shares_words: str
    recent: SegmentsView
    samples: Samples
    sample: Mapping[str, str]
    previews: tuple[Preview, ...]
    document: str

    @property
    def is_held_up(self) -> bool:
        """Whether an error must be put right here before one can go on."""
        return any(error.field not in _SETTLED_LATER or self.step == "check" for error in self.errors)

    @property
    def following(self) -> str:
        """The step after this one."""
        return following(self.step)


def following(step: str) -> str:
    """The step after a step."""
    names = list(STEPS)
    return names[min(names.index(step) + 1, len(names) - 1)]


def setup_view(
    setup: Setup,
    step: str,
    problems: Iterable[Problem],
    *,
    traffic: Traffic,
    shows_errors: bool,
    at: str = "",
) -> SetupView:
    """One step; `problems` are all that is wrong with the form, `at` is the field that somebody works at."""
    shares = traffic.shares
    waiting = errors_of(problems, setup.sheet)
    errors = [error for error in waiting if shows_errors and step in (error.step, "check")]
    folded = _folded(setup.sheet, step, errors, at=at)
    return SetupView(
        title=TITLES[step],
        step=step,
        steps=tuple(_link(name, step, waiting) for name in STEPS),
        sheet=setup.sheet,
        errors=tuple(errors),
        texts_by_field=_by_field(errors),
        folded=folded,
        waiting=tuple(waiting),
        is_frozen=is_frozen(setup),
        frozen_words=_frozen_words(setup),
        state=setup.stored.state if setup.stored else "new",
        is_draft=setup.is_draft,
        types=types_of(setup.sheet),
        sentences=tuple(sentence(segment["rule"]) for segment in setup.sheet["segments"]),
        notes={key: f"{share(part)} of visitors" for key, part in (shares.share_by_segment if shares else {}).items()},
        shares_words=_shares_words(shares),
        recent=traffic.segments,
        samples=traffic.samples,
        sample=setup.sample,
        previews=tuple(_previews(setup, traffic, folded)) if step == "messages" else (),
        document=json_text(document_of(setup.sheet).document),
    )


def _folded(sheet: Sheet, step: str, errors: Iterable[Error], *, at: str) -> dict[str, FoldedRow]:
    section = SECTION_BY_STEP.get(step)
    return folded_rows(sheet, section, at=at, wrong=[error.field for error in errors]) if section else {}


def _link(name: str, step: str, waiting: Iterable[Error]) -> StepLink:
    return StepLink(name, TITLES[name], name == step, sum(error.step == name for error in waiting))


def _by_field(errors: Iterable[Error]) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = defaultdict(list)
    for error in errors:
        texts[error.field].append(error.text)
    return dict(texts)


def _frozen_words(setup: Setup) -> str:
    if setup.has_ended and setup.stored:
        return _ENDED.format(setup.stored.state)
    return _STARTED if setup.is_started else ""


def _previews(setup: Setup, traffic: Traffic, folded: Mapping[str, FoldedRow]) -> list[Preview]:
    return previews(setup.sheet, setup.sample, known=traffic.samples.attributes, hidden=folded)


def _shares_words(shares: RecentShares | None) -> str:
    if shares is None or not shares.visitors:
        return ""
    return f"“Of visitors” means the {count(shares.visitors)} visitors first reached in the last {RECENT_DAYS} days."
