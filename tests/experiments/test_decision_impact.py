"""Decisions that affect people: no policy makes them by itself, unless somebody says why, on record."""

from typing import Any

import pytest

from experiments.audit import Selection
from experiments.audit import audit_of
from experiments.document import parse_document
from experiments.document import parse_document_to_save
from experiments.errors import InvalidDocument
from experiments.lifecycle import find
from experiments.lifecycle import replace
from experiments.storage.store import Store
from tests.experiments.documents import tiny
from tests.experiments.house import House
from tests.service.deeds import DEED

ADAPTIVE = ("thompson", "top_two_thompson", "epsilon_greedy")
WHY = "An agent of ours looks at each offer before it is sent."


def impact(kind: str, **changes: Any) -> dict[str, Any]:
    """A document of prices."""
    return tiny(policy={"kind": kind}, decision_impact=True, **changes)


@pytest.mark.parametrize("kind", ADAPTIVE)
@pytest.mark.parametrize("override", [{}, {"decision_override": "  "}])
def test_no_policy_decides_what_has_an_impact(kind: str, override: dict[str, str]) -> None:
    with pytest.raises(InvalidDocument) as caught:
        parse_document_to_save(impact(kind, **override))
    [problem] = caught.value.problems
    assert problem.field == "policy.kind"
    assert "cannot move traffic by itself where decision_impact says" in str(problem)
    # What was saved before somebody asked is still read.
    assert parse_document(impact(kind)).decision_impact


def test_shares_that_people_set_are_theirs_to_decide() -> None:
    assert parse_document_to_save(impact("fixed")).decision_impact
    assert not parse_document_to_save(tiny(policy={"kind": "thompson"})).decision_impact


def test_why_a_policy_may_decide_all_the_same_is_in_the_audit_log(store: Store) -> None:
    house = House(store)
    key = house.start(impact("thompson", decision_override=WHY))
    replace(store, key, impact("epsilon_greedy", decision_override=WHY, name="Another"), deed=DEED)
    replace(store, key, impact("fixed", name="Another"), deed=DEED)
    rows = audit_of(store, Selection(None, key, None, 9)).rows
    told = {(row["action"], row["details"].get("decision_override")) for row in rows}
    assert told == {
        ("experiment create", WHY), ("experiment start", None),
        ("experiment replace", WHY), ("experiment replace", None),
    }


@pytest.mark.parametrize("change", [{"decision_impact": True}, {"decision_impact": True, "decision_override": ""}])
def test_a_campaign_that_runs_is_held_to_it_too(store: Store, change: dict[str, Any]) -> None:
    house = House(store)
    key = house.start(tiny(policy={"kind": "thompson"}))
    with pytest.raises(InvalidDocument):
        replace(store, key, tiny(policy={"kind": "thompson"}, **change), deed=DEED)
    replace(store, key, impact("thompson", decision_override=WHY), deed=DEED)
    assert store.read(lambda session: find(session, key)).experiment.decision_override == WHY
