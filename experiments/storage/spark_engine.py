"""Cubes by Spark: on a cluster, whose machines all see the files of the history."""

from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import SparkSession

from experiments.storage.cubes import CUBE
from experiments.storage.cubes import CubeRow
from experiments.storage.cubes import Terms
from experiments.storage.cubes import cube_of
from experiments.storage.history_tables import table_of

_SETTINGS: dict[str, bool | float | int | str | None] = {
    "spark.app.name": "bespoke",
    "spark.log.level": "ERROR",
    # A sum that overflows is an error, as it is everywhere.
    "spark.sql.ansi.enabled": True,
    "spark.ui.enabled": False,
    "spark.ui.showConsoleProgress": False,
}


class SparkEngine:
    """A Spark cluster, by the address of its master; what its executors lose is computed again."""

    def __init__(self, master: str) -> None:
        self._master = master

    def cube(self, paths: Mapping[str, Sequence[Path]], terms: Terms) -> list[CubeRow]:
        """The cube of these files, by table; its rows in order."""
        session = SparkSession.builder.master(self._master).config(map=_SETTINGS).getOrCreate()
        try:
            for name, files in paths.items():
                session.read.parquet(*(f"file://{file.absolute()}" for file in files)).createOrReplaceTempView(name)
            for name, terms_of_kind in terms._asdict().items():
                session.createDataFrame(table_of(terms_of_kind)).createOrReplaceTempView(name)
            return cube_of(session.sql(CUBE).collect())
        finally:
            session.stop()
