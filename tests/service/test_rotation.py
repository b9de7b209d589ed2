"""Rotation of the secret: everybody stays who they are; what the one before has signed is good while it is named."""

import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from typing import NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient

from experiments.audit import Selection
from experiments.audit import audit_of
from experiments.backups import back_up
from experiments.backups import restore
from experiments.errors import InvalidBackup
from experiments.errors import InvalidSetting
from experiments.errors import SecretMismatch
from experiments.errors import StorageError
from experiments.keys import create_key
from experiments.privacy.opt_outs import opt_out
from experiments.rotation import follow
from experiments.signing import Succession
from experiments.storage.location import Location
from experiments.storage.store import migrate_own
from experiments.storage.store import open_own
from experiments.verification import verify
from service import create_app
from service.config import load_config
from service.current import EXTENSION
from service.installation import Installation
from service.installation import open_installation
from service.operation.doctor import examine
from service.operation.secret import secrets_of
from service.people.links import report_link
from tests.experiments.documents import spring_mailing
from tests.experiments.house import House
from tests.experiments.house import SECRET
from tests.experiments.house import SECRETS
from tests.postgres import Databases
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.deeds import DEED
from tests.service.people import Someone
from tests.service.people import form_token

OLD, NEW, THIRD = ({"BESPOKE_SECRET": f"the {name} secret of a test, long enough"} for name in ("one", "next", "last"))
KEY = "spring-mailing"
VISITORS = [f"visitor-{number}" for number in range(40)]


def after(secret: dict[str, str], previous: dict[str, str]) -> dict[str, str]:
    """The settings of a secret that follows another one."""
    return {**secret, "BESPOKE_SECRET_PREVIOUS": previous["BESPOKE_SECRET"]}


def event(visitor: str, name: str, **properties: Any) -> dict[str, Any]:
    """An event with an id that says which it is."""
    return {
        "type": "track", "userId": visitor, "messageId": f"{visitor} {name}", "event": name, "properties": properties
    }


class Site:
    """A server with a secret, as a shop and a browser meet it."""

    def __init__(self, app: Flask, key: str) -> None:
        self.app = app
        self.installation: Installation = app.extensions[EXTENSION]
        self._client: FlaskClient = app.test_client()
        self._headers = bearer(key)

    def ask(self, path: str, body: Any) -> Any:
        """What is answered."""
        answer = self._client.post(path, json=body, headers=self._headers)
        assert answer.status_code < 300, answer.text
        return answer.get_json()

    def evaluate(self, visitor: str, **context: Any) -> dict[str, Any]:
        """An evaluation."""
        found: dict[str, Any] = self.ask(
            f"/ofrep/v1/evaluate/flags/{KEY}", {"context": {"targetingKey": visitor, "womens": True, **context}}
        )
        return found

    def fixed(self, visitor: str) -> tuple[str, ...]:
        """What a visitor gets, and why."""
        found = self.evaluate(visitor)
        metadata = found["metadata"]
        return found["variant"], metadata["cause"], metadata["segment"], str(metadata["propensity"])

    def send(self, *items: dict[str, Any]) -> Any:
        """What is told of events."""
        return self.ask("/v1/batch", {"batch": items})

    def code(self, item: dict[str, Any]) -> str:
        """Why an event is not accepted."""
        [told] = self.send(item)["items"]
        return str(told.get("code", told["status"]))

    def open(self, link: str) -> int:
        """The status of a page that a link leads to."""
        return self._client.get(link.removeprefix("http://shop.example")).status_code

    def link(self) -> str:
        """A link to the report."""
        expires_ms = self.installation.clock.now_ms() + 1_000_000
        keyring = self.installation.keyring
        return report_link(KEY, address="http://shop.example", expires_ms=expires_ms, keyring=keyring)

    def totals(self) -> Any:
        """The counts of the report."""
        answer = self._client.get(f"/v1/experiments/{KEY}/report", headers=self._headers)
        return [(row["arm"], row["visitors"], row["exposures"], row["metrics"]) for row in answer.json["totals"]]


class Place(NamedTuple):
    """An installation that is served with one secret after the other."""

    settings: dict[str, str]
    clock: SetClock
    key: str

    @contextmanager
    def served(self, named: dict[str, str]) -> Iterator[Site]:
        """The server with these secrets, ended in the end."""
        app = create_app(load_config({**self.settings, **named}), clock=self.clock)
        try:
            yield Site(app, self.key)
        finally:
            app.extensions[EXTENSION].close()

    def is_refused(self, named: dict[str, str]) -> bool:
        """Whether neither a server nor a command opens the database with these."""
        for serving in (True, False):
            with pytest.raises(SecretMismatch, match="BESPOKE_SECRET is not the secret of this database"):
                open_installation(load_config({**self.settings, **named}), serving=serving)
        return True


