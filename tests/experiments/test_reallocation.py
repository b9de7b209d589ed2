"""Reallocation: traffic moves by the policy's rules, and the ledger can be recomputed."""

import msgspec
import pytest

from experiments import lifecycle
from experiments.audit import Deed
from experiments.chains import digest
from experiments.errors import InvalidTransition
from experiments.ledger import ledger_json
from experiments.reallocation import reallocate_due
from experiments.reallocation import reallocate_slot
from experiments.storage.store import Store
from experiments.verification import verify
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.experiments.house import HOUR
from tests.experiments.house import House
from tests.experiments.tampering import tamper


_TWO = [{"key": "a", "role": "mass"}, {"key": "b", "role": "mass"}]
_EAGER = {"kind": "thompson", "every": "1h", "burn_in": 0, "burn_in_conversions": 0, "min_share": 0.05, "max_step": 1.0}


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


def _serve(house: House, key: str, *, converts: dict[str, int], visitors: int, prefix: str = "v") -> None:
    """Expose visitors; of each arm's, every `converts[arm]`-th converts."""
    names = [f"{prefix}{index}" for index in range(visitors)]
    house.record(*(house.exposure(key, name) for name in names))
    seen: dict[str, int] = {}
    happy = []
    for name in names:
        arm = house.evaluate(key, name).assignment.arm
        seen[arm] = seen.get(arm, 0) + 1
        if seen[arm] % converts[arm] == 0:
            happy.append(house.event(name, "Signed Up"))
    house.record(*happy)


def test_traffic_moves_to_the_arm_that_converts_better(house: House) -> None:
    key = house.start(tiny(arms=_TWO, policy=_EAGER))
    _serve(house, key, converts={"a": 10, "b": 4}, visitors=400)
    weights = ledger_json(house.reallocate(key))["weights"]["everyone-else"]
    assert weights == {"a": 0.05, "b": 0.95}
    assert verify(house.store) == []


def test_no_weight_moves_further_than_the_largest_step(house: House) -> None:
    key = house.start(tiny(arms=_TWO, policy={**_EAGER, "max_step": 0.1}))
    _serve(house, key, converts={"a": 10, "b": 3}, visitors=400)
    shares = [ledger_json(house.reallocate(key))["weights"]["everyone-else"]["b"] for _ in range(6)]
    assert shares == [0.6, 0.7, 0.8, 0.9, 0.95, 0.95]


def test_shares_stay_even_until_the_burn_in_is_over(house: House) -> None:
    key = house.start(tiny(arms=_TWO, policy={**_EAGER, "burn_in": 150, "burn_in_conversions": 30}))
    _serve(house, key, converts={"a": 10, "b": 4}, visitors=200)
    assert house.reallocate(key).kind == "unchanged"
    _serve(house, key, converts={"a": 10, "b": 4}, visitors=200, prefix="w")
    assert house.reallocate(key).kind == "published"


def test_the_control_share_is_held(house: House) -> None:
    arms = [{"key": "nothing", "role": "control"}, *_TWO]
    key = house.start(tiny(arms=arms, control_share=0.2, policy=_EAGER))
    _serve(house, key, converts={"nothing": 50, "a": 10, "b": 4}, visitors=600)
    weights = ledger_json(house.reallocate(key))["weights"]["everyone-else"]
    assert weights["nothing"] == 0.2
    assert weights["a"] == 0.05


def test_a_decision_that_moves_nothing_is_written_down_but_makes_no_epoch(house: House) -> None:
    key = house.start(tiny(policy=_EAGER))
    row = house.reallocate(key)
    assert (row.number, row.epoch, row.kind) == (2, 1, "unchanged")


def test_every_row_of_the_ledger_is_chained_and_gives_its_weights_again(house: House) -> None:
    key = house.start(tiny(arms=_TWO, policy={**_EAGER, "max_step": 0.05}))
    _serve(house, key, converts={"a": 9, "b": 5}, visitors=400)
    rows = [house.reallocate(key) for _ in range(5)]
    for before, after in zip(rows, rows[1:], strict=False):
        assert msgspec.json.decode(after.body)["previous_hash"] == before.hash == digest(before.body)
    assert verify(house.store) == []


