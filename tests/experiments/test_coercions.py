import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.rules.coercions import comparable
from experiments.rules.coercions import identity
from experiments.rules.coercions import is_truthy
from experiments.rules.coercions import number_text
from experiments.rules.coercions import to_number
from experiments.rules.coercions import to_text
from experiments.rules.versions import is_version
from experiments.rules.versions import version_order


# By node 20: String(x)
@pytest.mark.parametrize(
    ("number", "text"),
    [
        (3, "3"),
        (3.0, "3"),
        (-0.0, "0"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-9, "1.5e-9"),
        (123456789012345680000.0, "123456789012345680000"),
        (2**53 + 1, "9007199254740992"),
        (1e21, "1e+21"),
        (1.25e300, "1.25e+300"),
        (float("inf"), "Infinity"),
        (float("nan"), "NaN"),
        (-(10**400), "-Infinity"),
    ],
)
def test_a_number_is_written_as_a_browser_writes_it(number: float, text: str) -> None:
    assert number_text(number) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_that_was_written_reads_back(number: float) -> None:
    assert to_number(number_text(number)) == number


@pytest.mark.parametrize("text", ["1_000", "nan", "inf", "infinity", "١", "1e", "--1", "0x", "-0x10", "1 2", "."])
def test_what_only_python_reads_as_a_number_is_none(text: str) -> None:
    number = to_number(text)
    assert number != number


def test_a_list_has_a_text_and_an_object_a_stand_in() -> None:
    assert to_text([1, None, True, ["a", 2.0], {}]) == "1,,true,a,2,[object Object]"


@pytest.mark.parametrize("value", [False, 0, 0.0, float("nan"), "", None])
def test_few_values_are_false(value: object) -> None:
    assert not is_truthy(value)
    assert is_truthy([value])
    assert is_truthy({})


def test_only_equal_values_of_one_kind_are_identical() -> None:
    assert identity(1) == identity(1.0)
    assert identity(1) != identity(True)
    assert identity(1) != identity("1")
    assert identity([1]) != identity([1])


def test_texts_compare_by_code_units_and_not_by_code_points() -> None:
    smaller, larger = comparable("\U0001f600", "\uffff")
    assert smaller < larger
    assert "\U0001f600" > "\uffff"


@pytest.mark.parametrize("text", ["1", "v1.2", "1.10.0", "2.0.0-rc.1", "1.2.3+build.5", "1-2-3"])
def test_a_version_begins_with_a_number(text: str) -> None:
    assert is_version(text)


@pytest.mark.parametrize("text", ["", "latest", "v", "1.2 3", "1.2.3+b+c", "1\n"])
def test_other_texts_are_no_versions(text: str) -> None:
    assert not is_version(text)


# From https://semver.org, 11.
def test_versions_are_ordered_as_semantic_versioning_has_it() -> None:
    before = ["alpha", "alpha.1", "alpha.beta", "beta", "beta.2", "beta.11", "rc.1"]
    ascending = [*(f"1.0.0-{name}" for name in before), "1.0.0"]
    assert sorted(reversed(ascending), key=version_order) == ascending
    assert version_order("v1.2.3+build") == version_order("1.2.3")
    assert version_order(None) == version_order("0")
