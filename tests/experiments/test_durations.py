import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.durations import format_duration
from experiments.durations import parse_duration


@pytest.mark.parametrize(("text", "seconds"), [
    ("1s", 1), ("90s", 90), ("30m", 1_800), ("1h", 3_600), ("14d", 1_209_600), ("007d", 604_800), ("0s", 0),
])
def test_a_duration_is_a_number_and_a_unit(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", [
    "", "d", "14", "14 d", "14D", "1.5h", "-1h", "+1h", "1h30m", "1w", "14d\n", "١d",
    "²s", "9" * 11 + "s", "9" * 5000 + "d",
])
def test_what_is_no_duration_is_refused_with_the_rule(text):
    with pytest.raises(ValueError, match="a whole number and a unit"):
        parse_duration(text)


@pytest.mark.parametrize(("seconds", "text"), [
    (0, "0s"), (1, "1s"), (90, "90s"), (120, "2m"), (3_600, "1h"), (86_400, "1d"), (90_000, "25h"), (1_209_600, "14d"),
])
def test_a_duration_is_written_in_the_largest_unit_that_divides_it(seconds, text):
    assert format_duration(seconds) == text


@given(st.integers(min_value=0, max_value=10**9))
def test_a_written_duration_reads_as_itself(seconds):
    assert parse_duration(format_duration(seconds)) == seconds
