"""Any history that a seed can draw ends as the contract says; without any one of the guards, some do not."""

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck
from hypothesis import Phase
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine
from hypothesis.stateful import invariant
from hypothesis.stateful import rule
from hypothesis.stateful import run_state_machine_as_test

from tests.experiments.guards import GUARDS
from tests.experiments.guards import taken_away
from tests.experiments.histories import WHAT
from tests.experiments.histories import History
from tests.experiments.replays import Broken
from tests.experiments.replays import begun
from tests.experiments.replays import play
from tests.postgres import Databases

_REPOSITORY = Path(__file__).resolve().parents[2]
_BLOCK = 50
#: Of those that are played on PostgreSQL too.
_SHARE = 5
#: In how many histories the lack of a guard must show.
_SOON = 40


@pytest.mark.parametrize("block", range(2))
def test_histories_go_as_the_oracle_says(block: int) -> None:
    for seed in range(block * _BLOCK, (block + 1) * _BLOCK):
        play(seed)


@pytest.mark.long
@pytest.mark.parametrize("block", range(200))
def test_ten_thousand_more_histories_go_as_the_oracle_says(block: int) -> None:
    for seed in range((block + 2) * _BLOCK, (block + 3) * _BLOCK):
        play(seed)


def test_histories_of_two_nodes_on_postgresql_go_as_the_oracle_says(postgres: Databases) -> None:
    for seed in range(_SHARE):
        play(seed, databases=postgres)


@pytest.mark.long
@pytest.mark.parametrize("block", range(10))
def test_many_more_histories_of_two_nodes_go_as_the_oracle_says(postgres: Databases, block: int) -> None:
    for seed in range(2000 + block * _BLOCK, 2000 + (block + 1) * _BLOCK):
        play(seed, databases=postgres)


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guard_that_is_taken_away_is_missed(guard: str) -> None:
    assert _first_broken(guard) is not None


def _first_broken(guard: str) -> Broken | None:
    for seed in range(_SOON):
        try:
            play(seed, without=guard)
        except Broken as broken:
            return broken
    return None


def test_the_command_that_a_broken_history_tells_plays_it_again() -> None:
    broken = _first_broken("waiting")
    assert broken is not None
    story, command = str(broken).split("\nagain: ")
    words = shlex.split(command)
    again = subprocess.run(words, cwd=_REPOSITORY, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr.strip()) == (1, str(broken))
    assert story.startswith("seed ")
    whole = subprocess.run(words[: words.index("--without")], cwd=_REPOSITORY, capture_output=True, check=False)
    assert whole.returncode == 0


@settings(
    max_examples=15, stateful_step_count=30, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
class Machine(RuleBasedStateMachine):
    """The same steps, drawn and made smaller by Hypothesis."""

    def __init__(self) -> None:
        super().__init__()
        self._installation = begun()
        self.history = self._installation.__enter__()

    @invariant()
    def all_is_as_the_oracle_says(self) -> None:
        """After every step."""
        self.history.check()

    def teardown(self) -> None:
        """All is quiet."""
        try:
            self.history.end()
        finally:
            self._installation.__exit__(None, None, None)


def _rule(name: str, step: Callable[[History, Random], None]) -> Callable[..., None]:
    def take(self: Machine, rng: Random) -> None:
        step(self.history, rng)

    # By this name Hypothesis tells what a failing history did.
    take.__name__ = name
    return rule(rng=st.randoms(use_true_random=False))(take)


for _name, (_step, _) in WHAT.items():
    _attribute = _name.replace(" ", "_")
    setattr(Machine, _attribute, _rule(_attribute, _step))

test_machine = Machine.TestCase


def test_the_machine_misses_a_guard_too() -> None:
    drawn_only = settings(Machine.TestCase.settings, phases=[Phase.generate])
    with taken_away("waiting"), pytest.raises(AssertionError, match="waiting, orphans"):
        run_state_machine_as_test(Machine, settings=drawn_only)
