"""Sessions of Spark: a cluster as one command asks it, and what keeps it from answering."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from threading import Thread

from py4j.protocol import Py4JError
from pyspark import SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from experiments.storage.cubes import NO_PLACE
from experiments.storage.history_manifests import InvalidHistory

_SETTINGS: dict[str, bool | float | int | str | None] = {
    "spark.app.name": "bespoke",
    # What fails is told once, by whoever asked.
    "spark.log.level": "OFF",
    # A sum that overflows is an error, as it is everywhere.
    "spark.sql.ansi.enabled": True,
    # What is kept stays divided by visitors, as the next step needs it.
    "spark.sql.optimizer.canChangeCachedPlanOutputPartitioning": False,
    "spark.ui.enabled": False,
    "spark.ui.showConsoleProgress": False,
}
_TOO_LARGE = re.compile(r"\[(ARITHMETIC_OVERFLOW|CAST_OVERFLOW|NUMERIC_VALUE_OUT_OF_RANGE)")
_OLDEST_JAVA = 17
_CONNECT_SECONDS = 5
#: How long a cluster may do nothing.
_PATIENCE_SECONDS = 60


@contextmanager
def spark_session(master: str) -> Iterator[SparkSession]:
    """A session on a cluster.

    :raises InvalidHistory: if there is no Java for it, no master at the address, or the cluster cannot do the work.
    """
    _check_java()
    _check_master(master)
    given_up = Event()
    try:
        session = SparkSession.builder.master(master).config(map=_SETTINGS).getOrCreate()
        try:
            with _watched(session.sparkContext, given_up):
                yield session
        finally:
            session.stop()
    except (PySparkException, Py4JError, OSError) as error:
        reason = f"no worker of it has been at work for {_PATIENCE_SECONDS} s" if given_up.is_set() else _said(error)
        raise InvalidHistory(f"{master}: {reason}") from error


def _check_java() -> None:
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else "java"
    if shutil.which(java) is None:
        raise InvalidHistory(f"Spark needs Java {_OLDEST_JAVA} or newer, and {java} is not there: set JAVA_HOME")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < _OLDEST_JAVA:
        raise InvalidHistory(f"Spark needs Java {_OLDEST_JAVA} or newer, and {java} says {said.splitlines()[:1]}")


def _check_master(master: str) -> None:
    """Refuse an address at which nobody listens: Spark itself would ask for a minute."""
    failures = [_failure(place) for place in master.removeprefix("spark://").split(",")]
    if all(failures):
        raise InvalidHistory(f"{master}: no master answers there: {'; '.join(filter(None, failures))}")


def _failure(place: str) -> str | None:
    host, _, port = place.rpartition(":")
    if not (host and port.isdecimal()):
        return f"{place} must be host:port"
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        return f"{place}: {error}"
    return None


@contextmanager
def _watched(context: SparkContext, given_up: Event) -> Iterator[None]:
    """Give the work up when nobody has been at it for long: Spark itself would wait for ever."""
    done = Event()
    watch = Thread(target=_watch, args=(context, done, given_up))
    watch.start()
    try:
        yield
    finally:
        done.set()
        watch.join()


def _watch(context: SparkContext, done: Event, given_up: Event) -> None:
    tracker, seen = context._jsc.sc().statusTracker(), time.monotonic()
    while not done.wait(1):
        # The driver is one of them.
        if len(tracker.getExecutorInfos()) > 1:
            seen = time.monotonic()
        elif time.monotonic() - seen > _PATIENCE_SECONDS:
            given_up.set()
            context.cancelAllJobs()


def _said(error: Exception) -> str:
    """What a failure says of itself, without the lines of the programs that it came through."""
    text = str(error)
    named = re.search(r"\[[A-Z0-9_.]+\] .*", text)
    if named is None:
        return text.partition("\n")[0]
    return f"{NO_PLACE}: {named[0]}" if _TOO_LARGE.match(named[0]) else named[0]
