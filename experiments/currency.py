"""Money between its written form and integer minor units (cents, yen, fils).

Decimals after ISO 4217, list one (SIX Group, 2024): https://www.iso.org/iso-4217-currency-codes.html
"""

import math
from decimal import Decimal
from fractions import Fraction

#: Amounts beyond this are refused, so that minor units of any currency fit into 64 bits.
MAX_AMOUNT = 10**14

#: Below this, no two amounts in minor units read as the same float.
_PLAIN_AMOUNT = 10**11

_DEFAULT_DIGITS = 2
_NUMBERS = (int, float, Decimal)
_CODES_BY_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_DIGITS = {code: digits for digits, codes in _CODES_BY_DIGITS.items() for code in codes.split()}


def minor_digits(currency: str) -> int:
    """How many decimals a currency has: 2 unless ISO 4217 says otherwise."""
    return _DIGITS.get(currency, _DEFAULT_DIGITS)


def to_minor(value: int | float | Decimal, currency: str) -> int:
    """An amount in whole minor units, halves rounded to even.

    A float means the decimal it is written as, so 0.285 is 28.5 cents and not a little more.
    Raises ValueError for what is not a finite number of at most `MAX_AMOUNT`.
    """
    _check(value)
    scale: int = 10 ** minor_digits(currency)
    if isinstance(value, float):
        return _written(value, scale)
    return value * scale if isinstance(value, int) else round(Fraction(value) * scale)


def _written(value: float, scale: int) -> int:
    minor = round(value * scale)
    if minor / scale == value and -_PLAIN_AMOUNT < value < _PLAIN_AMOUNT:
        return minor
    # Written with 17 digits at most, which no context rounds.
    return round(Decimal(repr(value)) * scale)


def from_minor(minor: int, currency: str) -> Decimal:
    """The amount of so many minor units, exact."""
    return Decimal(f"{minor}E-{minor_digits(currency)}")


def _check(value: int | float | Decimal) -> None:
    # A bool is an int to Python, and never an amount.
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        raise ValueError("must be a number")
    if not (value.is_finite() if isinstance(value, Decimal) else isinstance(value, int) or math.isfinite(value)):
        raise ValueError("must be a finite number")
    if not -MAX_AMOUNT <= value <= MAX_AMOUNT:
        raise ValueError(f"must be at most {MAX_AMOUNT}")
