import os
import stat
from pathlib import Path

import pytest

from experiments.errors import InvalidSetting
from experiments.errors import SecretMismatch
from experiments.storage.location import Server
from service.config import Config
from service.config import SETTINGS
from service.config import config_lines
from service.config import load_config
from service.installation import open_installation
from service.operation.clock import AcceleratedClock
from service.operation.clock import SystemClock
from service.operation.secret import secrets_of
from service.requests.rates import Rate

SECRET = "long enough to be a secret, and then some"


def test_an_empty_environment_gives_the_defaults() -> None:
    config = load_config({"PATH": "/bin"})
    assert (config.host, config.port, config.min_cell) == ("127.0.0.1", 8000, 10)
    assert config.database_path == Path("bespoke.db")
    assert config.secret is None
    assert config.consent_default == "personalise"
    assert config.token_lifetime_seconds == 90 * 86_400
    assert config.body_limit_bytes == 1024 * 1024


def test_a_rate_is_requests_in_a_duration_and_0_is_none() -> None:
    assert load_config({}).client_rate == Rate(10_000, 10)
    assert load_config({"BESPOKE_CLIENT_RATE": "60/1m"}).client_rate == Rate(60, 60)
    assert load_config({"BESPOKE_CLIENT_RATE": "0"}).client_rate is None


def test_a_switch_is_on_or_off() -> None:
    assert not load_config({}).expose_etag
    assert load_config({"BESPOKE_EXPOSE_ETAG": "on"}).expose_etag


