"""Kinds of metrics: their table is all that the code knows of them."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from experiments.metric_kinds import METRIC_KINDS
from experiments.metric_kinds import MetricKind
from tests.experiments.documents import three_kinds

_HOUSE = Path(__file__).parents[2]


def _comparisons(source: str) -> Iterator[str]:
    """The comparisons in which a kind is held against the name of one or several kinds of metrics."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and ast.unparse(node.left).endswith("kind"):
            texts = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
            if texts and texts <= set(METRIC_KINDS):
                yield ast.unparse(node)


def test_every_kind_has_its_row_in_the_table() -> None:
    assert tuple(METRIC_KINDS) == get_args(MetricKind)


def test_what_kinds_differ_in_is_asked_of_the_table_and_never_of_their_names() -> None:
    assert list(_comparisons('goal.kind not in ("count", "value") or metric.kind == "value"')) != []
    files = [*(_HOUSE / "experiments").rglob("*.py"), *(_HOUSE / "service").rglob("*.py")]
    assert {(file.name, found) for file in files for found in _comparisons(file.read_text())} == set()


def test_histories_have_a_metric_of_every_kind() -> None:
    assert {metric["kind"] for document in three_kinds() for metric in document["metrics"]} == set(METRIC_KINDS)
