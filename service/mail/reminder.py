"""The reminder: which segments are to be looked at, as an e-mail to those who get the digest."""

from collections.abc import Sequence
from email.message import EmailMessage

from experiments.review.reminders import Reminder
from service.installation import Installation
from service.mail.letters import home
from service.mail.letters import letter

_WORDS = {"due": "is to be looked at: its day was set to {day}", "soon": "is to be looked at by {day}"}


def reminder(installation: Installation, found: Sequence[Reminder]) -> EmailMessage:
    """The e-mail about some segments, to those whom the settings name."""
    segments = "1 segment" if len(found) == 1 else f"{len(found)} segments"
    config = installation.config
    message = letter(installation, f"Bespoke: {segments} to review", recipients=config.digest_to)
    message.set_content("\n".join(_lines(one, home(config)) for one in found))
    return message


def _lines(one: Reminder, address: str) -> str:
    words = _WORDS[one.stage].format(day=one.review_by)
    return f"{one.segment} of {one.experiment} {words}.\n{address}/experiments/{one.experiment}/review\n"
