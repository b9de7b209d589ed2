"""The command that asks a past what another policy would have earned."""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import IO

import click
import msgspec
import numpy as np

from experiments.errors import shown
from experiments.history.sources import Source
from experiments.metric_kinds import MetricUnit
from experiments.model import Policy
from experiments.reading.shapes import Refusal
from experiments.reading.values import currency_code
from experiments.reading.values import number as amount
from experiments.replay.past import Past
from experiments.replay.records import Replay
from experiments.replay.records import answered
from experiments.replay.records import replay as replay_experiment
from service.commands.histories import history_options
from service.commands.histories import source_of
from service.commands.opened import config_in_force
from service.commands.opened import opened
from service.replay.logged_table import Asked
from service.replay.logged_table import InvalidQuestion
from service.replay.logged_table import MOST
from service.replay.logged_table import read_past
from service.replay.text import replay_text
from service.tables.cells import number
from service.tables.progress import watched
from service.tables.reader import Table


def _json(found: Replay) -> str:
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()


_FORMATS: dict[str, Callable[[Replay], str]] = {"text": replay_text, "json": _json}
_PROPENSITY = "propensity"
_MONEY = amount(-MOST, MOST)


@click.command()
@click.argument("past", metavar="KEY|FILE.csv")
@click.option("--arm", default="arm", show_default=True, help="The column that names each visitor's arm.")
@click.option(
    "--outcome", default="outcome", show_default=True, help="The column of what came of it: a number, true or false."
)
@click.option(
    "--propensity", help="The column with the chance that the visitor's arm had; `propensity` if there is such a one, "
    "else all arms were equally likely.",
)
@click.option(
    "--segment", "segments", multiple=True, help="A column by which arms could have been chosen; may be repeated."
)
@click.option("--visitor", help="The column that names visitors, each in one row.")
@click.option("--mass", help="The arm that gains are over; the first one if not given.")
@click.option("--value", help="What one of the outcome is worth.")
@click.option(
    "--cost", "costs", multiple=True, metavar="ARM=AMOUNT", help="What an arm costs a visitor; may be repeated."
)
@click.option("--currency", default="EUR", show_default=True, help="Of value and costs.")
@click.option("--format", "kind", type=click.Choice([*_FORMATS]), default="text", show_default=True)
@history_options
def replay(past: str, kind: str, history: str | None, engine: str | None, **asked: Any) -> None:
    """Ask what other policies would have earned with the same visitors: one message for all, one for each segment.

    KEY is an experiment; FILE.csv a table of any randomised experiment, a visitor a row (`-` reads stdin). Where the
    log cannot tell, it says so.

    \b
    Example:
      bespoke replay spring-mailing
      bespoke replay spring-mailing --history history
      bespoke replay hillstrom.csv --arm segment --outcome visit --segment womens --segment mens
    """
    if past == "-" or past.endswith(".csv"):
        if history is not None or engine is not None:
            raise InvalidQuestion(f"history: only an experiment has one, and {past!r} is a table")
        with click.open_file(past, "rb") as file:
            found = _of_table(file, asked)
    else:
        found = _of_experiment(past, asked, source_of(past, history, engine))
    text = _FORMATS[kind](found)
    click.echo(text, nl=not text.endswith("\n"))


def _of_experiment(key: str, asked: Mapping[str, Any], source: Source) -> Replay:
    context = click.get_current_context()
    for name in asked:
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            raise InvalidQuestion(f"{name}: only a table has it, and {key!r} does not end in .csv")
    with opened() as installation:
        now_ms, min_cell = installation.clock.now_ms(), installation.config.min_cell
        return replay_experiment(installation.store, key, now_ms=now_ms, min_cell=min_cell, source=source)


def _of_table(file: IO[bytes], asked: Mapping[str, Any]) -> Replay:
    table = Table(file)
    question = _question(table, asked)
    past = read_past(table, question, watched=watched)
    return answered(
        past,
        name=table.name,
        goal=question.outcome,
        unit=_unit(past),
        currency=_currency(asked["currency"]) if "profit" in past.logs else None,
        before=None,
        epsilon=Policy().epsilon,
        roles={},
        min_cell=config_in_force().min_cell,
    )


def _question(table: Table, asked: Mapping[str, Any]) -> Asked:
    propensity = asked["propensity"] or (_PROPENSITY if _PROPENSITY in table.columns else None)
    value = None if asked["value"] is None else _amount("value", asked["value"], rule="must be an amount")
    columns = {name: asked[name] for name in ("arm", "outcome", "segments", "visitor", "mass")}
    return Asked(**columns, propensity=propensity, value=value, costs=dict(map(_cost, asked["costs"])))


def _cost(text: str) -> tuple[str, float]:
    arm, _, amount = text.rpartition("=")
    return arm, _amount("cost", amount, rule="must be an arm, = and an amount, such as letter=0.6")


def _amount(name: str, text: str, *, rule: str) -> float:
    try:
        return _MONEY(number(text))
    except (Refusal, ValueError) as error:
        raise InvalidQuestion(f"{name}: {shown(text)} {rule}") from error


def _currency(code: str) -> str:
    try:
        return currency_code(code)
    except Refusal as error:
        raise InvalidQuestion(f"currency: {shown(code)} {error}") from error


def _unit(past: Past) -> MetricUnit:
    log = past.logs["goal"]
    is_rate = np.array_equal(log.total, log.total_squares) and bool((log.total <= log.n).all())
    return "rate" if is_rate else "count"
