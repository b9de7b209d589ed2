"""Policies of other packages: their weights within the house's limits, and whatever is wrong with them does no harm."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies

from experiments import lifecycle
from experiments import policy_kinds
from experiments.audit import Deed
from experiments.document import DOCUMENT
from experiments.document import parse_document
from experiments.errors import InvalidDocument
from experiments.errors import InvalidTransition
from experiments.ledger import ledger_json
from experiments.model import Policy
from experiments.plugin_errors import PolicyRefused
from experiments.plugins import plugins
from experiments.policy_kinds import Candidate
from experiments.policy_kinds import shares_of
from experiments.reading import policy as section
from experiments.storage.store import Store
from experiments.verification import verify
from tests.experiments.documents import tiny
from tests.experiments.house import House
from tests.packages import write_package

_ARMS = [{"key": "a", "role": "mass"}, {"key": "b", "role": "mass"}, {"key": "nothing", "role": "control"}]
_SOURCE = '''
import math
from experiments.policy_kinds import PolicyKind
from experiments.reading.shapes import Field
from experiments.reading.values import any_object, number, one_of

WORDS = ("nan", "short", "negative", "much", "text", "nothing", "raises", "first")


def wanted(policy, arms):
    given = {
        "nan": [math.nan] * len(arms), "short": [1.0], "negative": [2.0, -1.0], "much": [0.9, 0.9],
        "text": "all", "nothing": None, "first": [1.0] + [0.0] * (len(arms) - 1),
    }
    return given[policy.parameters["gives"]]


GIVEN = PolicyKind(wanted, "Give what is said", (Field("gives", one_of(WORDS), "what it gives", is_required=True),))
SHARED = PolicyKind(lambda policy, arms: policy.parameters["as"]["is"], "Share", (Field("as", any_object, "as is"),))
SPLIT = PolicyKind(lambda policy, arms: [policy.parameters["first"], 1 - policy.parameters["first"]], "Split",
                   (Field("first", number(0, 1), "the first arm's", default=0.75),))
NO_KIND = "a text"
GREEDY = PolicyKind(wanted, "Take what is not its own", (Field("epsilon", number(0, 1), "another", default=0.5),))
'''
_BAD = {
    "nan": "gave [nan, nan], must be 2 shares from 0 to 1 that sum to 1", "short": "gave [1.0]",
    "negative": "gave [2.0, -1.0]", "much": "gave [0.9, 0.9]", "text": "failed: ValueError", "nothing": "gave nan",
    "raises": "failed: KeyError: 'raises'",
}


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


def _forget() -> None:
    plugins.cache_clear()
    section.policy_section.cache_clear()
    section._kind_field.cache_clear()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A package that brings policies; undoing the patch uninstalls it."""
    folder = tmp_path / "packages"
    folder.mkdir()
    names = {name: name.upper() for name in ("given", "shared", "split", "no_kind", "greedy", "missing")}
    names["thompson"] = "GIVEN"
    write_package(folder, "bad_policies", _SOURCE, group="bespoke.policies", names=names)
    monkeypatch.syspath_prepend(folder)
    _forget()
    yield monkeypatch
    monkeypatch.undo()
    _forget()


def _policy(kind: str, **parameters: Any) -> dict[str, Any]:
    return {"kind": kind, "burn_in": 0, "burn_in_conversions": 0, "max_step": 1, **parameters}


def _started(house: House, **policy: Any) -> str:
    return house.start(tiny(arms=_ARMS, control_share=0.2, policy=_policy(**policy)))


def _weights(house: House, key: str) -> dict[str, float]:
    found: dict[str, float] = ledger_json(house.reallocate(key))["weights"]["everyone-else"]
    return found


def test_what_a_package_wants_keeps_control_share_floor_and_step(package: object, house: House) -> None:
    key = _started(house, kind="given", gives="first")
    assert _weights(house, key) == {"nothing": 0.2, "a": 0.75, "b": 0.05}
    key = house.start(tiny(key="small-steps", arms=_ARMS, control_share=0.2, policy={
        **_policy("given", gives="first"), "max_step": 0.1,
    }))
    assert _weights(house, key) == {"nothing": 0.2, "a": 0.5, "b": 0.3}
    assert verify(house.store) == []


@pytest.mark.parametrize("gives", sorted(_BAD))
def test_nonsense_and_faults_leave_weights_where_they_are_and_are_told(
    package: object, house: House, gives: str
) -> None:
    key = _started(house, kind="given", gives=gives)
    before = ledger_json(house.store.read(lambda session: session.ledger.last(key)))["weights"]
    row = house.reallocate(key)
    assert (row.kind, ledger_json(row)["weights"]) == ("unchanged", before)
    refused = house.report(key)["diagnostics"]["refused"]
    assert refused == ledger_json(row)["refused"]
    assert refused is not None and _BAD[gives] in refused and "'given'" in refused
    assert verify(house.store) == []


