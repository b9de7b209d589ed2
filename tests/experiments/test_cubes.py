"""Cubes: DuckDB finds what an oracle finds, whatever texts and numbers a history has, and says what it cannot read."""

from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from experiments.storage.duckdb_engine import DuckdbEngine
from experiments.storage.history_manifests import InvalidHistory
from experiments.storage.history_folder import engine_of
from tests.experiments.crowds import crowd_terms
from tests.experiments.crowds import write_crowd
from tests.experiments.cube_oracle import TERMS
from tests.experiments.cube_oracle import expected_cube
from tests.experiments.cube_oracle import overflowing
from tests.experiments.cube_oracle import small_history


@pytest.mark.parametrize("seed", range(40))
def test_the_cube_of_any_history_is_that_of_the_oracle(seed: int, tmp_path: Path) -> None:
    history = small_history(seed)
    assert engine_of("duckdb").cube(history.written(tmp_path), TERMS) == expected_cube(history)


def test_nobody_exposed_and_nobody_who_did_anything_have_a_cube_too(tmp_path: Path) -> None:
    history = small_history(1)
    unseen, idle = history._replace(exposures=[]), history._replace(outcomes=[], totals=[])
    assert engine_of("duckdb").cube(unseen.written(tmp_path / "unseen"), TERMS) == []
    assert engine_of("duckdb").cube(idle.written(tmp_path / "idle"), TERMS) == expected_cube(idle) != []


def test_a_refund_of_what_would_have_no_place_leaves_a_sum_that_has_one(tmp_path: Path) -> None:
    for amounts in ((2**62, 2**62, -(2**62)), (-(2**62), 2**62, 2**62)):
        history = overflowing(*amounts)
        found = engine_of("duckdb").cube(history.written(tmp_path / str(amounts[0])), TERMS)
        assert found == expected_cube(history) and 2**62 in {row.total for row in found}


@pytest.mark.parametrize("visitors", [1, 5])
def test_a_sum_that_has_no_place_is_an_error(visitors: int, tmp_path: Path) -> None:
    # Of one visitor beyond 64 bits, of five their squares beyond 38 digits.
    history = overflowing(*[2**62] * (2 if visitors == 1 else 1), visitors=visitors)
    with pytest.raises(InvalidHistory, match="duckdb: a sum has no place in its digits"):
        engine_of("duckdb").cube(history.written(tmp_path), TERMS)
    assert expected_cube(history), "the oracle has room for everything"


def test_what_does_not_fit_into_memory_goes_by_the_disk_and_comes_to_the_same(tmp_path: Path) -> None:
    paths = write_crowd(tmp_path, 100_000)
    assert DuckdbEngine(memory="60MB").cube(paths, crowd_terms()) == DuckdbEngine().cube(paths, crowd_terms())


def test_too_little_memory_is_an_error_that_says_what_there_was(tmp_path: Path) -> None:
    with pytest.raises(InvalidHistory, match=r"duckdb: Out of Memory Error.*1MB of memory, and what is free in"):
        DuckdbEngine(memory="1MB").cube(write_crowd(tmp_path, 20_000), crowd_terms())


def _without_a_column(path: Path) -> None:
    parquet.write_table(parquet.read_table(path).drop_columns("amount"), path)


def _with_a_column_of_texts(path: Path) -> None:
    table = parquet.read_table(path)
    place = table.schema.get_field_index("amount")
    parquet.write_table(table.set_column(place, "amount", table["amount"].cast(pyarrow.string())), path)


def _with_noise_in_the_middle(path: Path) -> None:
    content = path.read_bytes()
    third = len(content) // 3
    path.write_bytes(content[:third] + bytes(third) + content[2 * third :])


@pytest.mark.parametrize(
    ("change", "saying"),
    [
        (Path.unlink, "1.parquet.*No such file"),
        (lambda path: path.write_bytes(b""), "1.parquet: Parquet file size is 0 bytes"),
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "1.parquet: Parquet magic bytes not found"),
        (_with_noise_in_the_middle, "1.parquet: "),
        (_without_a_column, "1.parquet has the columns .*metric string, at_ms int64.*, must have .*amount int64"),
        (_with_a_column_of_texts, "1.parquet has the columns .*amount string, .*, must have .*amount int64"),
    ],
)
def test_a_file_that_is_damaged_or_another_one_is_named(
    change: Callable[[Path], object], saying: str, tmp_path: Path
) -> None:
    paths = write_crowd(tmp_path, 3000)
    change(paths["outcomes"][1])
    with pytest.raises(InvalidHistory, match=f"outcomes/{saying}"):
        engine_of("duckdb").cube(paths, crowd_terms())


def test_a_thousand_files_are_one_history(tmp_path: Path) -> None:
    few, many = write_crowd(tmp_path / "few", 3000), write_crowd(tmp_path / "many", 3000, files=334)
    assert sum(map(len, many.values())) == 1002
    assert engine_of("duckdb").cube(many, crowd_terms()) == engine_of("duckdb").cube(few, crowd_terms())
