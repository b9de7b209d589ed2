"""What experiments with `local_evaluation` must keep to, since GrowthBook's SDKs evaluate them."""

from collections.abc import Iterator

import msgspec

from experiments.errors import Problem
from experiments.model import Experiment
from experiments.rules.disagreements import name_disagreements

#: Bytes that one experiment may put into a page.
LARGEST_PAYLOAD = 1 << 20
_BYTES_BESIDE_MESSAGE = 64
_BYTES_OF_WEIGHT = 7


def local_attributes_mean_the_same(experiment: Experiment) -> Iterator[Problem]:
    """No attribute has a name that SDKs treat in a way of their own."""
    if experiment.local_evaluation:
        for name, attribute in experiment.attributes.items():
            yield from name_disagreements(name, attribute.type, field=f"attributes.{name}")


def local_payload_fits_a_page(experiment: Experiment) -> Iterator[Problem]:
    """The messages, which stand there for each segment, come to a size that a page can load."""
    size = _payload_bytes(experiment) if experiment.local_evaluation else 0
    if size > LARGEST_PAYLOAD:
        rule = f"bytes of messages and weights over all segments are too many for a page; at most {LARGEST_PAYLOAD}"
        yield Problem("local_evaluation", size, rule)


def _payload_bytes(experiment: Experiment) -> int:
    bytes_of = {arm.key: len(msgspec.json.encode(arm.message)) + _BYTES_BESIDE_MESSAGE for arm in experiment.arms}
    weights = len(experiment.segment_keys) * len(experiment.arms) * _BYTES_OF_WEIGHT
    messages = sum(bytes_of[arm.key] for segment in experiment.segment_keys for arm in experiment.open_arms(segment))
    return weights + messages
