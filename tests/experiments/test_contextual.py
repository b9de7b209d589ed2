"""Weights by context: every door draws by them, counters keep them apart, and what is estimated stays true."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from experiments import lifecycle
from experiments.allocation import GRAIN
from experiments.assignment import Consent
from experiments.assignment import Plan
from experiments.assignment import decide
from experiments.audit import Deed
from experiments.columns import Cell
from experiments.columns import by_metric
from experiments.columns import columns_of
from experiments.deciding import decide_all
from experiments.document import parse_document
from experiments.errors import FrozenDocument
from experiments.errors import InvalidDocument
from experiments.exports import export
from experiments.holds import finish
from experiments.holds import freeze
from experiments.holds import unfreeze
from experiments.ledger import allocation_of
from experiments.ledger import ledger_json
from experiments.model import Allocation
from experiments.model import StoredExperiment
from experiments.privacy.erasure import erase_all
from experiments.readings import Readings
from experiments.replay.records import replay_of
from experiments.rules.attribute_columns import AttributeColumn
from experiments.simulation.preflight import preflight
from experiments.snapshot import all_experiments
from experiments.storage.ledger import LedgerRow
from experiments.storage.store import Store
from experiments.strata import segment_strata
from experiments.verification import verify
from tests.experiments.documents import tiny
from tests.experiments.house import DAY
from tests.experiments.house import House
from tests.experiments.house import SECRETS
from tests.experiments.house import bar

BANDED = {"type": "number", "store": True, "bands": [30, 60]}
ATTRIBUTES: dict[str, Any] = {"age": BANDED, "member": {"type": "boolean", "store": True}, "name": "string"}
YOUNG_MEMBER = '{"age":0,"member":true}'


def document(**changes: Any) -> dict[str, Any]:
    """A letter for whoever likes letters, and one for all; members like the first, others the second."""
    found = tiny(
        policy={"kind": "contextual_thompson", "burn_in": 20, "max_step": 1, "min_share": 0.1},
        attributes=ATTRIBUTES,
        segments=[{"key": "named", "kind": "behavioral", "rule": {"name": {"$exists": True}}}],
    )
    found["arms"] = [
        {"key": "everyone", "role": "mass"}, {"key": "for-named", "role": "tailored", "segments": ["named"]}
    ]
    return {**found, **changes}


@pytest.fixture
def house(store: Store) -> House:
    """An installation."""
    return House(store)


def rate(arm: str, *, member: bool) -> float:
    """How many sign up."""
    return 0.6 if (arm == "for-named") == member else 0.2


def visit(house: House, key: str, number: int, rng: np.random.Generator) -> None:
    """Somebody comes, and may sign up."""
    member = bool(rng.random() < 0.5)
    attributes = {"name": "Ann", "age": float(rng.integers(18, 90)), "member": member}
    name = f"{key}-{number}"
    arm = house.evaluate(key, name, **attributes).assignment.arm
    events = [house.exposure(key, name, **attributes)]
    if rng.random() < rate(arm, member=member):
        events.append(house.event(name, "Signed Up"))
    assert {receipt.status for receipt in house.record(*events)} == {"accepted"}


def campaign(house: House, *, days: int = 3, visitors: int = 150, **changes: Any) -> tuple[str, LedgerRow]:
    """A campaign of some days with a reallocation each midnight; its key, and the ledger's last row."""
    rng, key = np.random.default_rng(8), house.start(document(**changes))
    for _ in range(days):
        for _ in range(visitors):
            visit(house, key, int(rng.integers(1 << 40)), rng)
        house.now_ms += DAY
        row = house.reallocate(key)
    return key, row


@pytest.mark.every_database
def test_members_and_others_get_what_each_likes(house: House) -> None:
    key, row = campaign(house)
    contexts = allocation_of(row).contexts["named"]
    assert len(contexts) == 6
    for context, weights in contexts.items():
        assert sum(weights.values()) == GRAIN
        liked = "for-named" if '"member":true' in context else "everyone"
        assert weights[liked] > 0.85 * GRAIN and min(weights.values()) >= 0.1 * GRAIN
    decision = ledger_json(row)
    assert decision["moved_by"]["member"] > 0.9
    assert decision["contexts"]["named"][YOUNG_MEMBER]["for-named"] == pytest.approx(0.9, abs=0.01)
    assert verify(house.store) == []


@pytest.mark.every_database
def test_cells_are_kept_by_context_and_the_report_adds_them_up(house: House) -> None:
    key, _ = campaign(house, days=2)
    cells = [cell.key for cell in house.cells(key) if cell.key.metric == "signup"]
    assert len({cell.context for cell in cells}) == 6
    report = house.report(key)
    shown = sum(row["visitors"] for row in report["arms"] if row["segment"] == "named")
    assert shown == 300 == house.total(key, "signup")[0]
    assert not report["diagnostics"]["sample_ratio"]["alarm"]


