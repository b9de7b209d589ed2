"""Links to a report: an address that opens one experiment's page until it expires, without a login."""

from urllib.parse import quote

import msgspec

from experiments.errors import InvalidSignature
from experiments.signing import Keyring
from experiments.signing import sign
from experiments.signing import unsign


def report_link(key: str, *, address: str, expires_ms: int, keyring: Keyring) -> str:
    """The address of an experiment's page, signed; `address` is the server's, without a slash at its end."""
    text = sign(msgspec.json.encode([key, expires_ms]), key=keyring.links)
    return f"{address}/experiments/{quote(key, safe='')}?link={text}"


def read_link(text: str, key: str, *, now_ms: int, keyring: Keyring) -> int:
    """When the link ends (ms since 1970, UTC), if it opens this experiment's page now.

    :raises InvalidSignature: if it was not signed here, is for another experiment, or has expired.
    """
    payload = unsign(text, key=keyring.links)
    try:
        linked, expires_ms = msgspec.json.decode(payload, type=tuple[str, int])
    except msgspec.DecodeError as error:
        raise InvalidSignature("the link holds something else") from error
    if linked != key:
        raise InvalidSignature("the link is for another experiment")
    if expires_ms <= now_ms:
        raise InvalidSignature("the link has expired")
    return expires_ms
