"""What most commands begin with: the settings in force, and the installation that they name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from experiments.audit import Deed
from service.config import Config
from service.config import load_config
from service.installation import Installation
from service.installation import open_installation
from service.operation.logs import configure_logs


def config_in_force() -> Config:
    """The settings of this environment, with logging as they say."""
    config = load_config(os.environ)
    configure_logs(config.log_level)
    return config


@contextmanager
def opened(*, recording: bool = False) -> Iterator[Installation]:
    """The installation, beside whatever server may be running on it; `recording` is what adds events."""
    installation = open_installation(config_in_force(), recording=recording)
    try:
        yield installation
    finally:
        installation.close()


def deed(installation: Installation) -> Deed:
    """What a command does, as the logs tell it."""
    return Deed("command line", installation.clock.now_ms())
