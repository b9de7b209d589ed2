"""What commands have in common that may ask a history instead of the database."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from experiments.history.record import ExportedHistory
from experiments.history.sources import DATABASE
from experiments.history.sources import Source
from experiments.storage.history_folder import HistoryFolder
from experiments.storage.history_folder import engine_of
from experiments.storage.history_folder import histories_in

_DEFAULT = "duckdb"


def history_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name a history, and what adds it up."""
    engine = click.option(
        "--engine",
        metavar="ENGINE",
        help="What adds a history up: duckdb, or a Spark master (spark://host:7077).  [default: duckdb]",
    )
    history = click.option("--history", metavar="FOLDER", help="Ask what `bespoke export` has written there.")
    return history(engine(command))


def source_of(key: str, history: str | None, engine: str | None) -> Source:
    """The history of an experiment, or its database where none is named."""
    if history is None:
        check_unnamed(engine)
        return DATABASE
    return ExportedHistory(HistoryFolder(Path(history), key), engine_of(engine or _DEFAULT))


def all_histories(history: str, engine: str | None) -> list[ExportedHistory]:
    """Every history of a folder."""
    adding = engine_of(engine or _DEFAULT)
    return [ExportedHistory(folder, adding) for folder in histories_in(Path(history))]


def check_unnamed(engine: str | None) -> None:
    """Refuse an engine where there is no history."""
    if engine is not None:
        raise click.UsageError(f"--engine {engine} adds up a history: name it with --history")
