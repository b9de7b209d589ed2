"""Bars: an arm that breaks a guardrail loses its traffic to the mass arm, until a person lets it back in."""

import pytest

from experiments import lifecycle
from experiments.acts import AnyAct
from experiments.acts import do
from experiments.audit import Deed
from experiments.audit import Selection
from experiments.audit import audit_of
from experiments.errors import InvalidTransition
from experiments.ledger import Decision
from experiments.ledger import ledger_of
from experiments.overview import overview
from experiments.reallocation import reallocate_due
from experiments.storage.store import Store
from experiments.verification import verify
from service.report.checks import warnings
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.experiments.house import DAY
from tests.experiments.house import HOUR
from tests.experiments.house import House

_WOMEN = "womens-shoppers"
_POLICY = {"kind": "thompson", "every": "1h", "burn_in": 0, "burn_in_conversions": 0}
_RAIL = {
    "key": "complaint", "event": "Complained", "kind": "conversion", "role": "guardrail", "direction": "decrease",
    "limit": 0.02,
}


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


def _do(house: House, key: str, name: AnyAct) -> None:
    do(house.store, key, name, deed=Deed("ann@shop.example", house.now_ms, "The list was wrong."))
    house.snapshots.refresh()


def _ledger(house: House, key: str) -> list[Decision]:
    return house.store.read(lambda session: ledger_of(session, key))


def _serve(
    house: House, key: str, *, angry: str, event: str = "Unsubscribed", visitors: int = 200, prefix: str = "v"
) -> None:
    """Expose shoppers of women's clothing, of whom those of one arm are driven away."""
    names = [f"{prefix}{number}" for number in range(visitors)]
    house.record(*(house.exposure(key, name, womens=True) for name in names))
    arms = {name: house.evaluate(key, name, womens=True).assignment.arm for name in names}
    house.record(*(house.event(name, event) for name in names if arms[name] == angry))


def _tick(house: House) -> None:
    house.now_ms += HOUR
    reallocate_due(house.store, now_ms=house.now_ms)
    house.snapshots.refresh()


def test_an_arm_that_breaks_a_guardrail_loses_its_traffic_at_the_next_reallocation(house: House) -> None:
    key = house.start(spring_mailing(policy=_POLICY))
    _serve(house, key, angry="womens-letter")
    _tick(house)
    row = _ledger(house, key)[-1]
    assert (row["act"], row["actor"], row["kind"], row["epoch"]) == ("bar", "service", "published", 2)
    assert row["reason"] == (
        "womens-letter has pushed unsubscribe above its limit of 0.02 per visitor: its traffic goes to the mass arm"
    )
    assert row["barred"] == {"womens-letter": "unsubscribe"}
    assert row["weights"][_WOMEN] == {"nothing": 0.1, "one-letter": 0.8999, "womens-letter": 0.0001}
    assert row["weights"]["everyone-else"] == row["previous"]["everyone-else"]
    [audit] = audit_of(house.store, Selection("service", key, None, 10)).rows
    assert (audit["action"], audit["details"]["epoch"]) == ("experiment bar", 2)
    assert verify(house.store) == []


