"""Experiments to simulate; each call gives a fresh document."""

from typing import Any


def flight(segments: int = 1, **changes: Any) -> dict[str, Any]:
    """One letter for all, and one for each of so many segments; Thompson on the contract's defaults."""
    keys = [f"taste-{number}" for number in range(segments)]
    document = {
        "key": "flight",
        "policy": {"kind": "thompson"},
        "attributes": {"taste": "string"},
        "segments": [{"key": key, "kind": "behavioral", "rule": {"taste": key}} for key in keys],
        "arms": [
            {"key": "one-letter", "role": "mass"},
            *({"key": f"letter-{key}", "role": "tailored", "segments": [key]} for key in keys),
        ],
        "metrics": [goal()],
    }
    return {**document, **changes}


def goal(**changes: Any) -> dict[str, Any]:
    """A conversion within two weeks."""
    return {"key": "purchase", "event": "Order Completed", "kind": "conversion", "role": "goal", **changes}


def uplift(*gains: float) -> dict[str, Any]:
    """What each segment's letter gains over the one letter."""
    return {f"taste-{number}": {f"letter-taste-{number}": gain} for number, gain in enumerate(gains)}
