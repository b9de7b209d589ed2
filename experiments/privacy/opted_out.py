"""Who objects to being counted and tailored for, as a process holds it in memory."""

from typing import NamedTuple

from experiments.signing import Keyring
from experiments.signing import pseudonym
from experiments.storage.session import Session


class OptedOut(NamedTuple):
    """The stand-ins of all who object, as of a version."""

    version: int = 0
    visitors: frozenset[bytes] = frozenset()

    def holds(self, visitor: str, *, keyring: Keyring) -> bool:
        """Whether a visitor objects; where nobody does, no stand-in is made."""
        return bool(self.visitors) and pseudonym(visitor, key=keyring.visitors) in self.visitors


def take_opted_out(session: Session, *, version: int, previous: OptedOut) -> OptedOut:
    """Those of the present version, by those of an earlier one and what has changed since."""
    if version == previous.version:
        return previous
    changed = session.opt_outs.after(previous.version)
    gone = {visitor for visitor, is_out in changed.items() if not is_out}
    return OptedOut(version, (previous.visitors | changed.keys()) - gone)
