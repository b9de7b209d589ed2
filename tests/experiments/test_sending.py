"""Sending: in the order of numbers, whoever comes first, whatever is repeated meanwhile, and nobody is left waiting."""

from concurrent.futures import Future

from hypothesis import given
from hypothesis import strategies as st

from experiments.storage.sending import Pair
from experiments.storage.sending import Sending
from experiments.storage.spool import Entry
from experiments.storage.spool import Source

_SOURCE = Source("writer", 0)


def pair(number: int, size: int = 1) -> Pair:
    """An entry, and who waits for it."""
    return Entry(_SOURCE, number, 0, b"x" * size), Future()


def taken(sending: Sending) -> list[int]:
    """The numbers of the next message."""
    return [entry.number for entry, _ in sending.take()]


def test_what_was_handed_on_last_is_waited_for() -> None:
    sending = Sending()
    sending.add(pair(2))
    assert taken(sending) == []
    sending.add(pair(1))
    assert taken(sending) == [1, 2]


def test_what_comes_after_entries_that_are_repeated_is_not_held_up() -> None:
    sending = Sending()
    for number in (1, 2, 3):
        sending.add(pair(number))
    assert taken(sending) == [1, 2, 3]
    sending.repeat([pair(1), pair(2)])
    sending.add(pair(4))
    assert taken(sending) == [1, 2]
    assert taken(sending) == [4]


def test_who_waits_for_an_entry_that_is_repeated_before_it_was_sent_is_told() -> None:
    sending, waiting, late = Sending(), pair(2), pair(1)
    sending.add(waiting)
    sending.repeat([pair(1), pair(2)])
    assert [future for _, future in sending.take()][1] is waiting[1]
    sending.add(late)
    assert sending.take() == [late]


def test_a_message_carries_no_more_than_it_should() -> None:
    sending = Sending()
    for number in (1, 2, 3):
        sending.add(pair(number, size=60_000))
    assert (taken(sending), taken(sending), taken(sending)) == ([1, 2], [3], [])


@given(
    st.permutations(range(1, 9)),
    st.lists(st.tuples(st.integers(0, 8), st.integers(1, 8), st.integers(1, 8)), max_size=6),
)
def test_whatever_is_repeated_no_message_has_a_gap_and_all_is_sent(
    order: list[int], repeats: list[tuple[int, int, int]]
) -> None:
    sending, sent, told = Sending(), list[int](), list[Pair]()
    for place, number in enumerate(order):
        for _, first, last in (each for each in repeats if each[0] == place and each[1] <= each[2]):
            sending.repeat([pair(each) for each in range(first, last + 1)])
        told.append(pair(number))
        sending.add(told[-1])
        while pairs := sending.take():
            numbers = [entry.number for entry, _ in pairs]
            assert numbers == list(range(numbers[0], numbers[-1] + 1))
            sent += numbers
            for _, future in pairs:
                future.set_result(None)
    assert set(sent) == set(order)
    assert all(future.done() for _, future in told)
