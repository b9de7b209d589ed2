"""Acts: everything that somebody may do to an experiment by a word."""

from typing import get_args

from experiments.audit import Deed
from experiments.holds import HOLDING
from experiments.holds import Hold
from experiments.holds import finish
from experiments.holds import freeze
from experiments.holds import unbar
from experiments.holds import unfreeze
from experiments.lifecycle import STEPS
from experiments.lifecycle import Act
from experiments.lifecycle import act
from experiments.model import State
from experiments.model import StoredExperiment
from experiments.restraints import Restraints
from experiments.storage.store import Store

AnyAct = Act | Hold

ACTS: tuple[AnyAct, ...] = (*get_args(Act), *get_args(Hold))

_STATES: dict[AnyAct, tuple[State, ...]] = {
    **{name: states for name, (states, _) in STEPS.items()}, **dict.fromkeys(get_args(Hold), HOLDING)
}


def do(store: Store, key: str, name: AnyAct, *, deed: Deed) -> StoredExperiment:
    """Do what a word asks.

    :raises UnknownExperiment: if there is none.
    :raises InvalidTransition: if the experiment's state does not allow it.
    """
    match name:
        case "freeze":
            return freeze(store, key, deed=deed)
        case "unfreeze":
            return unfreeze(store, key, deed=deed)
        case "finish":
            return finish(store, key, deed=deed)
        case "unbar":
            return unbar(store, key, deed=deed)
    return act(store, key, name, deed=deed)


def states_for(name: AnyAct) -> tuple[State, ...]:
    """The states in which something may be done."""
    return _STATES[name]


def open_acts(state: State, restraints: Restraints) -> list[AnyAct]:
    """What may be done to an experiment now."""
    closed = {"freeze" if restraints.is_frozen else "unfreeze", *(() if restraints.barred else ("unbar",))}
    return [name for name in ACTS if state in _STATES[name] and name not in closed]
