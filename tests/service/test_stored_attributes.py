"""Stored attributes at a real server: kept coarsened where declared so, by every way in, and nothing else."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.keys import create_key
from experiments.partitions import EVERYBODY
from experiments.verification import verify
from tests.experiments.test_stored_attributes import stored
from tests.service.deeds import DEED
from tests.service.processes import Installed
from tests.service.processes import ServerProcess

#: Values that must not be found anywhere: of an attribute that is not stored, of none, and of one that is coarsened.
NOWHERE = {"email": "planted-email@example.com", "undeclared": "planted-undeclared", "post_code": "53planted-post-code"}
KNOWN = {"recency": 7.125, "zip_code": "planted-zip-code", **NOWHERE}


class Fed:
    """A server that is told of visitors with attributes."""

    def __init__(self, folder: Path) -> None:
        self.installed = Installed(folder)
        self.installed.run_experiment(stored())
        with self.installed.opened() as installation:
            self.key = create_key(
                installation.store, scope="server", name="server", origins=(), random=secrets.token_bytes, deed=DEED
            )
        self.server = ServerProcess(self.installed)

    def ask(self, path: str, body: Any) -> Any:
        """The answer to a request that goes well."""
        status, answer = self.server.ask("POST", path, body, key=self.key)
        assert status == 200, answer
        return answer

    def kept(self) -> dict[str, int]:
        """How many visitors there are of each context that is kept, once the server has ended."""
        assert self.server.end() == 0
        with self.installed.opened() as installation:
            assert verify(installation.store) == []
            rows = installation.store.read(
                lambda session: session.contexts.of(EVERYBODY, "tiny", metric="spend", most=9)
            )
        kept: dict[str, int] = {}
        for row in rows:
            kept[row.context] = kept.get(row.context, 0) + row.n
        return kept


@pytest.fixture(name="fed")
def _fed(tmp_path: Path) -> Iterator[Fed]:
    fed = Fed(tmp_path)
    yield fed
    fed.server.end()


def test_lists_evaluations_and_exposures_by_servers_store_the_same(fed: Fed) -> None:
    attributes = {"recency": 7, "zip_code": "Urban", "post_code": "53111"}
    visitors = [{"id": f"listed-{number}", "attributes": {**attributes, "recency": number}} for number in range(12)]
    fed.ask("/v1/assignments", {"experiment": "tiny", "visitors": visitors, "expose": True})
    flag = fed.ask("/ofrep/v1/evaluate/flags/tiny", {"context": {"targetingKey": "evaluated", **attributes}})
    [promised] = fed.ask(
        "/v1/assignments", {"experiment": "tiny", "visitors": [{"id": "promised", "attributes": attributes}]}
    )["assignments"]
    [kept] = fed.ask("/v1/assignments", {"experiment": "tiny", "expose": True, "visitors": [
        {"id": "promised", "attributes": {"recency": 1}, "token": promised["token"]}
    ]})["assignments"]
    assert (kept["arm"], kept["segment"]) == (promised["arm"], "lapsed")
    fed.ask("/v1/batch", {"batch": [
        {"type": "track", "event": "Experiment Viewed", "userId": "evaluated",
         "properties": {"experiment_id": "tiny", "token": flag["metadata"]["token"]}},
        {"type": "track", "event": "Experiment Viewed", "userId": "by word", "context": {"traits": attributes},
         "properties": {"experiment_id": "tiny", "variation_id": "nothing"}},
        {"type": "track", "event": "Experiment Viewed", "userId": "by the other word",
         "context": {"traits": attributes}, "properties": {"experiment_id": "tiny", "variation_id": "everyone"}},
    ]})
    kept_by_context = fed.kept()
    urban = '{"post_code":"53","recency":%d,"zip_code":"Urban"}'
    assert kept_by_context.keys() == {urban % 0, urban % 1} and kept_by_context[urban % 0] == 6
    # Six of the list, the evaluated and the promised one, and those of the words that name the arm that was drawn.
    assert 8 <= kept_by_context[urban % 1] <= 10


def test_what_is_not_stored_is_in_no_file_of_a_server_that_was_fed_with_it(fed: Fed) -> None:
    visitors = [{"id": f"listed-{number}", "attributes": KNOWN} for number in range(20)]
    fed.ask("/v1/assignments", {"experiment": "tiny", "visitors": visitors, "expose": True})
    flag = fed.ask("/ofrep/v1/evaluate/flags/tiny", {"context": {"targetingKey": "evaluated", **KNOWN}})
    fed.ask("/v1/batch", {"batch": [
        {"type": "track", "event": "Experiment Viewed", "userId": "evaluated", "context": {"traits": KNOWN},
         "properties": {"experiment_id": "tiny", "token": flag["metadata"]["token"]}},
        {"type": "track", "event": "Experiment Viewed", "userId": "by word", "context": {"traits": KNOWN},
         "properties": {"experiment_id": "tiny", "variation_id": "nothing"}},
        {"type": "track", "event": "Signed Up", "userId": "evaluated", "context": {"traits": KNOWN},
         "properties": KNOWN},
        {"type": "identify", "userId": "evaluated", "traits": KNOWN},
    ]})
    assert set(fed.kept()) == {'{"post_code":"53","recency":1,"zip_code":null}'}
    files = [path for path in fed.installed.folder.rglob("*") if path.is_file()]
    written = b"".join(path.read_bytes() for path in files)
    assert b'"post_code":"53"' in written
    assert b"post_code" in written
    assert not [text for text in (b"planted", b"7.125") if text in written]
