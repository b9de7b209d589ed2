"""The demo's customers: the published totals, and the original file where it is there."""

import csv
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest

from service.tables.customers import COUNTS
from service.tables.customers import Customer
from service.tables.customers import customers


@pytest.fixture(scope="module")
def everybody() -> list[Customer]:
    return customers(seed=1)


def totals(chosen: Iterable[Customer]) -> tuple[int, int, int, Decimal]:
    """n, visits, conversions, spend."""
    chosen = list(chosen)
    visits = sum(customer.visit for customer in chosen)
    conversions = sum(customer.conversion for customer in chosen)
    return len(chosen), visits, conversions, sum((customer.spend for customer in chosen), Decimal(0))


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        ("No E-Mail", (21_306, 2_262, 122, Decimal("13908.33"))),
        ("Mens E-Mail", (21_307, 3_894, 267, Decimal("30311.69"))),
        ("Womens E-Mail", (21_387, 3_238, 189, Decimal("23038.11"))),
    ],
)
def test_each_letter_has_the_published_totals(
    everybody: list[Customer], arm: str, expected: tuple[int, int, int, Decimal]
) -> None:
    assert totals(customer for customer in everybody if customer.arm == arm) == expected


@pytest.mark.parametrize(
    ("mens", "womens", "by_arm"),
    [
        (True, False, [(9_638, 962, 53), (9_558, 1_615, 110), (9_622, 1_067, 59)]),
        (False, True, [(9_519, 912, 49), (9_568, 1_592, 104), (9_647, 1_638, 99)]),
        (True, True, [(2_149, 388, 20), (2_181, 687, 53), (2_118, 533, 31)]),
        (False, False, [(0, 0, 0), (0, 0, 0), (0, 0, 0)]),
    ],
)
def test_each_kind_of_past_buyer_has_the_published_totals(
    everybody: list[Customer], mens: bool, womens: bool, by_arm: list[tuple[int, int, int]]
) -> None:
    chosen = [one for one in everybody if (one.attributes["mens"], one.attributes["womens"]) == (mens, womens)]
    arms = ("No E-Mail", "Mens E-Mail", "Womens E-Mail")
    assert [totals(one for one in chosen if one.arm == arm)[:3] for arm in arms] == by_arm


def test_the_seed_decides_the_order_and_nothing_else(everybody: list[Customer]) -> None:
    assert everybody == customers(seed=1)
    other = customers(seed=2)
    assert [one.id for one in other] != [one.id for one in everybody]
    assert {one.id: one for one in other} == {one.id: one for one in everybody}


def test_every_customer_has_an_id_of_their_own(everybody: list[Customer]) -> None:
    assert {one.id for one in everybody} == {f"customer-{number:05}" for number in range(1, 64_001)}


def test_money_was_spent_by_those_who_bought_and_only_visitors_bought(everybody: list[Customer]) -> None:
    assert all(one.conversion == (one.spend > 0) for one in everybody)
    assert all(one.visit for one in everybody if one.conversion)


def test_attributes_have_the_types_that_a_document_declares(everybody: list[Customer]) -> None:
    kinds = {key: type(value) for one in everybody for key, value in one.attributes.items()}
    assert kinds == {
        "recency": int,
        "history_segment": str,
        "mens": bool,
        "womens": bool,
        "zip_code": str,
        "newbie": bool,
        "channel": str,
    }


def as_in_the_file(one: Customer) -> tuple[str, ...]:
    attributes = tuple(str(int(value)) if isinstance(value, bool) else str(value) for value in one.attributes.values())
    return (*attributes, one.arm, str(int(one.visit)), str(int(one.conversion)), str(one.spend))


def test_the_customers_are_those_of_the_original_file(everybody: list[Customer], shared_data: Path) -> None:
    with (shared_data / "hillstrom.csv").open(encoding="ascii", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = [*everybody[0].attributes, "segment", "visit", "conversion", "spend"]
    original = Counter(tuple(row[column] for column in columns) for row in rows)
    assert Counter(map(as_in_the_file, everybody)) == original


def test_the_script_makes_the_counts_byte_for_byte(shared_data: Path) -> None:
    script = COUNTS.with_name("count_hillstrom.py")
    done = subprocess.run([sys.executable, script, shared_data / "hillstrom.csv"], capture_output=True, check=True)
    assert done.stdout == COUNTS.read_bytes()
