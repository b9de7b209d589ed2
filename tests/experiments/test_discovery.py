"""Discovery: segments are proposed where arms differ in effect, and a draft tests one."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.audit import Deed
from experiments.discovery.drafts import Wanted
from experiments.discovery.drafts import draft_of
from experiments.discovery.drafts import put_to_test
from experiments.discovery.proposals import Discovery
from experiments.discovery.proposals import Interval
from experiments.discovery.proposals import Proposal
from experiments.discovery.proposals import Side
from experiments.discovery.proposals import discover
from experiments.document import parse_document
from experiments.errors import NothingToDiscover
from experiments.errors import UnknownExperiment
from experiments.errors import UnknownProposal
from experiments.lifecycle import act
from experiments.storage.store import Store
from experiments.storage.store import open_store
from tests.experiments.documents import tiny
from tests.experiments.house import HOUR
from tests.experiments.house import House
from tests.experiments.house import SECRETS
from tests.experiments.tastes import Visitor
from tests.experiments.tastes import letters
from tests.experiments.tastes import likes
from tests.experiments.tastes import send

LAPSED = {"key": "lapsed", "name": "Lapsed", "kind": "behavioral", "rule": {"recency": {"$exists": True, "$gte": 9}}}
THIRD = {"key": "welcome-back", "role": "tailored", "segments": ["lapsed"], "message": {"text": "Welcome back"}}


@pytest.fixture
def house(store: Store) -> House:
    """An installation."""
    return House(store)


@contextmanager
def installed(template: Path, folder: Path) -> Iterator[House]:
    """An installation that tests share."""
    store = open_store(Path(shutil.copy(template, folder)), fingerprint=SECRETS.fingerprint, serving=True)
    yield House(store)
    store.close()


@pytest.fixture(scope="module")
def liked(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One in which shoppers of women's clothing like the new letter."""
    with installed(template, tmp_path_factory.mktemp("liked")) as house:
        send(house, house.start(letters()), visitors=12_000, rng=np.random.default_rng(4))
        yield house


