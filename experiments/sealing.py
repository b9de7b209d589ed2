"""Seals: a key kept where others may look, which nobody opens without the secret that it was sealed with.

The standard library has no cipher, and one key of a few bytes needs none: HMAC-SHA256 counts out a stream that hides
it, a pseudorandom function in counter mode (M. Bellare, A. Desai, E. Jokipii and P. Rogaway, "A concrete security
treatment of symmetric encryption", FOCS 1997), and what comes of that is signed: encrypt, then authenticate (M. Bellare
and C. Namprempre, "Authenticated encryption", ASIACRYPT 2000). A nonce that is drawn for each seal keeps two of them
from having a stream in common.
"""

import hmac

from experiments.signing import Succession
from experiments.signing import derive_key
from experiments.signing import sign
from experiments.signing import unsign

NONCE_BYTES = 16
_BLOCK_BYTES = 32


def seal(key: bytes, *, secret: bytes, nonce: bytes) -> str:
    """The key as a text that only `secret` opens; the nonce must be new."""
    return sign(nonce + _hidden(key, secret, nonce), key=Succession(secret).derived("seals"))


def unseal(text: str, *, secret: bytes) -> bytes:
    """The key in a seal.

    :raises InvalidSignature: if it was sealed with another secret, or is not what was sealed.
    """
    opened = unsign(text, key=Succession(secret).derived("seals"))
    nonce, hidden = opened[:NONCE_BYTES], opened[NONCE_BYTES:]
    return _hidden(hidden, secret, nonce)


def _hidden(data: bytes, secret: bytes, nonce: bytes) -> bytes:
    """Data under the stream of a nonce; done twice, as it was."""
    return bytes(byte ^ other for byte, other in zip(data, _stream(len(data), secret, nonce), strict=True))


def _stream(length: int, secret: bytes, nonce: bytes) -> bytes:
    key, numbers = derive_key(secret, "sealing"), range(length // _BLOCK_BYTES + 1)
    return b"".join(hmac.digest(key, nonce + number.to_bytes(4), "sha256") for number in numbers)[:length]
