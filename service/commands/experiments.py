"""Commands for experiments: write, take through their states, reallocate."""

from typing import IO

import click

from experiments.acts import ACTS
from experiments.acts import AnyAct
from experiments.acts import do
from experiments.lifecycle import apply_document
from experiments.model import StoredExperiment
from experiments.reading.reasons import parse_reason
from experiments.reallocation import reallocate as reallocate_now
from experiments.storage.session import Session
from service.commands.opened import deed
from service.commands.opened import opened
from service.setup.documents import read_document

_HELP_BY_ACT: dict[AnyAct, str] = {
    "start": "Start an experiment: from now on it assigns and counts.",
    "pause": "Pause an experiment: who comes new gets the mass arm and is not counted.",
    "resume": "Resume a paused experiment.",
    "stop": "Stop an experiment: its last allocation stays, its outcomes count until their windows end.",
    "archive": "Archive a stopped experiment: it answers no more.",
    "freeze": "Keep an experiment's weights where they are until it is unfrozen.",
    "unfreeze": "Let weights move again, from those before they were frozen or the experiment finished.",
    "unbar": "Let arms that broke a guardrail have traffic again, as the policy gives it, step by step.",
    "finish": "Give everybody of each segment its called arm, else the first mass arm; unfreeze takes it back.",
}


_REASON = click.Option(["--reason"], metavar="TEXT", help="Why, for the ledger and the audit log.")


@click.group()
def experiment() -> None:
    """Write experiments and take them through their states."""


@experiment.command()
@click.argument("file", type=click.File("rb"))
def apply(file: IO[bytes]) -> None:
    """Create an experiment, or update it, from a JSON document; `-` reads stdin.

    \b
    Example:
      bespoke experiment apply spring-mailing.json
    """
    document = read_document(file.read())
    with opened() as installation:
        _say(apply_document(installation.store, document, deed=deed(installation)))


def _command(name: AnyAct) -> click.Command:
    def run(key: str, reason: str | None) -> None:
        why = "" if reason is None else parse_reason(reason)
        with opened() as installation:
            _say(do(installation.store, key, name, deed=deed(installation)._replace(reason=why)))

    text = f"{_HELP_BY_ACT[name]}\n\n\b\nExample:\n  bespoke experiment {name} spring-mailing"
    return click.Command(name, callback=run, params=[click.Argument(["key"]), _REASON], help=text)


for _name in ACTS:
    experiment.add_command(_command(_name))


@click.command()
@click.argument("key", required=False)
def reallocate(key: str | None) -> None:
    """Reallocate an experiment now, or every running one; the scheduler's own slots stay as they are.

    \b
    Example:
      bespoke reallocate spring-mailing
    """
    with opened() as installation:
        for each in [key] if key else installation.store.read(_running):
            row = reallocate_now(installation.store, each, deed=deed(installation))
            click.echo(f"{each}: epoch {row.epoch} {row.kind}")


def _running(session: Session) -> list[str]:
    return [row.key for row in session.experiments.all() if row.state == "running"]


def _say(stored: StoredExperiment) -> None:
    click.echo(f"{stored.experiment.key}: {stored.state}")
