"""A loss of power at any moment: the file is sound, and whatever was acknowledged by then is in it, counted once."""

import random
import shutil
from pathlib import Path

import pytest

from experiments.signing import pseudonym
from experiments.verification import verify
from tests.experiments.documents import spring_mailing
from tests.service import power
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.test_disk import integrity
from tests.service.witnesses import KEY
from tests.service.witnesses import at_work
from tests.service.witnesses import more_come

LOSSES = 400
CHANCES = (0.0, 0.5, 0.9, 1.0)


class Recorded(Installed):
    """An installation whose server and commands are recorded."""

    def _line(self, arguments: tuple[str, ...]) -> list[str]:
        return power.recorded(self.folder.parent / "trace", super()._line(arguments))

    def key(self, scope: str, *, origins: tuple[str, ...] = ()) -> str:
        """By a command, since all that is written must be recorded."""
        return self.done("key", "create", "--scope", scope)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_whatever_was_acknowledged_before_a_loss_of_power_is_there_after_it(tmp_path: Path) -> None:
    assert shutil.which("strace"), "this test needs strace, which records what is written and synced"
    (tmp_path / "installed").mkdir()
    installed = Recorded(tmp_path / "installed")
    installed.run_experiment(spring_mailing())
    shutil.copytree(installed.folder, tmp_path / "before")
    server = ServerProcess(installed)
    with at_work(server) as witnesses:
        more_come(witnesses, 300)
        server.kill_everything()
    acknowledged = sorted(
        (at, witness.sent[number][0]["userId"])
        for witness in witnesses
        for number, at in witness.acknowledged().items()
    )
    calls, disk, dice = power.calls(tmp_path / "trace"), power.Disk(tmp_path / "before"), random.Random(7)
    assert len(acknowledged) >= 300 and len(calls) > 1000
    moments = set(dice.sample(range(len(calls)), LOSSES))
    for number, call in enumerate(calls):
        if number in moments:
            after = shutil.copytree(tmp_path / "before", tmp_path / "after" / str(number))
            disk.lose_power(after, chance=dice.choice(CHANCES), random=dice)
            check(Installed(after), {visitor for at, visitor in acknowledged if at < call.at})
            shutil.rmtree(after)
        disk.do(call)


def check(installed: Installed, acknowledged: set[str]) -> None:
    """The database must hold together, and hold every visitor who was acknowledged."""
    assert integrity(installed.database) == "ok"
    with installed.opened() as installation:
        stored = dict(installation.store.read(lambda session: session.exposures.all(KEY)))
        key = installation.keyring.visitors
        assert {pseudonym(visitor, key=key) for visitor in acknowledged} <= stored.keys()
        assert verify(installation.store) == []
