"""Drafts: what somebody has typed of an experiment, kept until it is a document or is thrown away."""

from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from experiments.chains import canonical
from experiments.chains import digest
from experiments.lifecycle import find
from experiments.model import StoredExperiment
from experiments.storage.drafts import DraftRow
from experiments.storage.session import Session
from experiments.storage.store import Store

#: The experiment of a draft that has none yet.
NEW = ""


class Begun(NamedTuple):
    """What there is to go on with: the experiment as stored and one's own draft, None where there is none."""

    stored: StoredExperiment | None
    draft: DraftRow | None


def begun(store: Store, email: str, experiment: str) -> Begun:
    """What somebody has of an experiment, or of a new one.

    :raises UnknownExperiment: if there is no such experiment.
    """

    def work(session: Session) -> Begun:
        stored = None if experiment == NEW else find(session, experiment)
        return Begun(stored, session.drafts.get(email, experiment))

    return store.read(work)


def keep_draft(store: Store, email: str, experiment: str, body: Mapping[str, Any], *, now_ms: int) -> None:
    """Keep what somebody has typed, in place of what they had typed before."""
    row = DraftRow(email, experiment, dict(body), now_ms)
    store.transact(lambda session: session.drafts.keep(row))


def discard_draft(store: Store, email: str, experiment: str) -> None:
    """Throw a draft away."""
    store.transact(lambda session: session.drafts.remove(email, experiment))


def version_of(stored: StoredExperiment | None) -> str:
    """What tells one document of an experiment from the next; empty where there is none."""
    return "" if stored is None else digest(canonical(stored.document))
