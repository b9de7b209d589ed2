"""Drafts: one for each person and experiment, whatever was typed, until it is thrown away."""

from pathlib import Path

import pytest

from experiments.audit import Deed
from experiments.drafts import NEW
from experiments.drafts import begun
from experiments.drafts import discard_draft
from experiments.drafts import keep_draft
from experiments.drafts import version_of
from experiments.errors import UnknownExperiment
from experiments.lifecycle import create
from experiments.lifecycle import replace
from experiments.shares import recent_shares
from experiments.storage.embedded_store import SqliteStore
from experiments.storage.session import Session
from experiments.storage.store import migrate_database
from tests.experiments.documents import tiny

DEED = Deed("test", 0)


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> SqliteStore:
    migrate_database(tmp_path / "drafts.db", fingerprint="one")
    return SqliteStore(tmp_path / "drafts.db")


def test_the_newest_draft_is_kept_for_each_person_and_experiment(store: SqliteStore) -> None:
    create(store, tiny(), deed=DEED)
    for number, (email, key) in enumerate([("ann", NEW), ("ann", "tiny"), ("bob", NEW), ("ann", NEW)]):
        keep_draft(store, email, key, {"typed": f"{number} \x00 ü"}, now_ms=number)
    found = {(email, key): begun(store, email, key).draft for email in ("ann", "bob") for key in (NEW, "tiny")}
    assert {whose: draft and (draft.body["typed"], draft.saved_ms) for whose, draft in found.items()} == {
        ("ann", NEW): ("3 \x00 ü", 3), ("ann", "tiny"): ("1 \x00 ü", 1), ("bob", NEW): ("2 \x00 ü", 2),
        ("bob", "tiny"): None,
    }
    discard_draft(store, "ann", NEW)
    assert begun(store, "ann", NEW) == (None, None)
    assert begun(store, "bob", NEW).draft is not None
    store.close()


def test_no_draft_is_begun_of_an_experiment_that_is_not_there(store: SqliteStore) -> None:
    with pytest.raises(UnknownExperiment, match="'nobody' does not exist"):
        begun(store, "ann", "nobody")
    store.close()


def test_every_document_has_a_version_of_its_own(store: SqliteStore) -> None:
    first = version_of(create(store, tiny(), deed=DEED))
    second = version_of(replace(store, "tiny", tiny(name="Another"), deed=DEED))
    third = version_of(replace(store, "tiny", tiny(), deed=DEED))
    assert "" == version_of(None) != first == third != second
    store.close()


def test_segments_that_are_too_small_have_no_share(store: SqliteStore) -> None:
    rows = [("a", 20_000, 90), ("b", 20_001, 9), ("c", 20_002, 80), ("d", 20_003, 70), ("e", 19_000, 50)]

    def reached(session: Session) -> None:
        for segment, day, visitors in rows:
            session.connection.execute(
                "INSERT INTO cells (experiment, epoch, day, segment, arm, asserted, metric, n, sum, sum2)"
                " VALUES ('tiny', 1, ?, ?, 'everyone', 0, '$exposures', ?, 0, 0)", (day, segment, visitors),
            )

    store.transact(reached)
    found = recent_shares(store, "tiny", now_ms=20_010 * 86_400_000, min_cell=10)
    # A second one is left out too: the only one would be the rest.
    assert found == (249, {"a": 90 / 249, "c": 80 / 249})
    assert recent_shares(store, "tiny", now_ms=30_000 * 86_400_000, min_cell=10) == (0, {})
    store.close()
