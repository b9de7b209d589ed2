"""Experiment documents that tests start from; each call gives a fresh one, free to be changed."""

import json
from pathlib import Path
from typing import Any

_EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "spring-mailing.json"


def spring_mailing(**changes: Any) -> dict[str, Any]:
    """The contract's example: a control, a mass and a tailored arm, and a metric of every kind."""
    return {**json.loads(_EXAMPLE.read_text()), **changes}


def tiny(**changes: Any) -> dict[str, Any]:
    """The least that can be tested: a control, a mass arm and a conversion."""
    document: dict[str, Any] = {
        "key": "tiny",
        "arms": [{"key": "nothing", "role": "control"}, {"key": "everyone", "role": "mass"}],
        "metrics": [{"key": "signup", "event": "Signed Up", "kind": "conversion", "role": "goal"}],
    }
    return {**document, **changes}
