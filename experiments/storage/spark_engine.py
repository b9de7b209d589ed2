"""Cubes by Spark: on a cluster, whose machines all see the files of the history."""

from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import SparkSession

from experiments.storage.cubes import CUBE
from experiments.storage.cubes import CubeRow
from experiments.storage.cubes import STEPS
from experiments.storage.cubes import Terms
from experiments.storage.cubes import cube_of
from experiments.storage.history_tables import check_files
from experiments.storage.history_tables import table_of
from experiments.storage.spark_session import spark_session

#: Of files, for each part of the work: some 400,000 rows, which an executor of 1 GB sorts in memory.
_PART_BYTES = 4 * 2**20


class SparkEngine:
    """A Spark cluster, by the address of its master; what its executors lose is computed again."""

    def __init__(self, master: str) -> None:
        self._master = master

    def cube(self, paths: Mapping[str, Sequence[Path]], terms: Terms) -> list[CubeRow]:
        """The cube of these files, by table; its rows in order.

        :raises InvalidHistory: if a file is not one of its table, or the cluster cannot add them up.
        """
        check_files(paths)
        with spark_session(self._master) as session:
            session.conf.set("spark.sql.shuffle.partitions", _parts(session, paths))
            for name, files in paths.items():
                _read(session, files).createOrReplaceTempView(name)
            for name, terms_of_kind in terms._asdict().items():
                session.createDataFrame(table_of(terms_of_kind)).createOrReplaceTempView(name)
            return cube_of(_added_up(session))


def _parts(session: SparkSession, paths: Mapping[str, Sequence[Path]]) -> int:
    """In how many parts visitors are divided: of what size they may be, and no fewer than there are cores."""
    size = sum(path.stat().st_size for files in paths.values() for path in files)
    return max(size // _PART_BYTES, int(session.sparkContext.defaultParallelism))


def _read(session: SparkSession, files: Sequence[Path]) -> Any:
    return session.read.parquet(*(f"file://{file.absolute()}" for file in files))


def _added_up(session: SparkSession) -> Any:
    with ExitStack() as kept:
        for name, step in STEPS.items():
            # As a view alone it would be computed again wherever it is asked.
            rows = session.sql(step).persist(StorageLevel.DISK_ONLY)
            kept.callback(rows.unpersist)
            rows.createOrReplaceTempView(name)
        return session.sql(CUBE).collect()