@given(strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.floats() | strategies.integers() | strategies.text(),
    lambda inner: strategies.lists(inner, max_size=3),
))
def test_whatever_a_package_gives_is_shares_or_refused(value: object) -> None:
    kind = {"is": value}
    arms = [Candidate(arm, "mass", 100, 0.5, 0.1, 0.01) for arm in "ab"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(policy_kinds.LEARNING, "shared", policy_kinds.PolicyKind(lambda *_: kind["is"], ""))
        try:
            shares = shares_of(Policy(kind="shared"), arms).tolist()
        except PolicyRefused as refusal:
            assert "'shared'" in str(refusal)
        else:
            assert len(shares) == 2 and min(shares) >= 0 and sum(shares) == pytest.approx(1)


def test_a_policy_that_works_again_moves_weights_again(package: object, house: House) -> None:
    key = _started(house, kind="given", gives="raises")
    house.reallocate(key)
    document = tiny(arms=_ARMS, control_share=0.2, policy=_policy("given", gives="first"))
    lifecycle.replace(house.store, key, document, deed=Deed("test", house.now_ms))
    assert house.report(key)["diagnostics"]["refused"] is None
    assert house.report(key)["epoch"] == 2


def test_parameters_are_read_by_what_the_package_declares(package: object) -> None:
    assert parse_document(tiny(policy=_policy("split"))).policy.parameters == {"first": 0.75}
    for policy, field, rule in [
        (_policy("given"), "policy.gives", "is required"),
        (_policy("given", gives="all"), "policy.gives", "must be one of nan, short"),
        (_policy("split", first=2), "policy.first", "must be from 0 to 1"),
        (_policy("split", gives="nan"), "policy.gives", "is for another kind of policy than split"),
        (_policy("thompson", first=1), "policy.first", "is for another kind of policy than thompson"),
        (_policy("split", frist=1), "policy.frist", "is not a field here"),
    ]:
        with pytest.raises(InvalidDocument) as refused:
            parse_document(tiny(policy=policy))
        assert [(one.field, rule in one.rule) for one in refused.value.problems] == [(field, True)]


def test_no_package_takes_the_place_of_a_kind_that_is_built_in(package: object) -> None:
    assert policy_kinds.kind_names().count("thompson") == 1
    assert parse_document(tiny(policy={"kind": "thompson"})).policy.parameters == {}
    fault = policy_kinds.plugin_fault(plugins("bespoke.policies")["thompson"])
    assert fault == "has the name of a kind that is built in, which stays"


def test_the_schema_of_documents_has_the_kinds_and_parameters_that_are_installed(package: object) -> None:
    policy = DOCUMENT.schema["properties"]["policy"]["properties"]
    assert {"given", "split", "shared"} <= set(policy["kind"]["enum"])
    assert policy["first"]["default"] == 0.75


@pytest.mark.parametrize(("kind", "rule"), [
    ("no_kind", "must be a PolicyKind; bad_policies 1.0 brings a str"),
    ("missing", "cannot be loaded from bad_policies:MISSING: AttributeError"),
    ("greedy", "declares epsilon, which every policy has"),
    ("never", "is not installed: must be one of fixed, thompson"),
])
def test_a_kind_that_cannot_be_used_is_refused_when_saved(package: object, kind: str, rule: str) -> None:
    with pytest.raises(InvalidDocument, match="policy.kind") as refused:
        parse_document(tiny(policy={"kind": kind}))
    assert rule in refused.value.problems[0].rule


def test_an_experiment_whose_policy_is_uninstalled_goes_on_with_its_weights_and_says_why(
    package: pytest.MonkeyPatch, house: House
) -> None:
    key = _started(house, kind="given", gives="first")
    before = _weights(house, key)
    lifecycle.create(
        house.store, tiny(key="later", policy=_policy("split")), deed=Deed("test", house.now_ms)
    )
    package.undo()
    _forget()
    again = House(house.store, now_ms=house.now_ms)
    again.snapshots.refresh()
    assert again.evaluate(key, "ann").assignment.arm in before
    assert _weights(again, key) == before
    assert "policy.kind 'given' is not installed" in again.report(key)["diagnostics"]["refused"]
    with pytest.raises(InvalidTransition, match="'later': policy.kind 'split' is not installed"):
        again.act("later", "start")
    assert [fault.partition(": ")[2] for fault in verify(house.store)] == [
        "its weights cannot be computed again: policy.kind 'given' is not installed: must be one of fixed, thompson,"
        " top_two_thompson, epsilon_greedy, contextual_thompson"
    ]
