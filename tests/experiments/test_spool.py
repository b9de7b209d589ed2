"""The spool: what was appended is there, whatever happens to the process, until it is passed."""

import errno
import os
import resource
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from experiments.errors import StorageError
from experiments.errors import StorageFull
from experiments.storage.spool import Source
from experiments.storage.spool import Spool

_KILLED = """
import os, signal, sys
from pathlib import Path
from experiments.storage.spool import Spool
spool = Spool(Path(sys.argv[1]), lambda: 5)
spool.append({1: b"one", 2: b"two"})
spool.append({1: b"three"})
os.kill(os.getpid(), signal.SIGKILL)
"""


def opened(folder: Path) -> Spool:
    """A spool whose clock goes on by one with each look."""
    folder.mkdir(exist_ok=True)
    times = count(100)
    return Spool(folder, lambda: next(times))


def bodies(spool: Spool, source: Source) -> list[bytes]:
    """What waits there."""
    return [entry.body for entry in spool.entries(source, most_bytes=1 << 20)]


def killed(folder: Path) -> Path:
    """The file of a process that appended three entries and was killed."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run([sys.executable, "-c", _KILLED, str(folder)], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == -signal.SIGKILL
    [file] = folder.glob("*/*.spool")
    return file


def test_numbers_have_no_gaps_within_a_partition(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for partitions in ((1, 2), (2,), (1, 2)):
        spool.append({partition: b"x" for partition in partitions})
    for partition, numbers in ((1, [1, 2]), (2, [1, 2, 3])):
        entries = spool.entries(Source(spool.writer, partition), most_bytes=100)
        assert [entry.number for entry in entries] == numbers
    spool.close()


def test_what_is_passed_waits_no_more(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    source = Source(spool.writer, 1)
    for body in (b"a", b"b", b"c"):
        spool.append({1: body})
    spool.pass_to({source: 2})
    assert bodies(spool, source) == [b"c"]
    waits = spool.waits(spool.writer)
    assert (waits.since_ms, waits.entries) == (102, 1)
    # The file goes once all of it is passed, and it is full.
    assert waits.bytes > 3
    assert spool.lags() == {1: 1}
    spool.pass_to({source: 3})
    assert spool.sources() == [] and spool.waits(spool.writer).since_ms is None and spool.lags() == {}
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_taken_over(tmp_path: Path) -> None:
    writer = killed(tmp_path).parent.name
    spool = opened(tmp_path)
    assert writer in spool.writers
    assert bodies(spool, Source(writer, 1)) == [b"one", b"three"]
    assert bodies(spool, Source(writer, 2)) == [b"two"]
    spool.pass_to({Source(writer, 1): 2, Source(writer, 2): 1})
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_process_is_alive_is_left_alone(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    first.append({1: b"mine"})
    second.adopt()
    assert second.writers == [second.writer] and second.sources() == []
    first.close()
    second.adopt()
    assert bodies(second, Source(first.writer, 1)) == [b"mine"]
    second.close()


def test_a_record_that_was_cut_off_is_left_out_and_those_before_it_are_there(tmp_path: Path) -> None:
    file = killed(tmp_path / "killed")
    whole, writer = file.read_bytes(), file.parent.name
    for number in range(1, 28 + len(b"three")):
        folder = tmp_path / f"cut-{number}"
        (folder / writer).mkdir(parents=True)
        (folder / writer / file.name).write_bytes(whole[:-number])
        spool = opened(folder)
        assert bodies(spool, Source(writer, 1)) == [b"one"]
        assert bodies(spool, Source(writer, 2)) == [b"two"]
        spool.close()


def test_a_disk_that_was_full_leaves_no_gap(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.append({1: b"a" * 100})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
    try:
        with pytest.raises(StorageFull, match="no space is left"):
            spool.append({1: b"b" * 100, 2: b"c"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    spool.append({1: b"d", 2: b"e"})
    entries = spool.entries(Source(spool.writer, 1), most_bytes=1000)
    assert [(entry.number, entry.body) for entry in entries] == [(1, b"a" * 100), (2, b"d")]
    assert bodies(spool, Source(spool.writer, 2)) == [b"e"]
    spool.close()


def test_a_disk_that_has_failed_keeps_nothing_more_until_the_process_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = opened(tmp_path)
    spool.append({1: b"kept"})

    def failing(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    # No disk of a test fails when it is asked to.
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", failing)
        with pytest.raises(StorageError, match="the disk has failed"):
            spool.append({1: b"lost"})
    # Asked again, such a disk says that all is well.
    with pytest.raises(StorageError, match="start the node again"):
        spool.append({1: b"after"})
    assert spool.disk.has_failed
    source = Source(spool.writer, 1)
    spool.close()
    again = opened(tmp_path)
    assert bodies(again, source)[0] == b"kept" and not again.disk.has_failed
    again.append({1: b"again"})
    again.close()
