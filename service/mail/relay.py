"""The relay: the SMTP server that e-mails are handed to."""

import smtplib
import ssl
from email.message import EmailMessage
from typing import NamedTuple
from urllib.parse import unquote
from urllib.parse import urlsplit

from experiments.errors import BespokeError

_PORTS = {"smtp": 25, "smtps": 465}
_PATIENCE_SECONDS = 20


class NotSent(BespokeError):
    """The relay did not take an e-mail."""

    code = "not_sent"


class Relay(NamedTuple):
    """Where the relay is; `smtps` speaks TLS from the start, `smtp` where it is offered, and always with a password."""

    scheme: str
    host: str
    port: int
    user: str
    password: str


def parse_relay(text: str) -> Relay | None:
    """The relay of an address like smtp://user:password@host:587; None for `off`.

    Raises ValueError where it is none.
    """
    if text == "off":
        return None
    parts = urlsplit(text)
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("must be smtp://user:password@host:port, smtps://…, or off")
    port = parts.port or _PORTS[parts.scheme]
    return Relay(parts.scheme, parts.hostname, port, unquote(parts.username or ""), unquote(parts.password or ""))


def send(message: EmailMessage, relay: Relay) -> None:
    """Hand an e-mail over.

    :raises NotSent: if the relay does not take it.
    """
    try:
        with _connected(relay) as connection:
            if relay.scheme == "smtp" and (relay.password or connection.has_extn("starttls")):
                connection.starttls(context=ssl.create_default_context())
                connection.ehlo()
            if relay.user:
                connection.login(relay.user, relay.password)
            connection.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        # An answer of the relay's may repeat what it was told; only its kind is passed on.
        why = type(error).__name__
        raise NotSent(f"the relay {relay.host}:{relay.port} did not take the e-mail ({why})") from error


def _connected(relay: Relay) -> smtplib.SMTP:
    if relay.scheme == "smtps":
        return smtplib.SMTP_SSL(
            relay.host, relay.port, timeout=_PATIENCE_SECONDS, context=ssl.create_default_context()
        )
    connection = smtplib.SMTP(relay.host, relay.port, timeout=_PATIENCE_SECONDS)
    connection.ehlo()
    return connection
