"""Stored contexts: an experiment's visitors by what is stored of their attributes, whichever databases have them."""

from collections import Counter
from functools import partial

from experiments.counting import most_of
from experiments.model import Experiment
from experiments.storage.contexts import ContextRow
from experiments.storage.contexts import summed
from experiments.storage.parts import Part
from experiments.storage.session import Session
from experiments.storage.store import Store


def stored_contexts(store: Store, experiment: Experiment) -> list[ContextRow]:
    """The visitors of whom a context is stored, by what they reached of the goal."""
    goal, most = experiment.goal, most_of(experiment.goal, currency=experiment.currency)

    def read(part: Part, session: Session) -> list[ContextRow]:
        return session.contexts.of(part.span, experiment.key, metric=goal.key, most=most)

    return summed(part.read(partial(read, part)) for part in store.parts())


def past_contexts(store: Store, experiment: Experiment, *, before_ms: int) -> list[ContextRow]:
    """The same of the visitors exposed before a time; those of whom no context is stored have an empty one."""
    goal, most = experiment.goal, most_of(experiment.goal, currency=experiment.currency)

    def read(part: Part, session: Session) -> list[ContextRow]:
        return session.contexts.past(part.span, experiment.key, metric=goal.key, most=most, before_ms=before_ms)

    return summed(part.read(partial(read, part)) for part in store.parts())


def dated_contexts(store: Store, key: str) -> list[tuple[str, int, int]]:
    """How many visitors have each context, by the UTC day of first exposure, in days since 1970."""
    visitors = Counter[tuple[str, int]]()
    for part in store.parts():
        for context, day, n in part.read(partial(_dated, part, key)):
            visitors[context, day] += n
    return [(*place, n) for place, n in sorted(visitors.items())]


def _dated(part: Part, key: str, session: Session) -> list[tuple[str, int, int]]:
    return session.contexts.dated(part.span, key)
