"""Discovered segments put to the test: a draft of the same experiment, with the proposed segment as one of its own."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from itertools import chain
from itertools import count
from typing import Any
from typing import NamedTuple

from experiments.audit import Deed
from experiments.discovery.proposals import Proposal
from experiments.discovery.proposals import discover
from experiments.document import MAX_HYPOTHESIS
from experiments.errors import UnknownProposal
from experiments.errors import shown
from experiments.lifecycle import create
from experiments.lifecycle import find
from experiments.model import EVERYONE_ELSE
from experiments.model import StoredExperiment
from experiments.reading.segments import MAX_NAME
from experiments.storage.session import Session
from experiments.storage.store import Store

_LONGEST_KEY = 64
_DISCOVERED = "discovered"
_SUFFIX = f"-{_DISCOVERED}"
#: What a segment is that parts everyone else.
_KIND = "behavioral"


class Wanted(NamedTuple):
    """Which proposal is wanted, by its arm and its rule."""

    arm: str
    rule: Mapping[str, Any]


def draft_of(
    store: Store, key: str, wanted: Wanted, *, words: Callable[[Mapping[str, Any]], str], min_cell: int, deed: Deed
) -> StoredExperiment:
    """Make a draft that tests a proposal, whose rule is said to people in `words`.

    :raises UnknownExperiment: if there is none.
    :raises UnknownProposal: if it is not, or no longer, proposed.
    """
    proposals = discover(store, key, min_cell=min_cell).proposals
    proposal = next((one for one in proposals if (one.arm, one.rule) == wanted), None)
    if proposal is None:
        raise UnknownProposal(f"rule: {shown(wanted.rule)} is not, or no longer, proposed for {key!r}")

    def document(session: Session) -> dict[str, Any]:
        taken = {row.key for row in session.experiments.all()}
        free = _free(key + _SUFFIX, taken)
        return put_to_test(find(session, key).document, proposal, key=free, words=words(proposal.rule))

    return create(store, store.read(document), deed=deed)


def put_to_test(document: Mapping[str, Any], proposal: Proposal, *, key: str, words: str) -> dict[str, Any]:
    """The document of the same experiment with the proposed segment, in which everybody can have the arms of before.

    A segment that the rule parts becomes two, the discovered one before the rest.
    """
    segments = document.get("segments", [])
    keys = _new_keys(proposal.segments, taken=[segment["key"] for segment in segments])
    found = f"{proposal.arm} does {_better(proposal)} against {proposal.against} than elsewhere"
    return {
        **document,
        "key": key,
        "name": _cut(f"{document.get('name') or document['key']}: {words}"),
        "hypothesis": _cut(f"Where {words}, {found}.", longest=MAX_HYPOTHESIS),
        "segments": list(_segments(segments, keys, proposal.rule, words=words)),
        "arms": [_opened(arm, keys) for arm in document["arms"]],
    }


def _new_keys(parted: Collection[str], *, taken: Collection[str]) -> dict[str, str]:
    """A key for the new part of each segment."""
    keys: dict[str, str] = {}
    for segment in parted:
        wished = _DISCOVERED if segment == EVERYONE_ELSE else segment + _SUFFIX
        keys[segment] = _free(wished, {*taken, *keys.values()})
    return keys


def _segments(
    segments: Collection[Mapping[str, Any]], keys: Mapping[str, str], rule: Mapping[str, Any], *, words: str
) -> Iterator[Mapping[str, Any]]:
    for segment in segments:
        if segment["key"] in keys:
            name = _cut(f"{segment.get('name') or segment['key']}: {words}")
            both = {"$and": [segment["rule"], rule]}
            yield {**segment, "key": keys[segment["key"]], "name": name, "rule": both}
        yield segment
    if EVERYONE_ELSE in keys:
        yield {"key": keys[EVERYONE_ELSE], "name": _cut(words), "kind": _KIND, "rule": rule}


def _opened(arm: Mapping[str, Any], keys: Mapping[str, str]) -> Mapping[str, Any]:
    """The arm, open to the new parts of its segments too."""
    if "segments" not in arm:
        return arm
    return {**arm, "segments": [*arm["segments"], *(keys[segment] for segment in arm["segments"] if segment in keys)]}


def _better(proposal: Proposal) -> str:
    return "better" if proposal.difference.mean > 1 else "worse"


def _free(key: str, taken: Collection[str]) -> str:
    """The key, or another like it where it is taken or too long."""
    endings = chain([""], (f"-{number}" for number in count(2)))
    return next(one for ending in endings if (one := key[: _LONGEST_KEY - len(ending)] + ending) not in taken)


def _cut(text: str, *, longest: int = MAX_NAME) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