def settings_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> dict[str, str]:
    """Those of a new database."""
    if kind == "sqlite":
        return {"BESPOKE_DATABASE_URL": f"sqlite:///{folder}/bespoke.db", "BESPOKE_MIN_CELL": "0"}
    databases: Databases = request.getfixturevalue("postgres")
    return {"BESPOKE_DATABASE_URL": databases.empty().url, "BESPOKE_MIN_CELL": "0"}


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path, clock: SetClock) -> Place:
    """An installation of the first secret, whose experiment runs."""
    settings = settings_of(request.param, request, tmp_path)
    installation = open_installation(load_config({**settings, **OLD}), clock=clock, serving=True)
    try:
        house = House(installation.store, now_ms=clock.now_ms())
        house.start(spring_mailing())
        key = create_key(
            installation.store, scope="admin", name="", origins=(), random=secrets.token_bytes, deed=DEED
        )
    finally:
        installation.close()
    return Place(settings, clock, key)


def expose(site: Site, visitors: list[str]) -> list[dict[str, Any]]:
    """Everybody is exposed and every second one buys; what was sent."""
    seen = [
        event(visitor, "Experiment Viewed", experiment_id=KEY, token=site.evaluate(visitor)["metadata"]["token"])
        for visitor in visitors
    ]
    sent = [*seen, *(event(visitor, "Order Completed", revenue=7) for visitor in visitors[::2])]
    assert site.send(*sent)["accepted"] == len(sent)
    return sent


def test_everybody_keeps_arm_exposure_and_wish_and_is_counted_once(place: Place) -> None:
    with place.served(OLD) as site:
        sent = expose(site, VISITORS)
        site.ask("/v1/opt-outs", {"id": "visitor-1"})
        site.ask("/v1/visitors/erase", {"id": "visitor-2"})
        before, totals = {visitor: site.fixed(visitor) for visitor in VISITORS}, site.totals()
    assert {cause for _, cause, *_ in before.values()} == {"sticky", "opted_out", "allocated"}
    for named in (after(NEW, OLD), NEW, after(THIRD, NEW), THIRD):
        with place.served(named) as site:
            assert {visitor: site.fixed(visitor) for visitor in VISITORS} == before
            known = [item for item in sent if item["userId"] not in ("visitor-1", "visitor-2")]
            assert site.send(*known)["duplicate"] == len(known)
            assert site.code(event("visitor-1", "Order Completed")) == "opted_out"
            assert site.code(event("visitor-2", "Order Completed")) == "erased"
            assert site.totals() == totals
            assert verify(site.installation.store) == []
    with place.served(THIRD) as site:
        told = audit_of(site.installation.store, Selection(None, "secret", None, 9))
        assert [(row["actor"], row["action"]) for row in told.rows] == [("service", "rotate")] * 2


def test_what_the_one_before_has_signed_is_good_while_it_is_named(place: Place) -> None:
    with place.served(OLD) as site:
        link, promised = site.link(), {visitor: site.evaluate(visitor) for visitor in VISITORS}
        someone = Someone(site.app)
        form = form_token(someone.open("/login"))
        cookie = someone.cookie()
    assert cookie
    for named, is_good in ((after(NEW, OLD), True), (NEW, False)):
        with place.served(named) as site:
            assert site.open(link) == (200 if is_good else 403)
            assert site.open(site.link()) == 200
            for visitor in VISITORS[:20] if is_good else VISITORS[20:]:
                given, token = promised[visitor], promised[visitor]["metadata"]["token"]
                again = site.evaluate(visitor, token=token)
                # Signed anew, with the secret of now.
                assert again["variant"] == given["variant"] and again["metadata"]["token"] != token
                told = site.send(event(visitor, "Experiment Viewed", experiment_id=KEY, token=token))
                assert told["accepted"] == int(is_good), told
            client = site.app.test_client()
            client.set_cookie("bespoke_session", cookie)
            answer = client.post("/login", data={"form_token": form, "email": "a@b.example", "password": "x" * 12})
            assert ("he form has expired" in answer.text) == (not is_good)
            assert verify(site.installation.store) == []