def test_three_slashes_are_a_relative_path_and_four_an_absolute_one() -> None:
    assert load_config({"BESPOKE_DATABASE_URL": "sqlite:///data/b.db"}).database_path == Path("data/b.db")
    assert load_config({"BESPOKE_DATABASE_URL": "sqlite:////srv/b.db"}).database_path == Path("/srv/b.db")


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("PORT", "http", "must be a whole number from 1 to 65535"),
        ("PORT", "0", "must be a whole number from 1 to 65535"),
        ("PORT", "65536", "must be a whole number from 1 to 65535"),
        ("PORT", "", "must be a whole number"),
        ("MIN_CELL", "-1", "must be a whole number from 0"),
        ("MIN_CELL", "１０", "must be a whole number from 0"),
        ("LOG_LEVEL", "chatty", "must be one of debug, info, warning, error"),
        ("CONSENT_DEFAULT", "yes", "must be one of none, measure, personalise"),
        ("TOKEN_LIFETIME", "soon", "must be a whole number and a unit"),
        ("TOKEN_LIFETIME", "0d", "must be between 1s and 3650d"),
        ("BODY_LIMIT", "1GB", "must be a whole number and a unit"),
        ("BODY_LIMIT", "0MB", "must be a whole number and a unit"),
        ("BATCH_LIMIT", "0", "must be a whole number from 1"),
        ("CLIENT_RATE", "fast", "must be requests and a duration"),
        ("CLIENT_RATE", "0/10s", "must be requests and a duration"),
        ("CLIENT_RATE", "10/10", "must be a whole number and a unit"),
        ("CLIENT_RATE", "10/0s", "must be between 1s and 1d"),
        ("CLIENT_RATE", "10/2d", "must be between 1s and 1d"),
        ("TRUSTED_PROXIES", "-1", "must be a whole number from 0 to 20"),
        ("EXPOSE_ETAG", "yes", "must be one of on, off"),
        ("HOST", " ", "must be the name or address of an interface"),
        ("DATABASE_URL", "bespoke.db", "must be sqlite:///relative.db"),
        ("DATABASE_URL", "sqlite://", "must be sqlite:///relative.db"),
        ("DATABASE_URL", "sqlite:///:memory:", "must be sqlite:///relative.db"),
        ("DATABASE_URL", "postgresql://local host/b", "must be sqlite:///relative.db"),
    ],
)
def test_a_bad_value_is_refused_with_name_value_and_rule(name: str, value: str, rule: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        load_config({f"BESPOKE_{name}": value})
    assert f"BESPOKE_{name}: {value!r}" in str(refused.value)
    assert rule in str(refused.value)


def test_a_short_secret_is_refused_without_being_told() -> None:
    with pytest.raises(InvalidSetting, match="BESPOKE_SECRET: .* at least 32 characters: it has 7") as refused:
        load_config({"BESPOKE_SECRET": "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_a_mistyped_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(InvalidSetting, match="BESPOKE_PROT: is no setting of Bespoke; the nearest is BESPOKE_PORT"):
        load_config({"BESPOKE_PROT": "8000"})


def test_a_setting_can_be_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    assert load_config({"BESPOKE_SECRET_FILE": str(tmp_path / "secret")}).secret == SECRET.encode()


def test_every_setting_can_be_read_from_a_file(tmp_path: Path) -> None:
    for setting in SETTINGS:
        path = tmp_path / setting.name
        path.write_text(setting.default or SECRET)
        load_config({f"BESPOKE_{setting.name}_FILE": str(path)})


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="BESPOKE_SECRET_FILE: .*nowhere"):
        load_config({"BESPOKE_SECRET_FILE": str(tmp_path / "nowhere")})


def test_a_setting_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("8001")
    with pytest.raises(InvalidSetting, match="BESPOKE_PORT: is given twice"):
        load_config({"BESPOKE_PORT": "8000", "BESPOKE_PORT_FILE": str(tmp_path / "port")})


def test_what_is_in_force_is_shown_with_secrets_hidden() -> None:
    config = load_config({"BESPOKE_SECRET": SECRET, "BESPOKE_PORT": "9000"})
    lines = config_lines(config)
    assert "BESPOKE_PORT=9000" in lines
    assert "BESPOKE_SECRET=(hidden)" in lines
    assert len(lines) == len(SETTINGS)
    assert SECRET not in "\n".join(lines) + repr(config)


def test_every_setting_has_help() -> None:
    assert all(setting.help for setting in SETTINGS)


def test_a_secret_is_made_once_and_kept_for_its_owner_only(tmp_path: Path) -> None:
    config = load_config({"BESPOKE_DATABASE_URL": f"sqlite:///{tmp_path}/bespoke.db"})
    made = secrets_of(config)
    assert len(made.current) >= 32
    assert secrets_of(config) == made
    assert stat.S_IMODE(os.stat(config.secret_path).st_mode) == 0o600
    assert os.listdir(config.secret_path.parent) == [config.secret_path.name]


def test_a_lost_secret_is_told_and_not_replaced(config: Config) -> None:
    open_installation(config, serving=True).close()
    config.secret_path.unlink()
    with pytest.raises(SecretMismatch, match="is lost"):
        open_installation(config, serving=True)
    assert not config.secret_path.exists()


def test_another_secret_refuses_to_open(config: Config, tmp_path: Path) -> None:
    open_installation(config, serving=True).close()
    other = load_config({"BESPOKE_DATABASE_URL": f"sqlite:///{tmp_path}/bespoke.db", "BESPOKE_SECRET": SECRET})
    with pytest.raises(SecretMismatch):
        open_installation(other)


def test_an_accelerated_clock_runs_at_its_rate_from_its_origin() -> None:
    real_ms = SystemClock().now_ms()
    clock = AcceleratedClock(real_ms - 1000, 5_000, 3600.0)
    assert clock.now_ms() >= 5_000 + 1000 * 3600
    assert clock.now_ms() < 5_000 + 61_000 * 3600


def test_an_address_of_postgresql_is_taken_with_the_secret_of_all_nodes_and_never_shows_its_password() -> None:
    url = "postgresql://bespoke:planted@database.example:6432/campaigns?sslmode=require"
    config = load_config({"BESPOKE_DATABASE_URL": url, "BESPOKE_SECRET": "s" * 40})
    assert (config.database, config.database_path) == (Server(url), None)
    assert "BESPOKE_DATABASE_URL=postgresql://bespoke@database.example:6432/campaigns" in config_lines(config)
    assert "planted" not in repr(config)


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("postgresql://bespoke:planted@host/name", "BESPOKE_SECRET: must be given with PostgreSQL"),
        ("postgresql://bespoke:planted@ho st/name", "must be sqlite:///relative.db"),
        ("postgresql://", "must be sqlite:///relative.db"),
        ("mysql://bespoke:planted@host/name", "must be sqlite:///relative.db"),
        ("postgresql://bespoke:planted%zz@host/name", "must have @, / and % of a password as %40, %2F and %25"),
        ("postgresql://bespoke:planted@planted/planted@host/name", "must have @, / and % of a password"),
    ],
)
def test_an_address_that_cannot_be_is_refused_without_its_password(url: str, rule: str) -> None:
    with pytest.raises(InvalidSetting, match=rule) as refused:
        load_config({"BESPOKE_DATABASE_URL": url})
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize("url", [
    "postgresql://bespoke:planted#planted@host/name",
    "postgresql://bespoke:planted?planted@host/name",
    "postgresql://bespoke@host/name?password=planted@planted",
    "postgresql://bespoke:%40planted%2F@host/name",
])
def test_whatever_a_password_is_made_of_no_message_shows_a_part_of_it(url: str) -> None:
    assert str(load_config({"BESPOKE_DATABASE_URL": url, "BESPOKE_SECRET": "s" * 40}).database) == \
        "postgresql://bespoke@host/name"


@pytest.mark.parametrize("url", ["nats://a:port", "nats://a:99999", "nats://a:4222/b", "http://a", "nats://", "a,,b"])
def test_an_address_of_a_log_that_cannot_be_is_refused_with_the_rule(url: str) -> None:
    with pytest.raises(InvalidSetting, match="BESPOKE_LOG_URL: .* must be nats://host:4222, with commas between"):
        load_config({"BESPOKE_LOG_URL": url})


def test_an_address_of_a_log_may_have_a_name_a_password_and_any_kind_of_host() -> None:
    url = "nats://joe:pl#nted@a:4222,tls://b.example,[::1]:4223"
    settings = {"BESPOKE_DATABASE_URL": "postgresql://host/name", "BESPOKE_SECRET": "s" * 40, "BESPOKE_LOG_URL": url}
    assert load_config(settings).log_addresses == (
        "nats://joe:pl#nted@a:4222", "tls://b.example", "nats://[::1]:4223",
    )