@pytest.mark.every_database
def test_whoever_is_erased_is_missing_from_the_cells_of_their_context(house: House) -> None:
    key, _ = campaign(house, days=2)
    exposed = house.store.read(lambda session: list(session.exposures.all(key)))
    gone, experiments = [visitor for visitor, _ in exposed[:40]], house.store.read(all_experiments)
    house.store.transact(lambda session: erase_all(session, gone, experiments=experiments))
    removed = house.store.read(lambda session: session.cells.removed(key))
    contexts = {row.context for _, row in exposed[:40]}
    assert {cell.context for cell in removed} == contexts and len(contexts) > 3
    assert verify(house.store) == []


def test_exports_tell_contexts_apart(house: House) -> None:
    key, row = campaign(house, days=2)
    rows = {
        table: [line for page in export(house.store, key, table, keyring=SECRETS, min_cell=0).pages for line in page]
        for table in ("cells", "allocations")
    }
    columns = export(house.store, key, "cells", keyring=SECRETS, min_cell=0).columns
    cells = [dict(zip(columns, line, strict=True)) for line in rows["cells"]]
    assert sum(cell["visitors"] for cell in cells if cell["metric"] == "signup") == 300
    assert YOUNG_MEMBER in {cell["context"] for cell in cells}
    last = [line[-4:] for line in rows["allocations"] if line[0] == row.number]
    weights = ledger_json(row)["contexts"]["named"][YOUNG_MEMBER]
    assert {(arm, weight) for _, context, arm, weight in last if context == YOUNG_MEMBER} == set(weights.items())


def test_whoever_is_not_wholly_known_is_drawn_by_the_segment(house: House) -> None:
    key, row = campaign(house)
    newest = allocation_of(row)
    for attributes, context in (({}, None), ({"age": 20.0}, None), ({"age": 20.0, "member": True}, YOUNG_MEMBER)):
        drawn = house.evaluate(key, "somebody", name="Ann", **attributes).assignment
        assert drawn.weight == newest.of("named", context)[drawn.arm]
    measured = house.evaluate(key, "somebody", name="Ann", age=20.0, member=True, consent="measure").assignment
    assert (measured.segment, measured.weight) == ("no-personalisation", GRAIN)


def test_a_server_that_knows_the_attributes_is_believed_by_the_weights_of_the_context(house: House) -> None:
    key, row = campaign(house)
    traits = {"name": "Ann", "age": 20, "member": True}
    drawn = house.evaluate(key, "by-word", **traits).assignment
    event = house.event("by-word", "Experiment Viewed", experiment_id=key, variation_id=drawn.arm)
    house.record({**event, "context": {"traits": traits}}, trusted=True)
    kept = dict(house.store.read(lambda session: list(session.exposures.all(key))))
    exposure = max(kept.values(), key=lambda one: one.epoch)
    assert (exposure.weight, exposure.asserted, exposure.context) == (drawn.weight, False, YOUNG_MEMBER)
    assert verify(house.store) == []


def newest(house: House, key: str) -> Allocation:
    """What is in force."""
    row = house.store.read(lambda session: session.ledger.newest_epoch(key))
    assert row is not None
    return allocation_of(row)


def test_a_barred_arm_is_barred_in_every_context(house: House) -> None:
    key, _ = campaign(house)
    bar(house.store, key, arm="for-named", metric="signup", now_ms=house.now_ms)
    assert {weights["for-named"] for weights in newest(house, key).contexts["named"].values()} == {1}
    house.reallocate(key)
    assert {weights["for-named"] for weights in newest(house, key).contexts["named"].values()} == {1}
    assert verify(house.store) == []


def test_held_weights_of_contexts_stay_and_a_finish_is_for_everybody(house: House) -> None:
    key, row = campaign(house)
    deed = Deed("test", house.now_ms, "a test")
    freeze(house.store, key, deed=deed)
    assert newest(house, key).contexts == allocation_of(row).contexts
    unfreeze(house.store, key, deed=deed)
    assert newest(house, key).contexts == allocation_of(row).contexts
    finish(house.store, key, deed=deed)
    assert newest(house, key).contexts == {}
    assert verify(house.store) == []


def test_counting_by_context_begins_and_ends_with_the_experiment(house: House) -> None:
    key = house.start(document())
    with pytest.raises(FrozenDocument, match="to or from contextual_thompson: visitors are counted by context"):
        lifecycle.replace(house.store, key, document(policy={"kind": "thompson"}), deed=Deed("test", house.now_ms))


