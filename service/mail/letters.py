"""Letters: the e-mails of the service, as far as all of them are alike."""

from collections.abc import Sequence
from datetime import datetime
from datetime import timezone
from email.message import EmailMessage
from email.utils import format_datetime
from email.utils import make_msgid

from service.config import Config
from service.installation import Installation
from service.mail.relay import Relay
from service.requests.address import Address

DOMAIN = "bespoke.invalid"


def letter(installation: Installation, subject: str, *, recipients: Sequence[str]) -> EmailMessage:
    """An e-mail without its text."""
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = f"Bespoke <{_sender(installation.config.relay)}>"
    message["To"] = ", ".join(recipients)
    message["Date"] = format_datetime(datetime.fromtimestamp(installation.clock.now_ms() / 1000, timezone.utc))
    message["Message-ID"] = make_msgid(domain=DOMAIN)
    return message


def _sender(relay: Relay | None) -> str:
    """Relays take what comes from their own users, or from their own domain."""
    if relay is None:
        return "bespoke@localhost"
    return relay.user if "@" in relay.user else f"bespoke@{relay.host}"


def home(config: Config) -> str:
    """Where readers of a letter find the service, without a slash at its end."""
    return config.address or str(Address(config.host, config.port))
