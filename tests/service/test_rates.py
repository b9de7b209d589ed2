import threading
from collections import Counter

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from service.requests.rates import Buckets
from service.requests.rates import Rate
from service.requests.rates import Standing

NOW_MS = 1_796_119_200_000


def test_a_bucket_lets_pass_what_it_holds_and_then_one_at_a_time() -> None:
    buckets = Buckets(Rate(3, 60))
    standings = [buckets.take("ann", now_ms=NOW_MS) for _ in range(4)]
    assert standings == [
        Standing(True, 2, 20), Standing(True, 1, 40), Standing(True, 0, 60), Standing(False, 0, 20),
    ]
    assert not buckets.take("ann", now_ms=NOW_MS + 19_999).passes
    assert buckets.take("ann", now_ms=NOW_MS + 20_000).passes
    assert not buckets.take("ann", now_ms=NOW_MS + 20_000).passes


def test_a_request_that_does_not_pass_costs_nothing() -> None:
    buckets = Buckets(Rate(1, 10))
    buckets.take("ann", now_ms=NOW_MS)
    for _ in range(100):
        assert buckets.take("ann", now_ms=NOW_MS + 1000) == Standing(False, 0, 9)
    assert buckets.take("ann", now_ms=NOW_MS + 10_000).passes


def test_each_holder_has_a_bucket_of_its_own() -> None:
    buckets = Buckets(Rate(1, 10))
    assert buckets.take("ann", now_ms=NOW_MS).passes
    assert buckets.take("bob", now_ms=NOW_MS).passes
    assert not buckets.take("ann", now_ms=NOW_MS).passes


def test_a_bucket_is_full_again_after_its_time_and_never_fuller() -> None:
    buckets = Buckets(Rate(5, 10))
    for _ in range(5):
        buckets.take("ann", now_ms=NOW_MS)
    assert buckets.take("ann", now_ms=NOW_MS + 10_000).left == 4
    assert buckets.take("ann", now_ms=NOW_MS + 10**9).left == 4


def test_a_clock_that_is_set_back_keeps_nobody_out_for_longer_than_a_bucket_fills() -> None:
    buckets = Buckets(Rate(2, 10))
    buckets.take("ann", now_ms=NOW_MS)
    hour = 3_600_000
    assert buckets.take("ann", now_ms=NOW_MS - hour).seconds <= 5
    assert buckets.take("ann", now_ms=NOW_MS - hour + 5000).passes


@settings(max_examples=200, derandomize=True)
@given(
    rate=st.builds(Rate, st.integers(1, 20), st.integers(1, 20)),
    gaps=st.lists(st.integers(0, 3000), min_size=1, max_size=120),
)
def test_no_stretch_of_time_lets_more_pass_than_a_full_bucket_and_what_flows_in(rate: Rate, gaps: list[int]) -> None:
    buckets, at, passed = Buckets(rate), 0, []
    for gap in gaps:
        at += gap
        standing = buckets.take("ann", now_ms=NOW_MS + at)
        if standing.passes:
            passed.append(at)
        else:
            again = NOW_MS + at + standing.seconds * 1000
            assert standing.left == 0
            assert Buckets.take(_copy(buckets), "ann", now_ms=again).passes
            assert not Buckets.take(_copy(buckets), "ann", now_ms=again - 1000).passes
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            flowed = (passed[last] - passed[first]) * rate.requests / (rate.seconds * 1000)
            assert last - first + 1 <= rate.requests + flowed + 1e-9


def _copy(buckets: Buckets) -> Buckets:
    copy = Buckets(buckets.rate)
    copy._full_at = buckets._full_at.copy()
    return copy


@settings(max_examples=100, derandomize=True)
@given(rate=st.builds(Rate, st.integers(1, 10**9), st.integers(1, 86_400)), taken=st.integers(1, 50))
def test_what_is_left_is_exact_at_any_rate(rate: Rate, taken: int) -> None:
    buckets = Buckets(rate)
    standings = [buckets.take("ann", now_ms=NOW_MS) for _ in range(taken)]
    assert [standing.left for standing in standings] == [
        max(0, rate.requests - number) for number in range(1, taken + 1)
    ]


def test_the_holder_who_asked_longest_ago_is_forgotten_first() -> None:
    buckets = Buckets(Rate(1, 10), most=2)
    for holder in ("ann", "bob", "ann", "eve"):
        buckets.take(holder, now_ms=NOW_MS)
    assert len(buckets) == 2
    assert not buckets.take("ann", now_ms=NOW_MS).passes
    assert buckets.take("bob", now_ms=NOW_MS).passes


def test_threads_that_ask_at_once_get_no_more_than_there_is() -> None:
    buckets, begin = Buckets(Rate(1000, 10)), threading.Barrier(8)
    passed: list[bool] = []

    def ask() -> None:
        begin.wait()
        passed.extend([buckets.take("ann", now_ms=NOW_MS).passes for _ in range(500)])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(passed) == {True: 1000, False: 3000}
