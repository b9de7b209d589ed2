"""Rotation of the secret: what never changes is sealed with the new one; visitors stay who they are."""

from collections.abc import Callable

from experiments.audit import Change
from experiments.audit import Deed
from experiments.audit import log
from experiments.failpoints import Failpoint
from experiments.failpoints import reached
from experiments.signing import Succession
from experiments.storage.seals import seal_anew
from experiments.storage.session import Session
from experiments.storage.store import Store


def follow(store: Store, secrets: Succession, *, random: Callable[[int], bytes], deed: Deed) -> bool:
    """Let the current secret open the database in place of the previous one; False where it did already.

    :raises SecretMismatch: if neither does.
    """

    def all_of_it(session: Session) -> bool:
        if not seal_anew(session, secrets, random=random, now_ms=deed.now_ms):
            return False
        log(session, Change(None, "rotate", "secret"), deed=deed)
        reached(Failpoint.ROOT_SEALED)
        return True

    is_new = store.transact(all_of_it)
    if is_new:
        reached(Failpoint.ROTATION_COMMITTED)
    return is_new