def test_after_a_change_the_one_before_alone_is_refused_and_so_is_any_other(place: Place) -> None:
    with place.served(after(NEW, OLD)):
        pass
    assert place.is_refused(OLD) and place.is_refused(THIRD) and place.is_refused(after(THIRD, OLD))
    with place.served(NEW) as site:
        assert site.fixed("ann")[1] == "allocated"


def test_a_command_opens_the_database_with_either_and_only_a_server_or_init_changes_it(place: Place) -> None:
    config = load_config({**place.settings, **after(NEW, OLD)})
    open_installation(config, clock=place.clock).close()
    with place.served(OLD) as site:
        assert site.fixed("ann")[1] == "allocated"


def test_a_node_that_knows_the_next_one_takes_what_is_signed_with_it(place: Place) -> None:
    with place.served(after(NEW, OLD)) as site:
        link, token = site.link(), site.evaluate("ann")["metadata"]["token"]
    with place.served(after(OLD, NEW)) as site:
        assert site.open(link) == 200
        assert site.send(event("ann", "Experiment Viewed", experiment_id=KEY, token=token))["accepted"] == 1
    with place.served(after(NEW, OLD)) as site:
        assert site.fixed("ann")[1] == "sticky"


def stored(location: Location, own: Succession) -> dict[str, str]:
    """What a database knows of itself."""
    store, _ = open_own(location, secrets=own)
    try:
        return store.read(lambda session: dict(session.connection.execute("SELECT name, value FROM meta").fetchall()))
    finally:
        store.close()


def test_a_new_database_tells_nothing_of_its_keys_to_whoever_has_only_a_former_secret(place: Place) -> None:
    location = load_config({**place.settings, **OLD}).database
    with place.served(OLD) as site:
        keys = site.installation.keyring
    before = stored(location, Succession(OLD["BESPOKE_SECRET"].encode()))
    with place.served(after(NEW, OLD)) as site:
        # The same for good, and made from no secret.
        assert site.installation.keyring.visitors == keys.visitors
    now = stored(location, Succession(NEW["BESPOKE_SECRET"].encode()))
    assert now["secret_fingerprint"] == before["secret_fingerprint"]
    assert now["root_seal"] != before["root_seal"]
    texts = json.dumps([before, now])
    assert keys.visitors.hex() not in texts and OLD["BESPOKE_SECRET"] not in texts


@pytest.mark.every_database
def test_the_database_of_a_version_that_knew_no_rotation_goes_on_and_can_be_rotated(location: Location) -> None:
    for own in (SECRET, Succession(b"n" * 40, SECRET.current), Succession(b"n" * 40)):
        store, keys = open_own(location, secrets=own)
        try:
            follow(store, own, random=secrets.token_bytes, deed=DEED)
        finally:
            store.close()
        assert (keys.visitors, keys.tombstones, keys.exports) == (
            SECRETS.visitors, SECRETS.tombstones, SECRETS.exports
        )
        # What the version before knows it by.
        assert stored(location, own)["secret_fingerprint"] == SECRETS.fingerprint
    with pytest.raises(SecretMismatch):
        open_own(location, secrets=SECRET)


def test_nodes_that_begin_at_the_same_time_agree_on_the_keys(postgres: Databases) -> None:
    server, own = postgres.empty(), Succession(b"s" * 40)

    def begin(_: int) -> bytes:
        migrate_own(server, secrets=own, random=secrets.token_bytes)
        store, keys = open_own(server, secrets=own)
        store.close()
        return keys.visitors

    with ThreadPoolExecutor(6) as threads:
        assert len(set(threads.map(begin, range(6)))) == 1


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"BESPOKE_SECRET_PREVIOUS": "short"}, "BESPOKE_SECRET_PREVIOUS: (hidden) must have at least 32 characters"),
        ({**OLD, "BESPOKE_SECRET_PREVIOUS": OLD["BESPOKE_SECRET"]}, "must be another secret than BESPOKE_SECRET"),
        ({"BESPOKE_SECRET_PREVIOUS_FILE": "nowhere"}, "BESPOKE_SECRET_PREVIOUS_FILE: 'nowhere' must be a file"),
    ],
)
def test_a_previous_secret_that_cannot_be_one_is_refused_by_name(
    settings: dict[str, str], rule: str, tmp_path: Path
) -> None:
    settings = {"BESPOKE_DATABASE_URL": f"sqlite:///{tmp_path}/b.db", **settings}
    with pytest.raises(InvalidSetting) as caught:
        open_installation(load_config(settings), serving=True)
    assert rule in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_given_secret_can_follow_one_that_was_kept_beside_the_database(tmp_path: Path, clock: SetClock) -> None:
    settings = {"BESPOKE_DATABASE_URL": f"sqlite:///{tmp_path}/b.db"}
    kept = open_installation(load_config(settings), serving=True)
    kept.close()
    named = {**NEW, "BESPOKE_SECRET_PREVIOUS_FILE": f"{tmp_path}/b.db.secret"}
    for given in (named, NEW):
        installation = open_installation(load_config({**settings, **given}), serving=True)
        installation.close()
        assert installation.keyring.visitors == kept.keyring.visitors


