"""What the request at hand works with: the installation, and the key that it came with."""

from flask import current_app
from flask import g

from experiments.storage.configuration import KeyRow
from service.installation import Installation

EXTENSION = "bespoke"


def current_installation() -> Installation:
    """The installation that this application serves."""
    installation = current_app.extensions[EXTENSION]
    assert isinstance(installation, Installation)
    return installation


def current_key() -> KeyRow:
    """The key of the request; only views that require one may ask."""
    key = g.key
    assert isinstance(key, KeyRow)
    return key
