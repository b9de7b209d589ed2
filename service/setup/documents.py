"""Documents in files: JSON, read as strictly as over HTTP."""

from typing import Any

from experiments.errors import BespokeError
from service.errors import Refused
from service.requests.bodies import parse


class UnreadableDocument(BespokeError):
    """The document is not JSON."""

    code = "invalid_json"


def read_document(data: bytes) -> Any:
    """What a JSON text holds."""
    try:
        return parse(data)
    except Refused as error:
        # The reader speaks of the body of a request, which a file is not.
        raise UnreadableDocument((error.description or "").replace("the body", "the document")) from error