def test_the_doctor_says_when_the_one_before_may_be_left_out(place: Place) -> None:
    def notes(site: Site) -> list[str]:
        return [found.why for found in examine(site.installation) if found.subject == "secret before"]

    with place.served(after(OLD, NEW)) as site:
        assert notes(site) == ["is still good; the secret has not been changed yet"]
    with place.served(after(NEW, OLD)) as site:
        [note] = notes(site)
        assert note.startswith("is still good; the last token that it has signed ends 2027-03-02T00:00:00Z")
    with place.served(NEW) as site:
        assert notes(site) == []


class Copy(NamedTuple):
    """A backup made with the first secret, and what was so then."""

    file: Path
    fixed: dict[str, tuple[str, ...]]


@pytest.fixture
def copy(place: Place, tmp_path: Path) -> Copy:
    """One made before the secret was changed, after which somebody objected and somebody was erased."""
    file = tmp_path / "copy.db"
    with place.served(OLD) as site:
        expose(site, VISITORS)
        fixed = {visitor: site.fixed(visitor) for visitor in VISITORS[3:]}
        back_up(site.installation.store, site.installation.config.database, file, now_ms=place.clock.now_ms())
    with place.served(after(NEW, OLD)) as site:
        site.ask("/v1/opt-outs", {"id": "visitor-1"})
        site.ask("/v1/visitors/erase", {"id": "visitor-2"})
    return Copy(file, fixed)


def test_a_backup_of_before_comes_back_with_both_and_is_refused_without_the_one_of_then(
    place: Place, copy: Copy, postgres: Databases
) -> None:
    config = load_config({**place.settings, **NEW})
    # A database of PostgreSQL must be empty, and the one that it replaces is named.
    here, others = (config.database, []) if config.database_path else (postgres.empty(), [config.database])
    for own in (Succession(b"n" * 40), secrets_of(config)):
        with pytest.raises(InvalidBackup, match="made with another secret"):
            restore(copy.file, here, secrets=own, random=secrets.token_bytes, now_ms=place.clock.now_ms())
    own = secrets_of(load_config({**place.settings, **after(NEW, OLD)}))
    done = restore(
        copy.file, here, secrets=own, random=secrets.token_bytes, erasures_of=others, now_ms=place.clock.now_ms()
    )
    assert (done.erased, done.fault) == (1, None)
    there = place if isinstance(here, Path) else place._replace(
        settings={**place.settings, "BESPOKE_DATABASE_URL": here.url}
    )
    assert there.is_refused(OLD)
    with there.served(NEW) as site:
        assert {visitor: site.fixed(visitor) for visitor in copy.fixed} == copy.fixed
        assert site.fixed("visitor-1")[1] == "opted_out"
        assert site.code(event("visitor-2", "Order Completed")) == "erased"
        assert verify(site.installation.store) == []


def test_the_marks_of_another_installation_erase_nobody(place: Place, copy: Copy, tmp_path: Path) -> None:
    elsewhere = {"BESPOKE_DATABASE_URL": f"sqlite:///{tmp_path}/other.db", **NEW}
    other = open_installation(load_config(elsewhere), serving=True)
    try:
        opt_out(other.store, other.snapshots, ["ann"], keyring=other.keyring, now_ms=place.clock.now_ms())
    finally:
        other.close()
    own, target = secrets_of(load_config({**place.settings, **after(NEW, OLD)})), tmp_path / "new.db"
    with pytest.raises(StorageError, match="other.db is another installation's"):
        restore(
            copy.file, target, secrets=own, random=secrets.token_bytes, erasures_of=[tmp_path / "other.db"],
            now_ms=place.clock.now_ms(),
        )
    assert not target.exists()
