"""Everything that Bespoke refuses, by name.

BespokeError
├── InvalidDocument        a document that cannot work: one problem per field
├── UnknownExperiment      no experiment of that key (draft and archived ones too, for evaluations)
├── ExperimentExists       a second experiment of the same key
├── InvalidTransition      an act that the experiment's state does not allow
├── FrozenDocument         a change that a started experiment does not allow
├── VerdictChanged         a verdict that was confirmed and is no longer what it was
├── InvalidReason          a reason that cannot be kept
├── UnknownSegment         no segment of that key in the document
├── InvalidReview          a review that cannot be kept
├── IdempotencyKeyReused   a key of one request on another
├── InvalidContext         an evaluation context that cannot be used (`code` says which way)
│   └── Capped             a visitor who has been exposed as often as a cap allows
├── RejectedEvent          an event that cannot be counted (`code` says why)
├── InvalidKey             a key that cannot be made as asked
├── UnknownKey             no key of that prefix that has not ended
├── InvalidUser            a user that cannot be made as asked
├── UserExists             a second user of the same e-mail
├── UnknownUser            no user of that e-mail
├── WrongLogin             an e-mail and a password that let nobody in
├── InvalidSignature       a token or link that was not signed here, or is not for this
├── InvalidSetting         a setting that stops start-up
├── SecretMismatch         a secret that is not the one the database was made with
├── UnansweredPast         a log too short for any what-if
├── NothingToDiscover      an experiment that stores too little to find segments by
├── UnknownProposal        a segment that discovery does not propose
├── MissingExtra           a form of output that needs a package which is not installed
├── InvalidShard           a shard, a partition or a spool that is not there, or not as asked
├── InvalidBackup          a backup that cannot be made or restored
└── StorageError           the database cannot do it now
    ├── StorageBusy        another process holds the lock; try again
    ├── StorageFull        no space left; try again later
    ├── StorageDamaged     the file is not a sound database
    ├── StorageLocked      another server serves this file
    ├── LogUnreachable     the log does not take events
    ├── Fenced             another worker has taken the partition
    └── PartialData        not everything received has been counted yet
"""

from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class BespokeError(Exception):
    """The root: `code` is stable and part of the API, the text names the value and the rule."""

    code = "error"


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a document: where, what was found, and the rule it breaks."""

    field: str
    value: object
    rule: str

    def __str__(self) -> str:
        return f"{self.field}: {shown(self.value)} {self.rule}"


def shown(value: object) -> str:
    """A value short enough for a sentence."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


class InvalidDocument(BespokeError):
    """The experiment document cannot work; `problems` lists every fault found."""

    code = "invalid_document"

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))


class UnknownExperiment(BespokeError):
    """There is no experiment of this key."""

    code = "unknown_experiment"

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"experiment {shown(key)} does not exist")


class ExperimentExists(BespokeError):
    """An experiment of this key exists already."""

    code = "experiment_exists"


class InvalidTransition(BespokeError):
    """The experiment's state does not allow this act."""

    code = "invalid_state"


class FrozenDocument(BespokeError):
    """The experiment's state does not allow this change; `problems` lists what is frozen, where that is a part."""

    code = "frozen"

    def __init__(self, text: str, problems: Iterable[Problem] = ()) -> None:
        self.problems = list(problems)
        super().__init__(text)


class VerdictChanged(BespokeError):
    """The verdict that was confirmed is no longer what it was."""

    code = "verdict_changed"


class InvalidReason(BespokeError):
    """The reason cannot be kept."""

    code = "invalid_reason"


class UnknownSegment(BespokeError):
    """The document has no segment of this key."""

    code = "unknown_segment"


class InvalidReview(BespokeError):
    """The day of the next review cannot be kept."""

    code = "invalid_review"


class IdempotencyKeyReused(BespokeError):
    """The idempotency key came with another request before."""

    code = "idempotency_key_reused"


