"""Any order of events, in any batches, with any repeats, gives the counts that a plain reading of the rules gives."""

from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from experiments.verification import verify
from tests.experiments.documents import spring_mailing
from tests.experiments.house import DAY
from tests.experiments.house import SECRETS
from tests.experiments.house import START
from tests.experiments.house import House

_VISITORS = ("ann", "bob", "eve")

#: (visitor, days after the first moment, revenue in cents): outcomes from before the exposure to after the window.
_outcomes = st.lists(
    st.tuples(st.sampled_from(_VISITORS), st.integers(0, 80), st.integers(0, 60_000)), min_size=1, max_size=12
)
_exposure_days = st.fixed_dictionaries({visitor: st.integers(0, 20) | st.none() for visitor in _VISITORS})


def _oracle(days: dict[str, int | None], outcomes: list[tuple[str, int, int]]) -> dict[str, tuple[int, int]]:
    """Visitors and sum of each metric, read straight from the contract."""
    spent: dict[str, int] = defaultdict(int)
    bought, returned = set(), set()
    for visitor, day, cents in outcomes:
        exposed = days[visitor]
        if exposed is not None and exposed <= day < exposed + 14:
            bought.add(visitor)
            spent[visitor] += cents
        if exposed is not None and exposed + 14 <= day < exposed + 60:
            returned.add(visitor)
    n = sum(day is not None for day in days.values())
    return {
        "purchase": (n, len(bought)),
        "spend": (n, sum(min(cents, 50_000) for cents in spent.values())),
        "came-back": (n, len(returned)),
    }


@settings(max_examples=60)
@given(days=_exposure_days, outcomes=_outcomes, data=st.data())
def test_any_order_of_events_gives_the_oracles_counts(
    days: dict[str, int | None], outcomes: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bespoke.db"
        migrate_database(path, fingerprint=SECRETS.fingerprint)
        store = open_store(path, fingerprint=SECRETS.fingerprint)
        try:
            house = House(store)
            document = spring_mailing()
            # Everything arrives on one late day, so an outcome may wait: the windows must still be open then.
            key = house.start(document)
            events = [
                house.exposure(key, visitor, at=START + day * DAY) for visitor, day in days.items() if day is not None
            ]
            events += [
                house.event(visitor, "Order Completed", at=START + day * DAY, revenue=cents / 100)
                for visitor, day, cents in outcomes
            ]
            house.now_ms = START + 81 * DAY
            order = data.draw(st.permutations(events + events[:3]))
            size = data.draw(st.integers(1, len(order)))
            for start in range(0, len(order), size):
                house.record(*order[start : start + size])
            assert {metric: house.total(key, metric) for metric in ("purchase", "spend", "came-back")} == _oracle(
                days, outcomes
            )
            assert verify(store) == []
        finally:
            store.close()
