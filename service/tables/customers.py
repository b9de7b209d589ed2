"""The demo's customers: Hillstrom's e-mail experiment (2008), rebuilt from the counts in `data/`."""

import csv
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random

COUNTS = Path(__file__).parents[1] / "data" / "hillstrom_counts.csv"


@dataclass(frozen=True)
class Customer:
    """One customer: what was known before the mailing, which letter was sent, and what came of it.

    `arm` is spelt as in the original file ("No E-Mail", "Mens E-Mail", "Womens E-Mail"); `spend` is in dollars over the
    two weeks after the mailing. Customers who are alike share one mapping of attributes.
    """

    id: str
    attributes: Mapping[str, str | int | bool]
    arm: str
    visit: bool
    conversion: bool
    spend: Decimal


def customers(seed: int) -> list[Customer]:
    """All 64,000 customers with their real outcomes, in an order drawn from `seed`; ids do not depend on it."""
    rebuilt = list(_rebuilt())
    Random(seed).shuffle(rebuilt)
    return rebuilt


def _rebuilt() -> Iterator[Customer]:
    with COUNTS.open(encoding="ascii", newline="") as file:
        alike = ((row, _attributes(row)) for row in csv.DictReader(file))
        each = (pair for pair in alike for _ in range(int(pair[0]["customers"])))
        for number, (row, attributes) in enumerate(each, start=1):
            yield _customer(f"customer-{number:05}", row, attributes=attributes)


def _attributes(row: Mapping[str, str]) -> Mapping[str, str | int | bool]:
    return {
        "recency": int(row["recency"]),
        "history_segment": row["history_segment"],
        "mens": row["mens"] == "1",
        "womens": row["womens"] == "1",
        "zip_code": row["zip_code"],
        "newbie": row["newbie"] == "1",
        "channel": row["channel"],
    }


def _customer(key: str, row: Mapping[str, str], *, attributes: Mapping[str, str | int | bool]) -> Customer:
    return Customer(
        id=key,
        attributes=attributes,
        arm=row["segment"],
        visit=row["visit"] == "1",
        conversion=row["conversion"] == "1",
        spend=Decimal(row["spend"]),
    )
