"""The command that shows the whole product at work."""

from pathlib import Path

import click

from service.commands.opened import config_in_force


@click.command()
@click.option("--exit", "ends", is_flag=True, help="End the server when the report is told.")
@click.option("--seed", type=int, default=1, show_default=True, help="Draws the order of the customers.")
@click.option("--campaign", default="hillstrom", show_default=True, help="Which campaign.")
def demo(ends: bool, seed: int, campaign: str) -> None:
    """Run a campaign of real customers and their real outcomes, then leave the server up.

    On a database of its own, made anew in ./demo, with a clock that runs half a day in a second.

    \b
    Example:
      bespoke demo --exit --seed 7
    """
    from service.demo.campaigns import campaign_named
    from service.demo.run import run_demo

    run_demo(campaign_named(campaign), seed=seed, folder=Path("demo"), port=config_in_force().port, stay=not ends)