@pytest.fixture(scope="module")
def lapsed(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One in which a letter for the lapsed does better for those in towns alone."""
    with installed(template, tmp_path_factory.mktemp("lapsed")) as house:
        key = house.start(letters(segments=[LAPSED], arms=[letters()["arms"][0], THIRD]))
        send(house, key, visitors=16_000, rng=np.random.default_rng(7), buys=to_the_lapsed)
        yield house


def found_in(house: House, key: str = "letters", *, min_cell: int = 10) -> Discovery:
    """What is discovered."""
    return discover(house.store, key, min_cell=min_cell)


@pytest.mark.every_database
def test_a_segment_in_which_a_letter_does_better_is_proposed(house: House) -> None:
    key = house.start(letters())
    send(house, key, visitors=12_000, rng=np.random.default_rng(4))
    found = found_in(house)
    [proposal] = found.proposals
    assert (proposal.arm, proposal.against, proposal.rule) == ("new-letter", "one-letter", {"womens": True})
    assert proposal.inside.ratio.low < 2.5 < proposal.inside.ratio.high
    assert proposal.outside.ratio.low < 1 < proposal.outside.ratio.high
    assert proposal.difference.low < 2.5 < proposal.difference.high and proposal.difference.low > 1
    assert proposal.inside.mean / proposal.inside.against_mean == pytest.approx(proposal.inside.ratio.mean)
    assert 0.45 < proposal.share < 0.55 and proposal.segments == ["everyone-else"]
    # The half that tested it, and not the one that chose it.
    assert proposal.inside.visitors + proposal.outside.visitors < 6_300
    assert (found.visitors, found.contexts, found.attributes) == (12_000, 24, ["recency", "womens", "zip_code"])
    assert found.tested <= 12 < found.tried


def test_asking_again_gives_the_same_answer(liked: House) -> None:
    assert found_in(liked) == found_in(liked)


def test_a_difference_in_rate_alone_is_not_proposed_and_what_would_have_been_seen_is_told(house: House) -> None:
    key = house.start(letters())
    send(
        house, key, visitors=12_000, rng=np.random.default_rng(3),
        buys=lambda arm, visitor: likes("one-letter", visitor) * (1.4 if arm == "new-letter" else 1.0),
    )
    found = found_in(house)
    assert found.proposals == []
    [sight] = found.sights
    assert (sight.arm, sight.against, sight.visitors) == ("new-letter", "one-letter", 12_000)
    assert sight.ratio is not None and 1.4 < sight.ratio < 2.2


def test_amounts_are_compared_as_conversions_are(house: House) -> None:
    spend = {
        "key": "spend", "event": "Order Completed", "kind": "value", "property": "revenue", "role": "goal", "cap": 500
    }
    key = house.start(letters(metrics=[spend]))
    send(house, key, visitors=12_000, rng=np.random.default_rng(4), revenue=40.5)
    [proposal] = found_in(house).proposals
    assert proposal.rule == {"womens": True}
    assert 2 < proposal.outside.against_mean < 8 and proposal.inside.ratio.low < 2.5 < proposal.inside.ratio.high


@pytest.mark.parametrize("kind", ["thompson", "contextual_thompson"])
def test_a_bandits_log_tells_it_too(house: House, kind: str) -> None:
    policy = {"kind": kind, "every": "1h", "burn_in": 100, "min_share": 0.1}
    key = house.start(letters(policy=policy))
    rng = np.random.default_rng(6)
    for hour in range(12):
        # The base falls while traffic moves, which misleads whoever adds up.
        send(house, key, visitors=2_000, rng=rng, buys=lambda arm, one: likes(arm, one) * (1 - hour / 24))
        house.now_ms += HOUR
        house.reallocate(key)
    found = found_in(house)
    assert [one.rule for one in found.proposals] == [{"womens": True}]
    # Its log tells less of the arm that it starved.
    assert found.proposals[0].difference.low > 1.3


def test_what_segments_part_already_is_not_discovered_again(house: House) -> None:
    womens = {"key": "womens", "kind": "behavioral", "rule": {"womens": True}}
    key = house.start(letters(segments=[womens]))
    send(house, key, visitors=12_000, rng=np.random.default_rng(6))
    assert found_in(house).proposals == []


def to_the_lapsed(arm: str, visitor: Visitor) -> float:
    """How likely the lapsed buy."""
    better = arm == "welcome-back" and visitor["zip_code"] == "Urban"
    return 0.2 if better else 0.08


def test_a_tailored_arm_is_compared_among_those_who_could_have_it(lapsed: House) -> None:
    [proposal] = found_in(lapsed).proposals
    assert (proposal.arm, proposal.rule, proposal.segments) == ("welcome-back", {"zip_code": "Urban"}, ["lapsed"])
    assert proposal.inside.visitors + proposal.outside.visitors < 2_500


def test_a_message_that_stands_alone_is_held_against_the_control(house: House) -> None:
    arms = [{"key": "nothing", "role": "control"}, letters()["arms"][1]]
    key = house.start(letters(arms=arms, control_share=0.5))
    send(house, key, visitors=12_000, rng=np.random.default_rng(8))
    [proposal] = found_in(house).proposals
    assert (proposal.arm, proposal.against, proposal.rule) == ("new-letter", "nothing", {"womens": True})


def test_without_stored_attributes_there_is_nothing_to_discover(house: House) -> None:
    house.start(tiny())
    with pytest.raises(NothingToDiscover, match="no attribute is stored"):
        found_in(house, "tiny")
    with pytest.raises(UnknownExperiment):
        found_in(house, "none")


def test_of_few_visitors_nothing_is_said(house: House) -> None:
    key = house.start(letters())
    send(house, key, visitors=300, rng=np.random.default_rng(9))
    with pytest.raises(NothingToDiscover, match="of 300 visitors are stored, must be those of 2000"):
        found_in(house)
    with pytest.raises(NothingToDiscover, match="must be those of 4000"):
        found_in(house, min_cell=1000)


def drafted(house: House, key: str, *, arm: str, rule: dict[str, Any]) -> dict[str, Any]:
    """The document of the draft of a proposal."""
    deed = Deed("ann", house.now_ms)
    made = draft_of(house.store, key, Wanted(arm, rule), words=lambda _: "it is so", min_cell=10, deed=deed)
    return dict(made.document)


def test_a_draft_tests_what_was_discovered_with_the_same_arms(liked: House) -> None:
    document = drafted(liked, "letters", arm="new-letter", rule={"womens": True})
    assert document["key"] == "letters-discovered" and document["arms"] == letters()["arms"]
    assert document["segments"] == [
        {"key": "discovered", "name": "it is so", "kind": "behavioral", "rule": {"womens": True}}
    ]
    assert document["name"] == "Which letter?: it is so"
    assert document["hypothesis"] == "Where it is so, new-letter does better against one-letter than elsewhere."
    assert drafted(liked, "letters", arm="new-letter", rule={"womens": True})["key"] == "letters-discovered-2"
    act(liked.store, "letters-discovered", "start", deed=Deed("ann", liked.now_ms))


def test_a_segment_that_is_parted_gives_both_parts_its_arms(lapsed: House) -> None:
    document = drafted(lapsed, "letters", arm="welcome-back", rule={"zip_code": "Urban"})
    experiment = parse_document(document)
    assert [segment["key"] for segment in document["segments"]] == ["lapsed-discovered", "lapsed"]
    assert document["segments"][0]["rule"] == {"$and": [LAPSED["rule"], {"zip_code": "Urban"}]}
    assert [arm.key for arm in experiment.open_arms("lapsed-discovered")] == ["one-letter", "welcome-back"]
    assert [arm.key for arm in experiment.open_arms("lapsed")] == ["one-letter", "welcome-back"]


def test_what_is_not_proposed_gets_no_draft(liked: House) -> None:
    with pytest.raises(UnknownProposal, match="not, or no longer, proposed"):
        drafted(liked, "letters", arm="new-letter", rule={"womens": False})


def test_however_long_keys_and_words_are_the_draft_is_one_that_can_work() -> None:
    longest = ["a" * 63 + end for end in "12"]
    lapsed = [{**LAPSED, "key": key} for key in longest]
    document = letters(segments=lapsed, arms=[*letters()["arms"], {**THIRD, "segments": longest}])
    side = Side(600, 0.1, 0.1, Interval(1.0, 0.9, 1.1))
    proposal = Proposal(
        "new-letter", "one-letter", {"womens": True}, 0.5, side, side, Interval(1.5, 1.2, 1.8), 0.001, longest
    )
    made = parse_document(put_to_test(document, proposal, key="tested", words="x" * 3000))
    assert len(made.segments) == 4 and len(made.arms[2].segments) == 4
