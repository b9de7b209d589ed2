"""Errands: one process at a time, later where it failed, and news in order, on either database."""

from typing import Any

import pytest

from experiments.errands import LEASE_MS
from experiments.errands import run_errand
from experiments.news import News
from experiments.news import hand_out
from experiments.storage.errands import ErrandRow
from experiments.storage.store import Store
from tests.experiments.documents import tiny
from tests.experiments.house import START
from tests.experiments.house import House


@pytest.mark.every_database
def test_a_sink_is_told_what_comes_after_its_first_look_once_and_in_order(store: Store) -> None:
    house, told = House(store), list[News]()
    house.start(tiny(key="before"))

    def look() -> None:
        hand_out(store, "sink test", told.append, now_ms=house.now_ms)

    look()
    assert told == []
    house.start(tiny())
    for name in ("pause", "resume", "pause", "resume", "pause", "resume"):
        house.act("tiny", name)  # type: ignore[arg-type]
    for _ in range(3):
        look()
    acts = [one["data"]["act"] for one in told if one["type"].startswith("bespoke.experiment")]
    assert acts == ["create", "start", *["pause", "resume"] * 3]
    assert [one["id"] for one in told if "allocation" in one["type"]] == ["ledger-tiny-1"]
    assert len({one["id"] for one in told}) == len(told) == 9
    look()
    assert len(told) == 9


@pytest.mark.every_database
def test_what_a_sink_refuses_comes_again_later_and_what_it_took_does_not(store: Store) -> None:
    house, told = House(store), list[str]()
    hand_out(store, "sink test", lambda news: None, now_ms=START)
    house.start(tiny())

    def sink(news: News) -> None:
        if len(told) == 1:
            told.append("refused")
            raise ConnectionError("away")
        told.append(news["type"])

    failed = hand_out(store, "sink test", sink, now_ms=START)
    assert failed is not None and (failed.failures, failed.fault) == (1, "ConnectionError: away")
    assert hand_out(store, "sink test", sink, now_ms=START + 999) is None
    hand_out(store, "sink test", sink, now_ms=START + 1000)
    assert told == ["bespoke.experiment.create", "refused", "bespoke.experiment.start", "bespoke.allocation.published"]


def test_waits_double_up_to_ten_minutes(store: Store) -> None:
    def work(row: ErrandRow) -> Any:
        raise OSError("away")

    now_ms, waits = START, list[int]()
    for _ in range(12):
        failed = run_errand(store, "sink test", work, now_ms=now_ms)
        assert failed is not None
        waits.append((failed.due_ms - now_ms) // 1000)
        now_ms = failed.due_ms
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]


def test_an_errand_is_done_by_one_at_a_time_and_taken_over_from_who_is_killed(store: Store) -> None:
    done = list[str]()

    def others(now_ms: int) -> None:
        run_errand(store, "source test", lambda row: done.append("other"), now_ms=now_ms)

    def slow(row: ErrandRow) -> ErrandRow:
        others(START + LEASE_MS - 1)
        done.append("slow")
        others(START + LEASE_MS + 1)
        return row._replace(reached="too late")

    run_errand(store, "source test", slow, now_ms=START)
    assert done == ["slow", "other"]
    found = store.read(lambda session: session.errands.get("source test"))
    assert found is not None and found.reached == ""