def test_without_guardrails_that_act_the_arm_would_keep_its_traffic(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.cautions._broken", lambda readings: iter(()))
    key = house.start(spring_mailing(policy=_POLICY))
    _serve(house, key, angry="womens-letter")
    _tick(house)
    assert _ledger(house, key)[-1]["weights"][_WOMEN]["womens-letter"] > 0.2


def test_the_other_arms_go_on_competing_without_it(house: House) -> None:
    arms = [{"key": name, "role": "mass"} for name in ("a", "b", "c")]
    document = tiny(arms=arms, policy=_POLICY)
    key = house.start({**document, "metrics": [*document["metrics"], _RAIL]})
    _serve(house, key, angry="c", event="Complained")
    _tick(house)
    _serve(house, key, angry="b", event="Signed Up", visitors=400, prefix="w")
    for _ in range(5):
        _tick(house)
    assert [row["act"] for row in _ledger(house, key)[:3]] == ["start", "bar", "reallocate"]
    weights = _ledger(house, key)[-1]["weights"]["everyone-else"]
    assert weights["c"] == 0.0001 and weights["b"] > 0.9 and sum(weights.values()) == pytest.approx(1)
    assert verify(house.store) == []


def test_what_is_barred_is_shown_as_such(house: House) -> None:
    key = house.start(spring_mailing(policy=_POLICY))
    _serve(house, key, angry="womens-letter")
    _tick(house)
    report = house.report(key)
    assert {rail["arm"]: rail["barred"] for rail in report["guardrails"]} == {
        "nothing": False, "one-letter": False, "womens-letter": True
    }
    assert any("womens-letter lost its traffic to the one message" in text for text in warnings(report))
    [summary] = overview(house.store, snapshot=house.snapshots.latest, now_ms=house.now_ms)
    assert ("barred", ("womens-letter", "unsubscribe")) in summary.concerns
    assert "guardrail" not in {concern.kind for concern in summary.concerns}
    stored = house.store.read(lambda session: lifecycle.experiment_json(session, lifecycle.find(session, key)))
    assert (stored["barred"], stored["frozen"]) == (["womens-letter"], False)


def test_a_person_lets_it_back_in_and_the_same_evidence_does_not_bar_it_again(house: House) -> None:
    key = house.start(spring_mailing(policy=_POLICY))
    _serve(house, key, angry="womens-letter")
    _tick(house)
    _do(house, key, "unbar")
    row = _ledger(house, key)[-1]
    assert (row["act"], row["actor"], row["reason"]) == ("unbar", "ann@shop.example", "The list was wrong.")
    assert row["barred"] == {} and row["weights"][_WOMEN]["womens-letter"] > 0.1
    for _ in range(3):
        _tick(house)
    assert {row["act"] for row in _ledger(house, key)[3:]} == {"reallocate"}
    _serve(house, key, angry="womens-letter", prefix="w")
    _tick(house)
    assert _ledger(house, key)[-1]["act"] == "bar"
    assert verify(house.store) == []


def test_where_the_one_message_itself_does_harm_the_weights_are_frozen(house: House) -> None:
    key = house.start(spring_mailing(policy=_POLICY))
    _serve(house, key, angry="one-letter")
    _tick(house)
    row = _ledger(house, key)[-1]
    assert (row["act"], row["actor"]) == ("freeze", "service")
    assert row["alarm"] == "one-letter has pushed unsubscribe above its limit of 0.02 per visitor"


def test_where_nothing_is_sent_nothing_can_be_taken_away(house: House) -> None:
    key = house.start(spring_mailing(policy=_POLICY))
    _serve(house, key, angry="nothing", visitors=400)
    _tick(house)
    assert _ledger(house, key)[-1]["act"] == "reallocate"
    assert any(rail["breached"] for rail in house.report(key)["guardrails"])


def test_held_weights_stay_where_somebody_holds_them_whatever_is_barred(house: House) -> None:
    key = house.start(spring_mailing(policy=_POLICY))
    _do(house, key, "freeze")
    _serve(house, key, angry="womens-letter")
    _tick(house)
    assert _ledger(house, key)[-1]["act"] == "freeze"
    _do(house, key, "unfreeze")
    _tick(house)
    assert _ledger(house, key)[-1]["act"] == "reallocate", "who unfreezes it knows what is broken by then"


def test_an_arm_can_be_let_back_in_while_weights_are_held_and_they_stay(house: House) -> None:
    key = house.start(spring_mailing(policy=_POLICY))
    _serve(house, key, angry="womens-letter")
    _tick(house)
    for name in ("freeze", "unbar"):
        _do(house, key, name)  # type: ignore[arg-type]
    row = _ledger(house, key)[-1]
    assert (row["act"], row["frozen"], row["barred"]) == ("unbar", True, {})
    assert row["weights"] == row["previous"]
    _do(house, key, "unfreeze")
    _tick(house)
    assert _ledger(house, key)[-1]["weights"][_WOMEN]["womens-letter"] > 0.1
    assert verify(house.store) == []


def test_a_bar_outlives_pauses_and_changes_of_the_document(house: House) -> None:
    document = spring_mailing(policy=_POLICY)
    key = house.start(document)
    _serve(house, key, angry="womens-letter")
    _tick(house)
    for name in ("pause", "resume"):
        _do(house, key, name)  # type: ignore[arg-type]
    deed = Deed("ann@shop.example", house.now_ms)
    lifecycle.replace(house.store, key, {**document, "name": "Another"}, deed=deed)
    row = _ledger(house, key)[-1]
    assert (row["act"], row["barred"]) == ("replace", {"womens-letter": "unsubscribe"})
    assert row["weights"][_WOMEN]["womens-letter"] == 0.0001
    house.now_ms += DAY
    _tick(house)
    assert verify(house.store) == []


def test_nothing_is_let_back_in_where_nothing_is_barred(house: House) -> None:
    key = house.start(spring_mailing())
    with pytest.raises(InvalidTransition, match="no arm that is barred"):
        _do(house, key, "unbar")