MANY = {f"a{number}": {"type": "boolean", "store": True} for number in range(5)}


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"attributes": {"name": "string"}}, "needs an attribute with store: true"),
        ({"attributes": {**ATTRIBUTES, **MANY}}, "has 2916 combinations of stored values, .*; at most 200"),
        ({"attributes": {**ATTRIBUTES, "city": {"type": "string", "store": True}}}, "needs bands for .* city"),
        ({"local_evaluation": True}, "cannot be had with local_evaluation"),
    ],
)
def test_what_cannot_be_told_apart_is_refused_when_it_is_saved(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(InvalidDocument, match=rule):
        parse_document(document(**changes))


def test_means_stay_true_while_weights_follow_the_outcomes_by_context() -> None:
    rng, runs, truth = np.random.default_rng(12), 400, 0.5 * 0.6 + 0.5 * 0.2
    found = [_campaign(rng) for _ in range(runs)]
    means = np.array([estimate.mean for estimate in found])
    errors = np.array([np.sqrt(estimate.variance / estimate.effective_n) for estimate in found])
    assert abs(means.mean() - truth) < 4 * means.std() / np.sqrt(runs)
    assert np.mean(np.abs(means - truth) < 1.96 * errors) > 0.93


def _campaign(rng: np.random.Generator) -> Any:
    """Two contexts, in each of which the arm that leads gets most of the next visitors; the estimate of one arm."""
    rates = {"m": (0.2, 0.6), "o": (0.6, 0.2)}
    shares = {context: 0.5 for context in rates}
    sums = {context: np.zeros((2, 2)) for context in rates}
    allocations, cells = {}, []
    for epoch in range(1, 7):
        weights = {context: {"a": round(GRAIN * (1 - shares[context])), "b": 0} for context in rates}
        for one in weights.values():
            one["b"] = GRAIN - one["a"]
        allocations[epoch] = Allocation(epoch, {"s": {"a": 5000, "b": 5000}}, {"s": weights})
        for context, both in rates.items():
            came = rng.binomial(60, shares[context])
            n = np.array([60 - came, came])
            won = rng.binomial(n, both)
            sums[context] += [n, won]
            cells += [
                ("goal", epoch, epoch, "s", arm, int(n[place]), int(won[place]), float(won[place]), context)
                for place, arm in enumerate("ab")
            ]
            seen = sums[context][1] / np.maximum(sums[context][0], 1)
            shares[context] = 0.9 if seen[1] > seen[0] else 0.1
    return segment_strata(columns_of(cells), allocations).estimates()["s"]["b"]


def test_a_list_is_drawn_as_its_visitors_one_by_one() -> None:
    experiment = parse_document(document())
    weights = {segment: {"everyone": 6000, "for-named": 4000} for segment in experiment.segment_keys}
    contexts = {"named": {YOUNG_MEMBER: {"everyone": 100, "for-named": 9900}}}
    plan = Plan(experiment, Allocation(3, weights, contexts))
    known = [
        {**name, **age, **member}
        for name in ({"name": "Ann"}, {})
        for age in ({"age": 20}, {"age": 50}, {})
        for member in ({"member": True}, {"member": False}, {})
    ]
    attributes = [one for one in known for _ in range(20)]
    consents: list[Consent] = [("personalise", "measure", "none")[place % 3] for place in range(len(attributes))]
    visitors = [f"visitor-{place}" for place in range(len(attributes))]
    allowed = [one if consent == "personalise" else {} for one, consent in zip(attributes, consents, strict=True)]
    columns = {name: AttributeColumn([one.get(name) for one in allowed]) for name in ATTRIBUTES}
    decisions = decide_all(plan, visitors, columns=columns, consents=consents)
    different = list(decisions.different)
    rows = zip(visitors, allowed, consents, decisions.places.tolist(), strict=True)
    for visitor, one, consent, place in rows:
        assert different[place] == decide(plan, visitor, attributes=one, consent=consent)
    assert {one.weight for one in different} >= {9900, 6000, 4000}


def test_a_pre_flight_by_segment_says_so() -> None:
    found = preflight(document(), {"visitors_per_day": 500}, days=3, runs=2, seed=1, by_context=False)
    assert found.own == "thompson"
    assert "contextual_thompson" not in {one.policy for one in found.policies}
    assert any("Weights by context are not simulated here" in sentence for sentence in found.advice.sentences)


def test_a_what_if_counts_everybody_by_the_weights_of_their_context() -> None:
    weights = {"m": {"everyone": 1000, "for-named": 9000}, "o": {"everyone": 9000, "for-named": 1000}}
    allocations = {1: Allocation(1, {"named": {"everyone": 5000, "for-named": 5000}}, {"named": weights})}
    rng = np.random.default_rng(2)
    cells: list[Cell] = []
    for day, (context, by_arm) in product(range(1, 6), weights.items()):
        for arm, n in zip(by_arm, rng.multinomial(4000, np.array(list(by_arm.values())) / GRAIN), strict=True):
            won = int(rng.binomial(n, rate(arm, member=context == "m")))
            cells.append(("signup", 1, day, "named", arm, float(n), won, won, context))
    stored = StoredExperiment(parse_document(document()), {}, "running", 0)
    readings = Readings(stored, by_metric(cells), allocations, {}, 0, 0, 60 * DAY)
    for policy in ("arm", "tailored"):
        # Half of them are members. By visitors alone it would be .56.
        worth = next(one for one in replay_of(readings, min_cell=0).alternatives if one.policy == policy).worth["goal"]
        assert worth.mean == pytest.approx(0.4, abs=0.02)
        assert worth.low < 0.4 < worth.high
