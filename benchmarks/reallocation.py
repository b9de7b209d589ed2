"""What a round of reallocations costs: CPU seconds from SQLite cells to ledger rows written.

    python -m benchmarks.reallocation --experiments 1000

Every experiment has 5 segments, 4 arms, a conversion as its goal, and 100 epochs behind it.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from experiments import lifecycle
from experiments.audit import Deed
from experiments.allocation import to_weights
from experiments.counting import BY_CLIENT
from experiments.ledger import ledger_row
from experiments.model import Allocation
from experiments.reallocation import reallocate
from experiments.storage.cells import CellKey
from experiments.storage.session import Session
from experiments.storage.store import SqliteStore
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store

ARMS = ("control", "one", "two", "three")
SEGMENTS = ("red", "green", "blue", "gold")
EPOCHS = 100
VISITORS = 200
FIRST_DAY = 20_000
_DAY_MS = 86_400_000


def document(key: str) -> dict[str, object]:
    """Four segments and everyone else, a control, a mass arm and two for each segment."""
    return {
        "key": key,
        "control_share": 0.1,
        "policy": {"kind": "thompson"},
        "attributes": {"colour": "string"},
        "segments": [{"key": name, "kind": "behavioral", "rule": {"colour": name}} for name in SEGMENTS],
        "arms": [{"key": ARMS[0], "role": "control"}, *({"key": arm, "role": "mass"} for arm in ARMS[1:])],
        "metrics": [{"key": "buys", "event": "Buys", "kind": "conversion", "role": "goal"}],
    }


def fill(session: Session, key: str, rng: np.random.Generator) -> None:
    """A hundred epochs of weights and counts."""
    segments = (*SEGMENTS, "everyone-else")
    last = session.ledger.last(key)
    for epoch in range(1, EPOCHS + 1):
        shares = rng.dirichlet([20, 20, 20], size=len(segments) + 1)
        weights = {
            segment: to_weights({"control": 0.1, **dict(zip(ARMS[1:], (0.9 * row).tolist(), strict=True))})
            for segment, row in zip((*segments, "no-personalisation"), shares, strict=True)
        }
        if epoch > 1:
            details = {
                "reason": "benchmark", "actor": "benchmark", "slot": None, "code": "0", "policy": {}, "inputs": {},
                "previous": {},
            }
            last = ledger_row(key, last, kind="published", at_ms=0, allocation=Allocation(0, weights), details=details)
            session.ledger.append(last)
        session.cells.add(dict(_cells(key, epoch, weights, rng)))


def _cells(
    key: str, epoch: int, weights: dict[str, dict[str, int]], rng: np.random.Generator
) -> Iterator[tuple[CellKey, tuple[int, int, float]]]:
    for segment in (*SEGMENTS, "everyone-else"):
        for arm, weight in weights[segment].items():
            n = int(rng.binomial(VISITORS, weight / 10_000))
            bought = int(rng.binomial(n, 0.05))
            cell = CellKey(key, epoch, FIRST_DAY + epoch, segment, arm, False, "buys")
            yield cell, (n, bought, float(bought))
            yield cell._replace(metric=BY_CLIENT), (bought, bought, float(bought))


def measure(experiments: int) -> float:
    """CPU seconds of one reallocation of each experiment."""
    with TemporaryDirectory() as folder:
        store = _filled(Path(folder) / "bespoke.db", experiments)
        try:
            deed = Deed("benchmark", (FIRST_DAY + EPOCHS + 1) * _DAY_MS)
            begun = time.process_time()
            for number in range(experiments):
                reallocate(store, f"e{number}", deed=deed)
            return time.process_time() - begun
        finally:
            store.close()


def _filled(path: Path, experiments: int) -> SqliteStore:
    migrate_database(path, fingerprint="benchmark")
    store = open_store(path, fingerprint="benchmark", serving=True)
    rng = np.random.default_rng(1)
    for number in range(experiments):
        key, deed = f"e{number}", Deed("benchmark", FIRST_DAY * _DAY_MS)
        lifecycle.create(store, document(key), deed=deed)
        lifecycle.act(store, key, "start", deed=deed)
        store.transact(lambda session, key=key: fill(session, key, rng))
    return store


def main() -> None:
    """Print the seconds, for so many experiments and for a thousand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=1000)
    experiments: int = parser.parse_args().experiments
    seconds = measure(experiments)
    print(f"{experiments} reallocations: {seconds:.2f} CPU seconds, {1000 * seconds / experiments:.2f} s per thousand")


if __name__ == "__main__":
    main()