class InvalidContext(BespokeError):
    """The evaluation context cannot be used."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        super().__init__(detail)


class Capped(InvalidContext):
    """The visitor has been exposed as often as a frequency cap allows, and is left out."""

    def __init__(self, detail: str) -> None:
        super().__init__("capped", detail)


class RejectedEvent(BespokeError):
    """The event cannot be counted; nothing of it is stored."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        super().__init__(detail)


class InvalidKey(BespokeError):
    """A key cannot be made as asked."""

    code = "invalid_key"


class UnknownKey(BespokeError):
    """There is no key of this prefix that has not ended."""

    code = "unknown_key"

    def __init__(self, prefix: str) -> None:
        super().__init__(f"prefix: {shown(prefix)} is of no key that has not ended; `bespoke key list` lists them")


class InvalidUser(BespokeError):
    """A user cannot be made as asked."""

    code = "invalid_user"


class UserExists(BespokeError):
    """A user of this e-mail exists already."""

    code = "user_exists"


class UnknownUser(BespokeError):
    """There is no user of this e-mail."""

    code = "unknown_user"

    def __init__(self, email: str) -> None:
        super().__init__(f"e-mail: {shown(email)} is of no user; `bespoke user list` lists them")


class LastAdmin(BespokeError):
    """Without this user nobody could change anything any more."""

    code = "last_admin"

    def __init__(self, email: str) -> None:
        super().__init__(f"e-mail: {shown(email)} is of the only admin, who stays one until there is another")


class WrongLogin(BespokeError):
    """The e-mail and the password let nobody in."""

    code = "wrong_login"


class InvalidSignature(BespokeError):
    """The token or link was not signed here, is not for this use, or has expired."""

    code = "invalid_signature"


class InvalidSetting(BespokeError):
    """A setting has a value that it cannot have."""

    code = "invalid_setting"


class SecretMismatch(BespokeError):
    """The secret is not the one the database was made with."""

    code = "secret_mismatch"


class InvalidBackup(BespokeError):
    """A backup cannot be made there, or not be restored here."""

    code = "invalid_backup"


class InvalidShard(BespokeError):
    """A shard cannot be added as asked, or is not there."""

    code = "invalid_shard"


class UnansweredPast(BespokeError):
    """The log is too short to say anything of what might have been."""

    code = "unanswered_past"


class NothingToDiscover(BespokeError):
    """The experiment stores no attribute, or of too few visitors, to find segments by."""

    code = "nothing_to_discover"


class UnknownProposal(BespokeError):
    """Discovery does not, or no longer, propose this segment."""

    code = "unknown_proposal"


class MissingExtra(BespokeError):
    """A package that this needs is not installed."""

    code = "missing_extra"


class StorageError(BespokeError):
    """The database cannot do it now."""

    code = "storage_unavailable"


class StorageBusy(StorageError):
    """Another process holds the database's write lock."""

    code = "storage_busy"


class StorageFull(StorageError):
    """There is no space left for the database."""

    code = "storage_full"


class StorageDamaged(StorageError):
    """The file is not a sound database."""

    code = "storage_damaged"


class StorageUnreachable(StorageError):
    """The database's server does not answer, or lets nobody in."""

    code = "storage_unreachable"


class NotLookedUp(StorageUnreachable):
    """What a visitor's exposures fixed cannot be looked up now; `known` are those remembered, by experiment."""

    def __init__(self, text: str, known: Mapping[str, Any]) -> None:
        super().__init__(text)
        self.known = known


class StorageLocked(StorageError):
    """Another server serves this file."""

    code = "storage_locked"


class LogUnreachable(StorageError):
    """The log does not answer, or cannot be used."""

    code = "log_unreachable"


class Fenced(StorageError):
    """Another worker has taken the partition: nothing of this one is kept."""

    code = "fenced"


class PartialData(StorageError):
    """Not everything received has been counted yet, and nothing is decided from a part."""

    code = "partial_data"
