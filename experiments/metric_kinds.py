"""Kinds of metrics: what a visitor's total is, and which fields of the document it takes. Pure.

Whatever else differs between kinds is asked of these: nothing outside compares a kind with its name.
"""

from collections.abc import Mapping
from typing import Literal
from typing import NamedTuple

MetricKind = Literal["conversion", "count", "value", "retention"]

#: A rate is 0 or 1 of each visitor, a count any whole number, money is in the experiment's currency.
MetricUnit = Literal["rate", "count", "money"]


class KindOfMetric(NamedTuple):
    """What a kind says of its metrics; `must` and `may` are the fields of the document that other kinds refuse."""

    unit: MetricUnit
    must: tuple[str, ...] = ()
    may: tuple[str, ...] = ()


METRIC_KINDS: Mapping[MetricKind, KindOfMetric] = {
    "conversion": KindOfMetric("rate", may=("value",)),
    "count": KindOfMetric("count", may=("value", "cap")),
    "value": KindOfMetric("money", must=("property", "cap")),
    "retention": KindOfMetric("rate", must=("from",), may=("value",)),
}
