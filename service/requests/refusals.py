"""Refusals of an operation: by status, the stable codes that its answers may carry."""

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Mapping

from experiments.errors import BespokeError
from experiments.errors import LogUnreachable
from experiments.errors import PartialData
from experiments.errors import StorageBusy
from experiments.errors import StorageDamaged
from experiments.errors import StorageError
from experiments.errors import StorageFull
from service import auth
from service.errors import status_of
from service.reference.operations import Operation
from service.requests import bodies
from service.requests import idempotency
from service.requests import throttle

Codes = Mapping[int, Iterable[str]]

_NOTHING_THERE: Codes = {404: ("not_found",)}
_STORAGE = (StorageError, StorageBusy, StorageDamaged, StorageFull, LogUnreachable, PartialData)


def refusals(operation: Operation, *, scope: str | None, has_path: bool) -> dict[int, list[str]]:
    """Every refusal of an operation, those at the door and those of its use case."""
    doors: list[Codes] = [operation.codes, _of(operation.refuses)]
    if scope is not None:
        doors += [auth.REFUSALS, _of(_STORAGE)]
    if scope == "client":
        doors.append(throttle.REFUSALS)
    if operation.body is not None:
        doors.append(bodies.REFUSALS)
    if operation.is_repeatable:
        doors += [idempotency.REFUSALS, {413: bodies.REFUSALS[413]}]
    if has_path:
        doors.append(_NOTHING_THERE)
    return _merged(doors)


def _of(errors: Iterable[type[BespokeError]]) -> Codes:
    codes: dict[int, list[str]] = defaultdict(list)
    for error in errors:
        codes[status_of(error)].append(error.code)
    return codes


def _merged(doors: Iterable[Codes]) -> dict[int, list[str]]:
    merged: dict[int, list[str]] = defaultdict(list)
    for codes in doors:
        for status, words in codes.items():
            merged[status] += words
    return {status: sorted(set(words)) for status, words in sorted(merged.items())}
