"""Commands that run until they are told to end: the server, and the scheduler alone."""

import click

from experiments.errors import InvalidSetting
from service.commands.opened import config_in_force
from service.commands.opened import opened
from service.requests.address import Address
from service.scheduler import run_scheduler


@click.command()
@click.option("--host", help="The interface to listen on.  [default: BESPOKE_HOST]")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 = any free one.  [default: BESPOKE_PORT]")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes; one for SQLite.")
def serve(host: str | None, port: int | None, workers: int) -> None:
    """Run the web service and the scheduler; on PostgreSQL in several processes, if you like, and on several nodes.

    Makes the database or brings it up to date by itself. On SIGTERM it answers the requests that have come, then ends.

    \b
    Example:
      bespoke serve --port 8080
    """
    # Granian is for this command alone.
    from service.server import serve as serve_until_ended

    config = config_in_force()
    if workers > 1 and config.database_path:
        raise InvalidSetting(f"--workers: {workers} must be 1 with an embedded database: one server for one file")
    address = Address(config.host if host is None else host, config.port if port is None else port)
    serve_until_ended(config, address, workers=workers)


@click.command()
def scheduler() -> None:
    """Run the scheduler alone, beside servers or other schedulers: each slot is done once.

    \b
    Example:
      bespoke scheduler
    """
    with opened() as installation:
        run_scheduler(installation)
