"""Segments on special categories of personal data need a legal basis, or somebody who says that they are none."""

from typing import Any

import pytest

from experiments.audit import Deed
from experiments.document import parse_document
from experiments.errors import InvalidDocument
from experiments.lifecycle import apply_document
from experiments.lifecycle import find
from experiments.lifecycle import replace
from experiments.privacy.special_categories import category_of
from experiments.storage.store import Store
from tests.experiments.documents import spring_mailing
from tests.experiments.house import House

DEED = Deed("test", 1)


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


def with_segment(attributes: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """The example with one more segment, which no arm is for."""
    document = spring_mailing()
    segment = {"key": "others", "kind": "demographic", "rule": {"zip_code": "Urban"}, **changes}
    document["segments"] = [*document["segments"], segment]
    document["attributes"] = {**document["attributes"], **(attributes or {})}
    return document


def refused(store: Store, document: dict[str, Any]) -> list[tuple[str, object, str]]:
    """Why a document is not saved."""
    with pytest.raises(InvalidDocument) as error:
        apply_document(store, document, deed=DEED)
    return [(problem.field, problem.value, problem.rule) for problem in error.value.problems]


SPECIAL = [
    {"key": "oncology_patient"},
    {"key": "others", "name": "Chronisch Kranke"},
    {"rule": {"interest": "trade union"}, "attributes": {"interest": "string"}},
    {"rule": {"isPregnant": True}, "attributes": {"isPregnant": "boolean"}},
    {
        "rule": {"$or": [{"zip_code": "a"}, {"$not": {"religion": {"$exists": True}}}]},
        "attributes": {"religion": "string"},
    },
    {"rule": {"liked": {"$elemMatch": {"$in": ["shoes", "musulmán"]}}}, "attributes": {"liked": "list"}},
    {"rule": {"orientation": "LGBT"}, "attributes": {"orientation": "string"}},
    {"rule": {"x": 1}, "attributes": {"x": {"type": "number", "special": True}}},
    {"special": True},
]


@pytest.mark.parametrize("changes", SPECIAL, ids=str)
def test_a_segment_on_a_special_category_needs_a_legal_basis(house: House, changes: dict[str, Any]) -> None:
    document = with_segment(**changes)
    [(field, value, rule)] = refused(house.store, document)
    assert field == "segments[1].legal_basis"
    assert value
    assert "special category" in rule and '"special": false' in rule
    document["segments"][1]["legal_basis"] = "Explicit consent (GDPR, Article 9(2)(a)), asked for in the club's form."
    apply_document(house.store, document, deed=DEED)
    stored = house.store.read(lambda session: find(session, document["key"]))
    assert stored.document["segments"][1]["legal_basis"].startswith("Explicit consent")


@pytest.mark.parametrize("changes", SPECIAL[:-2], ids=str)
def test_or_somebody_says_that_it_is_none(house: House, changes: dict[str, Any]) -> None:
    apply_document(house.store, with_segment(**changes, special=False), deed=DEED)


def test_of_an_attribute_somebody_may_say_so_too(house: House) -> None:
    document = with_segment({"race": {"type": "string", "special": False}}, rule={"race": "10 km"})
    apply_document(house.store, document, deed=DEED)


def test_a_special_attribute_is_not_stored_for_discovery(house: House) -> None:
    stored = {"type": "string", "store": True, "bands": ["a"]}
    for attribute, name in ((stored, "diagnosis of patients"), ({**stored, "special": True}, "shelf")):
        [(field, value, rule)] = refused(house.store, with_segment({name: attribute}))
        assert (field, value) == (f"attributes.{name}.store", name)
        assert "is not stored" in rule
    apply_document(house.store, with_segment({"patients": {**stored, "special": False}}), deed=DEED)


@pytest.mark.parametrize("basis", ["", "   ", 7, "x" * 1001])
def test_a_legal_basis_is_a_text(house: House, basis: object) -> None:
    assert refused(house.store, with_segment(key="patients", legal_basis=basis))


def test_a_document_that_was_saved_before_is_read_and_its_basis_may_be_added_while_it_runs(house: House) -> None:
    document = with_segment(key="patients", legal_basis="consent")
    house.start(document)
    document["segments"][1]["legal_basis"] = "Consent of 2027, asked for anew."
    replace(house.store, document["key"], document, deed=DEED)
    del document["segments"][1]["legal_basis"]
    with pytest.raises(InvalidDocument, match="legal_basis"):
        replace(house.store, document["key"], document, deed=DEED)
    assert parse_document(document).segments[1].legal_basis is None


@pytest.mark.parametrize(
    ("category", "texts"),
    [
        ("health", ["Krebspatienten", "hatDiabetes", "santé mentale", "niepełnosprawni", "embarazadas", "malati"]),
        ("politics", ["Political views", "Wähler", "eleitores", "politique", "elettori"]),
        ("religion", ["wyznanie religijne", "Kirchgänger", "católicos", "juifs", "ebrei", "kerkelijk", "cristãos"]),
        ("sexuality", ["sexual orientation", "Schwule", "orientamento sessuale", "homosexuels", "seksualność"]),
        ("union membership", ["Trade-union member", "Gewerkschaftsmitglied", "syndiqués", "sindicato", "związkowcy"]),
        ("ethnic origin", ["ethnicity", "racial", "origine ethnique", "etnicidad", "skin colour"]),
        ("genetics or biometrics", ["DNA test", "biometría", "fingerprintHash", "génétique"]),
    ],
)
def test_words_of_many_languages_are_known(category: str, texts: list[str]) -> None:
    assert {text: category_of(text) for text in texts} == dict.fromkeys(texts, category)


@pytest.mark.parametrize(
    "text",
    [
        "womens-shoppers", "families", "over-65", "large-companies", "party dresses", "Lovers of quality", "grace",
        "trace", "reunion", "communities", "medium", "voted best", "conservation", "christmas", "judge", "critical", "",
    ],
)
def test_ordinary_words_are_none(text: str) -> None:
    assert category_of(text) is None
