"""Rights of visitors amid faults: who was erased and who objects, and what of them counts."""

import time
from collections.abc import Mapping
from random import Random
from threading import Thread

from tests.service.houses import House
from tests.service.processes import wait_until
from tests.service.witnesses import more_come

_MORE = 10
_PATIENCE_SECONDS = 180


def erase_visitors(house: House, rng: Random) -> None:
    """Erase one who is counted and one who waits to be, while a node is killed; meanwhile nobody applies."""
    for number in range(len(house.workers)):
        house.kill_worker(number)
    more_come(house.witnesses, _MORE)
    # What they had begun is done or undone once their leases are over.
    wait_until(lambda: not house.holders(), what="nobody applies", seconds=_PATIENCE_SECONDS)
    for is_counted in (True, False):
        visitor = _somebody(house, rng, is_counted=is_counted)
        house.away.erased[visitor] = is_counted
        _ask_amid_a_kill(house, rng, "/v1/visitors/erase", {"id": visitor})
    for number in range(len(house.workers)):
        house.start_worker(number)


def object_to_it(house: House, rng: Random) -> None:
    """Let one who is counted object, while a node is killed."""
    visitor = _somebody(house, rng, is_counted=True)
    house.away.objecting.append(visitor)
    _ask_amid_a_kill(house, rng, "/v1/opt-outs", {"id": visitor})


def _somebody(house: House, rng: Random, *, is_counted: bool) -> str:
    """Somebody who was acknowledged, and is counted or not."""
    stored = house.stored()
    stand_ins = house.stand_ins([visitor for visitor in house.acknowledged() if visitor not in house.away])
    return rng.choice([visitor for visitor, stand_in in stand_ins.items() if (stand_in in stored) is is_counted])


def _ask_amid_a_kill(house: House, rng: Random, path: str, body: Mapping[str, object]) -> None:
    """Ask until it is answered, of a node that is killed soon first."""
    node = rng.choice(house.nodes)
    asking = Thread(target=lambda: house.ask_until_answered(path, body, first=node))
    asking.start()
    time.sleep(rng.uniform(0, 0.1))
    node.kill_everything()
    asking.join()
    node.start()


def check_rights(house: House) -> None:
    """Nobody who was erased is in any table of any database."""
    stand_ins = house.stand_ins(house.away.erased)
    for table in ("events", "exposures", "totals", "waiting"):
        stored = house.stored(table)
        assert [visitor for visitor, stand_in in stand_ins.items() if stand_in in stored] == [], table
