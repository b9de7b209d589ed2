"""Events through a log to shards, whatever is killed, wiped or put to sleep: none is lost, and none counts twice."""

from pathlib import Path
from random import Random

import pytest

from tests.service.evidence import told
from tests.service.house_acts import ACTS
from tests.service.house_acts import fail_over_a_shard
from tests.service.house_acts import kill_a_log_node
from tests.service.house_acts import kill_a_node
from tests.service.house_acts import sleeping
from tests.service.house_acts import wipe_the_log
from tests.service.houses import at_work
from tests.service.houses import check
from tests.service.processes import wait_until
from tests.service.rights import check_rights
from tests.service.rights import erase_visitors
from tests.service.rights import object_to_it
from tests.service.witnesses import more_come

_MORE = 10
#: Beyond each act once.
_MORE_ACTS = 8


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_counted_twice_beyond_one_database(tmp_path: Path) -> None:
    rng = Random(0)
    with at_work(tmp_path) as house, told(house, tmp_path):
        more_come(house.witnesses, _MORE)
        with sleeping(house, rng):
            kill_a_node(house, rng)
            kill_a_log_node(house, rng)
        for act in (wipe_the_log, fail_over_a_shard, erase_visitors, object_to_it):
            act(house, rng)
            more_come(house.witnesses, _MORE)
        assert house.said("published_again"), "what was wiped was in no shard"
        check(house, tmp_path)
        check_rights(house)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_lost_or_counted_twice_beyond_one_database_over_many_kills(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    acts = [*rng.sample(ACTS, len(ACTS)), *rng.choices(ACTS, k=_MORE_ACTS)]
    with at_work(tmp_path) as house, told(house, tmp_path) as diary:
        more_come(house.witnesses, _MORE)
        # Some acts are done to somebody who is counted.
        wait_until(lambda: bool(house.stored()), what="somebody is counted")
        for act in acts:
            diary.note(act.__name__)
            act(house, rng)
            more_come(house.witnesses, rng.randrange(2 * _MORE))
        diary.note("check")
        check(house, tmp_path)
        check_rights(house)
