"""Acts in words: what each does, before somebody confirms it. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

from experiments.acts import AnyAct
from experiments.final_allocation import Finals
from experiments.model import Experiment
from service.report.verdict_view import TITLES


class Act(NamedTuple):
    """What may be done: its name, its button, what it does, and whether nothing takes it back."""

    name: AnyAct
    title: str
    effect: str
    is_grave: bool = False


class Winner(NamedTuple):
    """What everybody of a segment would get, and the call that says so."""

    segment: str
    call: str
    arm: str
    role: str


_WORDS: Mapping[AnyAct, Act] = {
    act.name: act
    for act in (
        Act(
            "start", "Start",
            "From now on visitors get their messages and are counted. Rules, metrics and roles no longer change.",
        ),
        Act(
            "pause", "Pause",
            "Who comes new gets the one message and is not counted; who has seen a message keeps it, until you resume.",
        ),
        Act("resume", "Resume", "Visitors are assigned and counted again, by the weights as they stand."),
        Act(
            "finish", "Send everybody the winner",
            "Each segment gets the message that won there, the one message where nothing has. It keeps running and "
            "counting, and undoing it brings the weights of before back.",
        ),
        Act(
            "freeze", "Freeze the weights",
            "Traffic stays divided as it is now. Visitors are assigned and counted as before, until you undo it.",
        ),
        Act(
            "unfreeze", "Undo, and let traffic move",
            "The weights of before they were held come back, and traffic moves by itself again. If the service froze "
            "them, it will do so again only if as much speaks for it once more.",
        ),
        Act(
            "unbar", "Let barred messages back in",
            "Messages that lost their traffic for breaking a limit may be given again, step by step. The service bars "
            "them again only if as much speaks against them once more.",
        ),
        Act(
            "stop", "Stop for good",
            "Nobody new is counted; what visitors still do counts until their time is over. The last weights stay.",
            is_grave=True,
        ),
        Act(
            "archive", "Archive",
            "It no longer answers: slots show what they show without it. Its report and its ledger stay.",
            is_grave=True,
        ),
    )
}


def acts_view(names: Sequence[AnyAct]) -> Iterator[Act]:
    """What may be done now, what nothing takes back last."""
    return (act for name, act in _WORDS.items() if name in names)


def act_view(name: AnyAct) -> Act:
    """One act."""
    return _WORDS[name]


def winners(experiment: Experiment, finals: Finals) -> list[Winner]:
    """What every segment would get."""
    return [
        Winner(
            segment,
            TITLES[final["call"]] if final["call"] else "Without personal messages",
            final["arm"],
            experiment.arm_by_key[final["arm"]].role,
        )
        for segment, final in finals.items()
    ]
