"""What is done to a house while witnesses come: whatever runs is killed, wiped, put to sleep, moved and begun anew.

An act is over once what it ended runs again; who comes meanwhile is not waited for.
"""

import signal
import time
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from random import Random

from tests.service.houses import House
from tests.service.houses import PARTITIONS
from tests.service.nodes import Node
from tests.service.processes import wait_until
from tests.service.rights import erase_visitors
from tests.service.rights import object_to_it
from tests.service.witnesses import more_come

_MORE = 10
#: A lease, and what a worker takes to look whether one is over, on a machine that is busy with other things.
_TAKING_SECONDS = 180

Act = Callable[[House, Random], None]


def kill_a_worker(house: House, rng: Random) -> None:
    """Kill a worker, and start another."""
    number = rng.randrange(len(house.workers))
    house.kill_worker(number)
    more_come(house.witnesses, _MORE)
    house.start_worker(number)


def kill_the_workers(house: House, rng: Random) -> None:
    """Let nobody apply for a while."""
    for number in range(len(house.workers)):
        house.kill_worker(number)
    more_come(house.witnesses, _MORE)
    for number in range(len(house.workers)):
        house.start_worker(number)


@contextmanager
def sleeping(house: House, rng: Random) -> Iterator[None]:
    """Let a worker sleep until another has taken what it held, and wake: it is fenced."""
    paused = rng.choice(house.workers)
    others = [worker for worker in house.workers if worker is not paused]
    wait_until(lambda: house.are_held_by(house.workers), what="all workers hold some", seconds=_TAKING_SECONDS)
    fenced = house.said("fenced")
    paused.send_signal(signal.SIGSTOP)
    try:
        yield
        wait_until(lambda: house.are_held_by(others), what="another worker has taken all", seconds=_TAKING_SECONDS)
    finally:
        paused.send_signal(signal.SIGCONT)
    wait_until(lambda: house.said("fenced") > fenced, what="the worker that slept is fenced", seconds=_TAKING_SECONDS)


def pause_a_worker(house: House, rng: Random) -> None:
    """Let a worker sleep past its lease while visitors come."""
    with sleeping(house, rng):
        more_come(house.witnesses, _MORE)


def kill_a_log_node(house: House, rng: Random) -> None:
    """Kill a server of the log, and start it again."""
    node = rng.choice(house.log.nodes)
    node.kill()
    more_come(house.witnesses, _MORE)
    node.start()
    wait_until(node.is_healthy, what="the log is whole again", seconds=_TAKING_SECONDS)


def empty_a_log_node(house: House, rng: Random) -> None:
    """Kill a server of the log, and start it again on a new disk: it gets from the others what it had."""
    node = rng.choice(house.log.nodes)
    node.kill()
    node.wipe()
    more_come(house.witnesses, _MORE)
    node.start()
    wait_until(node.is_healthy, what="the log is whole again", seconds=_TAKING_SECONDS)


def kill_the_log(house: House, rng: Random) -> None:
    """Kill all servers of the log at once, and start them again."""
    house.log.kill()
    house.log.start()


def wipe_the_log(house: House, rng: Random) -> None:
    """Lose everything that the log has, while something in it waits to be applied."""
    for number in range(len(house.workers)):
        house.kill_worker(number)
    more_come(house.witnesses, _MORE)
    house.log.wipe()
    for number in range(len(house.workers)):
        house.start_worker(number)


def kill_a_node(house: House, rng: Random) -> None:
    """Kill all of a node, and start it again on its spool."""
    node = rng.choice(house.nodes)
    node.kill_everything()
    more_come(house.witnesses, _MORE)
    node.start()


def kill_the_scheduler(house: House, rng: Random) -> None:
    """Kill the scheduler, and start another."""
    house.schedulers[0].kill()
    house.schedulers[0].wait()
    more_come(house.witnesses, _MORE)
    house.start_scheduler()


def move_a_partition(house: House, rng: Random) -> None:
    """Move a partition while its visitors come; mostly it is killed amid that, and finished or undone."""
    partition, shard = str(rng.randrange(PARTITIONS)), rng.choice(("first", "second"))
    installed = house.nodes[0].installed
    if rng.random() < 0.7:
        moving = installed.start("shard", "move", partition, rng.choice(("first", "second")))
        # Most of its time it takes to start.
        time.sleep(rng.uniform(0, 3))
        moving.kill()
        moving.wait()
    told = installed.done("shard", "move", partition, shard, patience_seconds=_TAKING_SECONDS)
    assert told == f"partition {partition}: is in {shard}"


def fail_over_a_shard(house: House, rng: Random) -> None:
    """Kill a shard, let its standby take its place, and give it another standby."""
    house.first.fail_over()
    more_come(house.witnesses, _MORE)
    house.first.follow()


def silence_a_shard(house: House, rng: Random) -> None:
    """Let a shard keep its connections and say nothing: who does not need it is not held up."""
    house.first.primary.signal(signal.SIGSTOP)
    try:
        for node in house.nodes:
            wait_until(partial(_misses_the_first, node), what="it is seen", seconds=_TAKING_SECONDS)
            assert node.readiness()["database"] == "ok"
        more_come(house.witnesses, 1)
    finally:
        house.first.primary.signal(signal.SIGCONT)


def _misses_the_first(node: Node) -> bool:
    return bool(node.readiness()["shards"] == {"first": "away", "second": "ok"})


def restart_the_control_database(house: House, rng: Random) -> None:
    """End the control database, and the shard beside it, as by a loss of power, and start them again."""
    house.control.primary.restart("immediate")


#: Everything that can be done, in one order for all seeds.
ACTS: tuple[Act, ...] = (
    kill_a_worker, kill_the_workers, pause_a_worker, kill_a_log_node, kill_the_log, wipe_the_log, kill_a_node,
    kill_the_scheduler, move_a_partition, fail_over_a_shard, silence_a_shard, restart_the_control_database,
    erase_visitors, object_to_it, empty_a_log_node,
)
