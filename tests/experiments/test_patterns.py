"""Patterns that bring others to their knees: each is refused, or answers a long text in steps that grow with it."""

from itertools import product

import pytest

from experiments.rules.patterns import InvalidPattern
from experiments.rules.patterns import LONGEST_PATTERN
from experiments.rules.patterns import compile_pattern
from experiments.rules.patterns import found_in

_ATOMS = ("a", "[a-z]", ".", "(a|a)", "(a|ab)", r"\w", "(a?b?)", "[^!]", "(aa|a)", "(?:a|b|ab)")
_REPEATED = (
    "({})+", "({}+)+", "({}*)*", "(({}+)+)+", "({}{{1,20}}){{1,20}}", "({}+){{2,30}}", "({}|{}*)*", "({}+|b+)*",
    "{}*{}*{}*{}*{}*", "(({}?){{20}}){{20}}",
)
_ENDS = (
    "{}$", "^{}$", "^{}!$", "{}x{}$", "^({}|{}b)+$", "(?:{})+?$", "^.*{}.*{}.*$", "({})({})$", "{}[^a]$", "^(.+)*{}z$",
)

EVIL = [
    end.replace("{}", repeated.replace("{}", atom).replace("{{", "{").replace("}}", "}"))
    for atom, repeated, end in product(_ATOMS, _REPEATED, _ENDS)
]
#: These none of RE2's automata can match: they look back or ahead.
BEYOND = [
    r"(a+)+\1$", r"^(a|b)*\1+$", "(?=(a+)+$)b", "(?!(a+)+$)b", "(?<=a+)b", "(?<!a)b", "(?>a+)+$", "a++$", "(?(1)a|b)",
]


def test_there_are_a_thousand() -> None:
    assert len(set(EVIL)) == 1000


def test_each_of_a_thousand_is_refused_or_answers_the_longest_text_in_few_steps() -> None:
    texts = ["a" * 999 + "!", "ab" * 499 + "!", "z" * 1000]
    refused = 0
    for pattern in EVIL:
        try:
            expression = compile_pattern(pattern)
        except InvalidPattern:
            refused += 1
            continue
        # An automaton takes each of its states at most once for each character, whatever the text.
        assert expression.programsize < 2000, pattern
        for text in texts:
            assert found_in(text, expression=expression) in (True, False)
    # Nearly all of them are patterns like any other to an automaton.
    assert refused < 200


@pytest.mark.parametrize("pattern", BEYOND)
def test_what_no_automaton_can_answer_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidPattern):
        compile_pattern(pattern)


@pytest.mark.parametrize("pattern", ["((a{30}){30}){30}", "(" * 99 + "a" + ")" * 99 + "{1000}", "(((a{9}){9}){9}){9}"])
def test_what_takes_too_large_an_automaton_is_refused_and_short(pattern: str) -> None:
    assert len(pattern) <= LONGEST_PATTERN + 10
    with pytest.raises(InvalidPattern):
        compile_pattern(pattern)


def test_a_text_that_others_would_never_be_done_with_is_answered() -> None:
    """Trying one way after the other, there would be 2 ** 1,000,000 of them."""
    assert not found_in("a" * 1_000_000 + "!", expression=compile_pattern("(a+)+$"))


@pytest.mark.parametrize(
    "pattern",
    ["^(10|20)[0-9]{3}$", r"^[\w.+-]+@[\w-]+\.[\w.]+$", "[a-z]" * 40, "(?:ab|cd){100}", "é" * 200, r"\w{1,200}"],
)
def test_what_people_write_is_no_bomb(pattern: str) -> None:
    compile_pattern(pattern)
