"""The installation's root in its database: what the keys that never change are derived from, sealed with the secret."""

from collections.abc import Callable

from experiments.errors import InvalidSignature
from experiments.errors import SecretMismatch
from experiments.sealing import NONCE_BYTES
from experiments.sealing import seal
from experiments.sealing import unseal
from experiments.signing import Keyring
from experiments.signing import Succession
from experiments.signing import keyring
from experiments.storage.session import Session

_FINGERPRINT = "secret_fingerprint"
_SEAL = "root_seal"
_SEALED_MS = "root_sealed_ms"
_ROOT_BYTES = 32


def check_fingerprint(session: Session, fingerprint: str) -> None:
    """See that a database is of the installation with this fingerprint; one that is nobody's becomes its own.

    :raises SecretMismatch: if it is another's.
    """
    kept = session.meta.get(_FINGERPRINT)
    if kept is None:
        session.meta.set(_FINGERPRINT, fingerprint)
    elif kept != fingerprint:
        raise SecretMismatch("the database is another installation's: its visitors would be strangers to this one")


def found_keys(session: Session, secrets: Succession) -> Keyring:
    """The keys of the installation whose database this is.

    :raises SecretMismatch: if none of the secrets opens them.
    """
    return keyring(_root(session, secrets)[0], secrets)


def opens(session: Session, secrets: Succession) -> bool:
    """Whether one of the secrets opens the keys."""
    try:
        _root(session, secrets)
    except SecretMismatch:
        return False
    return True


def make_root(session: Session, secrets: Succession, *, random: Callable[[int], bytes]) -> None:
    """Draw a root for a database that is nobody's yet, and see that any other one opens."""
    if session.meta.get(_FINGERPRINT) is None:
        root = random(_ROOT_BYTES)
        session.meta.set(_FINGERPRINT, keyring(root).fingerprint)
        _keep(session, root, secret=secrets.current, random=random)
    found_keys(session, secrets)


def seal_anew(session: Session, secrets: Succession, *, random: Callable[[int], bytes], now_ms: int) -> bool:
    """Seal the root with the current secret; False where it is so already.

    :raises SecretMismatch: if none of the secrets opens it.
    """
    root, secret = _root(session, secrets)
    if secret == secrets.current:
        return False
    _keep(session, root, secret=secrets.current, random=random)
    session.meta.set(_SEALED_MS, str(now_ms))
    return True


def fingerprint_of(session: Session) -> str | None:
    """By which the installation is known, whichever secret it has; None where the database is nobody's."""
    return session.meta.get(_FINGERPRINT)


def sealed_ms(session: Session) -> int | None:
    """When the secret was changed last, in ms since 1970, UTC; None where it never was."""
    text = session.meta.get(_SEALED_MS)
    return None if text is None else int(text)


def _keep(session: Session, root: bytes, *, secret: bytes, random: Callable[[int], bytes]) -> None:
    session.meta.set(_SEAL, seal(root, secret=secret, nonce=random(NONCE_BYTES)))


def _root(session: Session, secrets: Succession) -> tuple[bytes, bytes]:
    """The root, and the secret that opens it."""
    text, fingerprint = session.meta.get(_SEAL), session.meta.get(_FINGERPRINT)
    if fingerprint is None:
        raise SecretMismatch("the database has no keys yet: `bespoke init` makes them")
    for secret in secrets.all():
        root = _opened(text, secret)
        if root is not None and keyring(root).fingerprint == fingerprint:
            return root, secret
    raise _mismatch()


def _opened(text: str | None, secret: bytes) -> bytes | None:
    """The root in a seal, or None; without a seal the first secret is the root itself, as it was at first."""
    if text is None:
        return secret
    try:
        return unseal(text, secret=secret)
    except InvalidSignature:
        return None


def _mismatch() -> SecretMismatch:
    return SecretMismatch(
        "BESPOKE_SECRET is not the secret of this database; with another one every visitor would be a stranger: bring"
        " it back, or, to change it, give the one that was good so far as BESPOKE_SECRET_PREVIOUS"
    )
