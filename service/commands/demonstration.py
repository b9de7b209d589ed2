"""The command that shows the whole product at work."""

from pathlib import Path

import click

from service.commands.opened import config_in_force


@click.command()
@click.option("--exit", "ends", is_flag=True, help="End the server when the report is told.")
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Draws the visitors, or their order."
)
@click.option("--campaign", default="hillstrom", show_default=True, help="Which campaign; `help` lists them.")
def demo(ends: bool, seed: int, campaign: str) -> None:
    """Run a campaign from its first visitor to its verdict, then leave the server up.

    On a database of its own, made anew in ./demo, with an accelerated clock. The default's customers and their outcomes
    are real; those of the gallery's campaigns are simulated, and what is true of them must confirm the verdict.

    \b
    Example:
      bespoke demo --exit --campaign family-rewards
    """
    from service.demo.campaigns import campaign_named
    from service.demo.campaigns import campaigns
    from service.demo.run import run_demo

    if campaign == "help":
        for name, make in campaigns().items():
            click.echo(f"{name}: {make().title}")
        return

    run_demo(campaign_named(campaign), seed=seed, folder=Path("demo"), port=config_in_force().port, stay=not ends)
