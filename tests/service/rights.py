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
    stored = house.stored()
    known = [visitor for visitor in house.acknowledged() if visitor not in house.away]
    for is_counted in (True, False):
        visitor = rng.choice([each for each in known if (house.stand_in(each) in stored) is is_counted])
        house.away.add(visitor)
        house.erased[visitor] = is_counted
        _ask_amid_a_kill(house, rng, "/v1/visitors/erase", {"id": visitor})
    for number in range(len(house.workers)):
        house.start_worker(number)


def object_to_it(house: House, rng: Random) -> None:
    """Let one who is counted object, while a node is killed."""
    stored = house.stored()
    known = [visitor for visitor in house.acknowledged() if visitor not in house.away]
    visitor = rng.choice([each for each in known if house.stand_in(each) in stored])
    house.away.add(visitor)
    house.objecting.append(visitor)
    _ask_amid_a_kill(house, rng, "/v1/opt-outs", {"id": visitor})


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
    for shard, server, database in house.shards():
        for table in ("events", "exposures", "totals", "waiting"):
            found = {visitor for (visitor,) in server.ask(f"SELECT visitor FROM {table}", database=database)}
            for visitor in house.erased:
                assert house.stand_in(visitor) not in found, f"{visitor} is in {table} of {shard}"
