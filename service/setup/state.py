"""The state of a set-up: what is stored, what has been typed, and what is wrong with it. Pure."""

import re
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from typing import Any

from experiments.amendments import changes_while_started
from experiments.amendments import is_same
from experiments.document import parse_document_to_save
from experiments.drafts import Begun
from experiments.drafts import version_of
from experiments.errors import InvalidDocument
from experiments.errors import Problem
from experiments.model import StoredExperiment
from service.setup.form import FORM
from service.setup.form import MORE
from service.setup.form import document_of
from service.setup.form import sheet_of
from service.setup.keys import with_keys
from service.setup.kinds import Sheet
from service.setup.names import sheet_of_texts
from service.setup.names import texts_of

#: The steps in order, each with the fields that it shows.
STEPS: dict[str, tuple[str, ...]] = {
    "basics": (
        "name", "key", "hypothesis", "objective", "currency", "audience", "local_evaluation", "decision_impact",
        "decision_override", MORE,
    ),
    "segments": ("attributes", "segments"),
    "messages": ("arms",),
    "metrics": ("metrics",),
    "policy": ("policy", "control_share"),
    "check": ("document",),
}
#: What a new experiment begins with: a comparison with sending nothing, and the policy that is recommended.
_NEW: dict[str, Any] = {
    "objective": "conversion",
    "currency": "EUR",
    "policy": {"kind": "thompson"},
    "control_share": 0.1,
    "arms": [
        {"key": "nothing", "role": "control"},
        {"key": "one-letter", "role": "mass", "channel": "email", "message": {"subject": "", "body": ""}},
    ],
    "metrics": [{"kind": "conversion", "role": "goal", "window": "14d"}],
}
_STARTED = ("running", "paused")
_ENDED = ("stopped", "archived")
_FREE = re.compile(r"name|hypothesis|audience|decision_.+|policy\..+")
_FREE_IN_SEGMENT = re.compile(r"segments\[([0-9]+)\]\.(name|review_by|special|legal_basis)")
_IN_ARM = re.compile(r"arms\[([0-9]+)\]")


@dataclass(frozen=True)
class Setup:
    """A set-up.

    Attributes:
        stored: the experiment; None while it has never been a document.
        sheet: what the form holds, trimmed.
        sample: the visitor of the preview, by the names of attributes.
        base: the version of the document that the form was made from.
        is_draft: whether the form holds something that has not become the document.
    """

    stored: StoredExperiment | None
    sheet: Sheet
    sample: dict[str, str]
    base: str
    is_draft: bool

    @property
    def is_started(self) -> bool:
        """Whether some of it is frozen."""
        return self.stored is not None and self.stored.state in _STARTED

    @property
    def has_ended(self) -> bool:
        """Whether all of it is frozen."""
        return self.stored is not None and self.stored.state in _ENDED

    @property
    def body(self) -> dict[str, Any]:
        """What a draft keeps of it."""
        return {"sheet": self.sheet if self.is_draft else None, "sample": self.sample, "base": self.base}


def opened(begun: Begun) -> Setup:
    """A set-up as it was left."""
    body: Mapping[str, Any] = begun.draft.body if begun.draft else {}
    version, kept = version_of(begun.stored), body.get("sheet")
    if kept is not None:
        return Setup(begun.stored, FORM.trimmed(kept), body["sample"], body["base"], True)
    document = _NEW if begun.stored is None else begun.stored.document
    return Setup(begun.stored, FORM.trimmed(sheet_of(document)), dict(body.get("sample", {})), version, False)


def prefilled(document: Mapping[str, Any]) -> Setup:
    """A set-up of a new experiment that begins with a document."""
    return Setup(None, FORM.trimmed(sheet_of(document)), {}, version_of(None), True)


def typed(setup: Setup, step: str, texts: list[tuple[str, Sheet]]) -> Setup:
    """The set-up with what was sent of one step, but for what is frozen."""
    sent = sheet_of_texts(texts)
    mine = {name: sent.get(name) for name in STEPS[step]}
    sheet = with_keys(FORM.trimmed({**setup.sheet, **mine}))
    # What it was made from the form itself says: somebody may have changed the document since it was opened.
    return replace(retyped(setup, sheet, sample=_sample(sent) or setup.sample), base=str(sent.get("base", "")))


def retyped(setup: Setup, sheet: Sheet, *, sample: dict[str, str] | None = None) -> Setup:
    """The set-up with another form, but for what is frozen."""
    whole = FORM.trimmed(sheet)
    if setup.stored is not None:
        whole = _with_frozen(FORM.trimmed(sheet_of(setup.stored.document)), whole, is_frozen(setup))
    return replace(setup, sheet=whole, sample=setup.sample if sample is None else sample, is_draft=True)


def is_frozen(setup: Setup) -> Callable[[str], bool]:
    """Says of a field, by its path, whether the experiment's state keeps it as it is."""
    stored = setup.stored
    if stored is None:
        return lambda path: False
    if setup.has_ended:
        return lambda path: True
    if not setup.is_started:
        return lambda path: path == "key"
    segments, arms = len(stored.experiment.segments), len(stored.experiment.arms)

    def frozen(path: str) -> bool:
        if found := _FREE_IN_SEGMENT.fullmatch(path):
            return int(found[1]) >= segments
        if found := _IN_ARM.match(path):
            return int(found[1]) < arms
        return not _FREE.fullmatch(path)

    return frozen


def faults(setup: Setup) -> list[Problem]:
    """Everything that keeps the form from becoming the document."""
    document, problems = document_of(setup.sheet)
    unread = tuple(problem.field for problem in problems)
    try:
        experiment = parse_document_to_save(document)
    except InvalidDocument as error:
        # What cannot be read is missing for that reason, which has been said.
        return [*problems, *(one for one in error.problems if not _concerns(one.field, unread))]
    if setup.stored is not None and setup.is_started and not problems:
        return changes_while_started(setup.stored.experiment, experiment)
    return problems


def is_changed(setup: Setup) -> bool:
    """Whether the form means another document than is stored."""
    return setup.stored is None or not is_same(document_of(setup.sheet).document, dict(setup.stored.document))


def _concerns(path: str, unread: tuple[str, ...]) -> bool:
    return any(field == path or field.startswith((f"{path}.", f"{path}[")) for field in unread)


def _sample(sent: Mapping[str, Any]) -> dict[str, str]:
    rows = sent.get("sample")
    found = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return {str(row.get("name", "")): str(row.get("value", "")) for row in found}


def _with_frozen(old: Sheet, new: Sheet, frozen: Callable[[str], bool]) -> Sheet:
    kept = [(path, text) for path, text in texts_of(old) if frozen(path)]
    free = [(path, text) for path, text in texts_of(new) if not frozen(path)]
    return FORM.trimmed(sheet_of_texts([*kept, *free]))