def test_weights_that_tie_are_computed_again_to_the_last_bit(house: House) -> None:
    # Equal arms share what rounding leaves by their order, and the ledger keeps inputs in that of the alphabet.
    document = spring_mailing(policy={**_EAGER, "max_step": 0.5})
    key = house.start(document)
    house.record(house.exposure(key, "ann"), house.exposure(key, "bob", consent="measure"))
    for number in range(3, 9):
        document = {**document, "arms": [*document["arms"], {"key": f"arm-{number}", "role": "mass"}]}
        lifecycle.replace(house.store, key, document, deed=Deed("test", house.now_ms))
    assert verify(house.store) == []


def test_a_changed_row_is_found_by_verify(house: House) -> None:
    key = house.start(tiny(policy=_EAGER))
    house.reallocate(key)
    house.store.transact(
        lambda session: tamper(session.connection, "UPDATE ledger SET body = replace(body, 'thompson', 'fixed')")
    )
    assert any("not what was hashed" in fault for fault in verify(house.store))


def test_a_changed_counter_is_found_by_verify(house: House) -> None:
    key = house.start(tiny())
    house.record(house.exposure(key, "ann"))
    house.store.transact(lambda session: session.connection.execute("UPDATE cells SET sum = sum + 1"))
    assert len(verify(house.store)) == 3


def test_only_a_running_experiment_is_reallocated(house: House) -> None:
    key = house.start(tiny())
    house.act(key, "pause")
    with pytest.raises(InvalidTransition, match="is paused"):
        house.reallocate(key)


def test_a_slot_is_done_once_and_missed_slots_once_and_late(house: House) -> None:
    key = house.start(tiny(policy=_EAGER))
    assert reallocate_due(house.store, now_ms=house.now_ms + HOUR - 1) == []
    assert len(reallocate_due(house.store, now_ms=house.now_ms + HOUR)) == 1
    assert reallocate_due(house.store, now_ms=house.now_ms + HOUR + 1) == []
    assert len(reallocate_due(house.store, now_ms=house.now_ms + 5 * HOUR)) == 1
    assert [row.number for row in house.store.read(lambda session: list(session.ledger.rows(key)))] == [1, 2, 3]


def test_who_slept_through_a_later_slot_is_fenced(house: House) -> None:
    key = house.start(tiny(policy=_EAGER))
    deed = Deed("scheduler", house.now_ms)
    assert reallocate_slot(house.store, key, 4, deed=deed) is not None
    assert reallocate_slot(house.store, key, 3, deed=deed) is None


def test_an_arm_that_is_added_while_running_gets_traffic_at_once(house: House) -> None:
    document = tiny(arms=_TWO, policy={**_EAGER, "max_step": 0.25})
    key = house.start(document)
    _serve(house, key, converts={"a": 9, "b": 5}, visitors=300)
    house.reallocate(key)
    bigger = {**document, "arms": [*_TWO, {"key": "c", "role": "mass"}]}
    lifecycle.replace(house.store, key, bigger, deed=Deed("test", house.now_ms))
    last = house.store.read(lambda session: session.ledger.newest_epoch(key))
    assert last is not None
    weights = ledger_json(last)["weights"]["everyone-else"]
    assert 0 < weights["c"] <= 0.25
    assert verify(house.store) == []


def test_each_segment_learns_on_its_own(house: House) -> None:
    document = spring_mailing(policy={**_EAGER, "every": "1h"}, control_share=0)
    document["metrics"] = [{"key": "signup", "event": "Signed Up", "kind": "conversion", "role": "goal"}]
    key = house.start(document)
    names = [f"v{index}" for index in range(300)]
    house.record(*(house.exposure(key, name, womens=True) for name in names))
    arms = {name: house.evaluate(key, name).assignment.arm for name in names}
    house.record(*(house.event(name, "Signed Up") for name in names if arms[name] == "womens-letter"))
    weights = ledger_json(house.reallocate(key))["weights"]
    assert weights["womens-shoppers"]["womens-letter"] > 0.94
    assert weights["everyone-else"]["one-letter"] > 0.99
