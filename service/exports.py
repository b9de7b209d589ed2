"""The tables of an experiment over HTTP, streamed however long they are."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from flask import Blueprint
from flask import Response

from experiments.errors import MissingExtra
from experiments.errors import UnknownExperiment
from experiments.exports import AGGREGATE
from experiments.exports import ROW_LEVEL
from experiments.exports import export
from service.auth import requires
from service.current import current_installation
from service.reference.operations import Answer
from service.reference.operations import Example
from service.reference.operations import Parameter
from service.reference.operations import TEXT
from service.reference.operations import describes
from service.tables.export_files import KINDS
from service.tables.export_files import file_of

bp = Blueprint("exports", __name__, url_prefix="/v1/experiments/<key>/export")

_CSV, _PARQUET = KINDS["csv"], KINDS["parquet"]
_FORMAT = f"<any({', '.join(KINDS)}):format>"


def _described(tables: tuple[str, ...]) -> dict[str, Any]:
    path = {"key": "spring-mailing", "format": "csv"}
    return {
        "answers": {
            200: Answer(
                TEXT,
                kind=_CSV,
                headers={"Content-Disposition": "a name for the file"},
                also={_PARQUET: {"type": "string", "format": "binary"}},
            )
        },
        "refuses": (UnknownExperiment, MissingExtra),
        "path": {"format": Parameter({"enum": [*KINDS]}, "the kind of file; Parquet needs the extra `parquet`")},
        "examples": {table: Example(path=path) for table in tables},
    }


@bp.get(f"/<any({', '.join(ROW_LEVEL)}):table>.{_FORMAT}")
@requires("admin")
@describes(**_described(ROW_LEVEL))
def rows(key: str, table: str, format: str) -> Response:
    """Exposures or outcomes, a row for each; visitors have names that are good for this experiment's exports alone."""
    return _streamed(key, table, format)


@bp.get(f"/<any({', '.join(AGGREGATE)}):table>.{_FORMAT}")
@requires("report")
@describes(**_described(AGGREGATE))
def aggregates(key: str, table: str, format: str) -> Response:
    """The weights of every row of the ledger, or the cells of counts, small ones without their figures."""
    return _streamed(key, table, format)


def _streamed(key: str, table: str, format: str) -> Response:
    installation = current_installation()
    found = export(
        installation.store, key, table, keyring=installation.keyring, min_cell=installation.config.min_cell
    )
    response = Response(_begun(file_of(found, format)), content_type=KINDS[format])
    response.headers["Content-Disposition"] = f'attachment; filename="{key}-{table}.{format}"'
    return response


def _begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces, of which the first is written already: what cannot be had is refused while there is a status."""
    return chain([next(pieces)], pieces)
