"""GrowthBook's published SDKs, evaluating by themselves: Python in this process, JavaScript in one Node beside it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from typing import NamedTuple

from growthbook import GrowthBook
from growthbook.core import evalCondition

_FOLDER = Path(__file__).resolve().parent / "clients" / "node"

Json = dict[str, Any]


class Evaluated(NamedTuple):
    """A feature as an SDK found it; the last three are None where no experiment was run."""

    value: Any
    source: str
    arm: str | None
    propensity: float | None
    epoch: int | None


class Node:
    """The SDK for JavaScript."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, question: str, **details: Any) -> Any:
        """Ask one question; its answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"ask": question, **details}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def conditions(self, pairs: Sequence[tuple[Json, Json]]) -> list[bool]:
        """Which conditions hold for the attributes beside them."""
        return list(self.ask("conditions", pairs=pairs))

    def features(self, payload: Json, visitors: Sequence[Json]) -> list[dict[str, Evaluated]]:
        """All features of a payload, for each visitor."""
        found = self.ask("features", payload=payload, visitors=visitors)
        return [{key: Evaluated(**one) for key, one in each.items()} for each in found]


@contextmanager
def running_node() -> Iterator[Node]:
    """One Node, which answers until it is let go."""
    program = Path(sys.executable).parent / "node"
    process = subprocess.Popen(
        [program, "growthbook.mjs"], cwd=_FOLDER, env={"PATH": os.environ["PATH"], "NODE_ENV": "production"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    with process:
        yield Node(process)
        assert process.stdin is not None
        process.stdin.close()


class Python:
    """The SDK for Python."""

    def conditions(self, pairs: Sequence[tuple[Json, Json]]) -> list[bool]:
        """Which conditions hold for the attributes beside them."""
        return [evalCondition(attributes, condition) for condition, attributes in pairs]

    def features(self, payload: Json, visitors: Sequence[Json]) -> list[dict[str, Evaluated]]:
        """All features of a payload, for each visitor."""
        growthbook = GrowthBook()
        growthbook.set_payload(json.loads(json.dumps(payload)))
        return [evaluated(growthbook, attributes, payload["features"]) for attributes in visitors]


def evaluated(growthbook: GrowthBook, attributes: Json, keys: Sequence[str]) -> dict[str, Evaluated]:
    """Features as one instance finds them for a visitor."""
    growthbook.set_attributes(attributes)
    return {key: _evaluated(growthbook.eval_feature(key)) for key in keys}


def _evaluated(found: Any) -> Evaluated:
    result = found.experimentResult
    if result is None:
        return Evaluated(found.value, found.source, None, None, None)
    weights = result.variationWeights
    propensity = None if weights is None else weights[result.variationId]
    return Evaluated(found.value, found.source, result.key, propensity, result.banditVersion)
