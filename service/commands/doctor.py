"""The command that looks whether an installation can keep its promises."""

import click

from experiments.errors import BespokeError
from service.commands.opened import opened
from service.operation.doctor import examine


class Unsound(BespokeError):
    """Something breaks a promise."""

    code = "unsound"


@click.command()
def doctor() -> None:
    """Look whether this installation can keep its promises, a line for each thing: what it is, and what rests on it.

    Exit status 1 where something breaks a promise. A note is for you to weigh.

    \b
    Example:
      bespoke doctor
    """
    with opened() as installation:
        findings = list(examine(installation))
    for finding in findings:
        click.echo(f"{finding.kind:5} {finding.subject}: {finding.why}")
    faults = [finding for finding in findings if finding.kind == "fault"]
    if faults:
        raise Unsound(f"{len(faults)} of {len(findings)} things break a promise")
