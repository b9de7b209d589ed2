from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.currency import MAX_AMOUNT
from experiments.currency import from_minor
from experiments.currency import minor_digits
from experiments.currency import to_minor

CURRENCIES = ("JPY", "EUR", "KWD", "CLF")


@pytest.mark.parametrize(("currency", "digits"), [
    ("EUR", 2), ("USD", 2), ("HUF", 2), ("JPY", 0), ("KRW", 0), ("VND", 0), ("CLP", 0), ("ISK", 0), ("XOF", 0),
    ("KWD", 3), ("BHD", 3), ("OMR", 3), ("TND", 3), ("JOD", 3), ("IQD", 3), ("LYD", 3), ("CLF", 4), ("XYZ", 2),
])
def test_a_currency_has_the_decimals_of_iso_4217(currency, digits):
    assert minor_digits(currency) == digits


@pytest.mark.parametrize(("value", "currency", "minor"), [
    (40, "EUR", 4_000), (40, "JPY", 40), (40, "KWD", 40_000), (0.02, "EUR", 2), (19.99, "EUR", 1_999),
    (1.1, "KWD", 1_100), (-3.5, "EUR", -350), (-0.0, "EUR", 0), (0, "EUR", 0), (5e-324, "EUR", 0),
    (Decimal("12.34"), "EUR", 1_234), (MAX_AMOUNT, "EUR", MAX_AMOUNT * 100),
])
def test_an_amount_becomes_minor_units(value, currency, minor):
    assert to_minor(value, currency) == minor


@pytest.mark.parametrize(("value", "minor"), [
    (0.285, 28), (0.275, 28), (0.005, 0), (0.015, 2), (2.675, 268), (1.005, 100), (0.0151, 2), (-0.015, -2),
])
def test_halves_of_the_written_number_are_rounded_to_even(value, minor):
    assert to_minor(value, "EUR") == minor


@pytest.mark.parametrize(("value", "rule"), [
    (float("nan"), "finite"), (float("inf"), "finite"), (float("-inf"), "finite"),
    (Decimal("NaN"), "finite"), (Decimal("sNaN"), "finite"), (Decimal("Infinity"), "finite"),
    (1e300, "at most"), (10**400, "at most"), (-(10**400), "at most"), (Decimal("1e999999"), "at most"),
    (True, "a number"), ("12", "a number"), (None, "a number"), ([1], "a number"),
])
def test_what_is_no_amount_is_refused_with_the_rule(value, rule):
    with pytest.raises(ValueError, match=rule):
        to_minor(value, "EUR")


@pytest.mark.parametrize(("minor", "currency", "amount"), [
    (10_804, "EUR", "108.04"), (-5, "EUR", "-0.05"), (12, "JPY", "12"), (1_234, "KWD", "1.234"),
])
def test_minor_units_become_an_amount(minor, currency, amount):
    assert from_minor(minor, currency) == Decimal(amount)


@given(st.integers(min_value=-(2**63), max_value=2**63), st.sampled_from(CURRENCIES))
def test_minor_units_survive_the_way_there_and_back(minor, currency):
    amount = from_minor(minor, currency)
    if abs(amount) <= MAX_AMOUNT:
        assert to_minor(amount, currency) == minor


@given(st.floats(min_value=-float(MAX_AMOUNT), max_value=float(MAX_AMOUNT)), st.sampled_from(CURRENCIES))
def test_no_amount_of_any_currency_overflows_64_bits(value, currency):
    assert abs(to_minor(value, currency)) < 2**63


@given(
    st.one_of(
        st.floats(min_value=-float(MAX_AMOUNT), max_value=float(MAX_AMOUNT)),
        st.integers(-(10**16), 10**16).map(lambda minor: minor / 100),
    ),
    st.sampled_from(CURRENCIES),
)
def test_a_float_is_worth_the_decimal_that_it_is_written_as(value, currency):
    assert to_minor(value, currency) == to_minor(Decimal(repr(value)), currency)
