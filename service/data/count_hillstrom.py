"""Count Hillstrom's customers: `python count_hillstrom.py PATH_TO_HILLSTROM_CSV > hillstrom_counts.csv`.

The original file (Kevin Hillstrom, MineThatData e-mail analytics challenge, 2008) has one row for each of 64,000
customers. The counts have one row for each distinct (attributes, arm, outcomes), and how many customers share it.
The exact amount of past purchases, which nearly tells customers apart, is left out; its band stays.
"""

import csv
import sys
from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping
from typing import TextIO

ATTRIBUTES = ("recency", "history_segment", "mens", "womens", "zip_code", "newbie", "channel")
COLUMNS = (*ATTRIBUTES, "segment", "visit", "conversion", "spend")


def count(rows: Iterable[Mapping[str, str]]) -> Counter[tuple[str, ...]]:
    """How many customers share each row of `COLUMNS`, every value spelt as in the file."""
    return Counter(tuple(row[column] for column in COLUMNS) for row in rows)


def write(counts: Counter[tuple[str, ...]], out: TextIO) -> None:
    """Write the counts in the order of their rows, so that the same file gives the same bytes."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*COLUMNS, "customers"))
    writer.writerows((*row, customers) for row, customers in sorted(counts.items()))


def main(path: str) -> None:
    """Count the file at `path` onto standard output."""
    with open(path, encoding="ascii", newline="") as file:
        write(count(csv.DictReader(file)), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
