"""The settings: one table, read from the environment alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any
from typing import NamedTuple

from experiments.assignment import Consent
from experiments.errors import InvalidSetting
from experiments.errors import shown
from experiments.failpoints import Failpoint
from experiments.frequency.caps import Cap
from experiments.storage.location import Location
from experiments.storage.location import Server
from service import settings
from service.mail.relay import Relay
from service.mail.relay import parse_relay
from service.outlets.kinds import Outlet
from service.outlets.kinds import outlets
from service.requests.rates import Rate

PREFIX = "BESPOKE_"
_FROM_FILE = "_FILE"
_HIDDEN = "(hidden)"
#: Where an address may have a password.
_PASSWORD = re.compile("(?<=://).*(?=@)|(?<=password=)[^&]+")


class Setting(NamedTuple):
    """A setting: its name after `BESPOKE_`, its field in `Config`, its default as one would write it, its reader."""

    name: str
    field: str
    default: str | None
    reader: settings.Reader
    help: str
    is_secret: bool = False


SETTINGS = (
    Setting(
        "DATABASE_URL", "database", "sqlite:///bespoke.db", settings.database,
        "where the database is: sqlite:///FILE, or postgresql://user:password@host/name for several nodes",
    ),
    Setting(
        "SECRET", "secret", None, settings.secret,
        "what all keys are derived from; made and kept beside an embedded database where it is not given, and required"
        " with PostgreSQL",
        is_secret=True,
    ),
    Setting(
        "SECRET_PREVIOUS", "secret_previous", "off", settings.secret_previous,
        "while the secret is changed: the one before, whose tokens, links and forms are still good, or the next one",
        is_secret=True,
    ),
    Setting("HOST", "host", "127.0.0.1", settings.host, "the interface that the server listens on"),
    Setting("PORT", "port", "8000", settings.whole(1, 65535), "the port that the server listens on"),
    Setting(
        "LOG_LEVEL", "log_level", "info", settings.one_of("debug", "info", "warning", "error"),
        "the least important messages that are logged; `debug` logs each request too",
    ),
    Setting(
        "CONSENT_DEFAULT", "consent_default", "personalise", settings.one_of("none", "measure", "personalise"),
        "what a visitor consents to where nothing is said",
    ),
    Setting(
        "DISK_LIMIT", "disk_limit_bytes", "256MB", settings.size,
        "the free space under the database below which people are told",
    ),
    Setting("MIN_CELL", "min_cell", "10", settings.whole(0, 10**6), "visitors below which figures are hidden; 0 = off"),
    Setting(
        "RECENT_TRAFFIC", "recent_traffic", "2000", settings.whole(0, 10**5),
        "how many visitors' attributes are remembered, in memory alone, to size segments by; 0 = off",
    ),
    Setting(
        "TOKEN_LIFETIME", "token_lifetime_seconds", "90d", settings.lifetime,
        "how long after an evaluation its token makes an exposure",
    ),
    Setting(
        "DEDUPLICATION_HORIZON", "deduplication_horizon_seconds", "90d", settings.lifetime,
        "how old an event may be; a repeated one is known for as long",
    ),
    Setting(
        "RETENTION_EVENTS", "retention_events_seconds", "30d", settings.lifetime,
        "how long an event is kept once it can change no count any more",
    ),
    Setting(
        "RETENTION_EXPOSURES", "retention_exposures_seconds", "30d", settings.lifetime,
        "how long a stopped experiment knows its visitors once none of their events is kept",
    ),
    Setting(
        "RETENTION_BACKUPS", "retention_backups_seconds", "90d", settings.lifetime,
        "how long you keep backups: an erasure is done again in one that is brought back for as long",
    ),
    Setting("LINK_LIFETIME", "link_lifetime_seconds", "7d", settings.lifetime, "how long a report's link opens it"),
    Setting(
        "SESSION_LIFETIME", "session_lifetime_seconds", "12h", settings.lifetime, "how long somebody stays logged in"
    ),
    Setting(
        "HTTPS", "https", "auto", settings.one_of("auto", "always"),
        "whether cookies are for https alone: `auto` goes by the request, `always` is for a proxy that ends TLS",
    ),
    Setting("BODY_LIMIT", "body_limit_bytes", "1MB", settings.size, "the largest body of a request, unpacked too"),
    Setting(
        "BODY_DEADLINE", "body_deadline_seconds", "30s", settings.lifetime,
        "how long a body may be in coming (408 after that; `bespoke serve` alone minds it)",
    ),
    Setting("BATCH_LIMIT", "batch_limit", "1000", settings.whole(1, 10**5), "the most events in one batch"),
    Setting(
        "CLIENT_RATE", "client_rate", "10000/10s", settings.rate,
        "the most requests in a time with one client key from one address; 0 = off",
    ),
    Setting(
        "TRUSTED_PROXIES", "trusted_proxies", "0", settings.whole(0, 20),
        "how many proxies stand before the server and add to X-Forwarded-For",
    ),
    Setting(
        "EXPOSE_ETAG", "expose_etag", "off", settings.switch,
        "whether pages of other origins may read ETag: they then send a preflight with every poll",
    ),
    Setting(
        "ASSIGNMENTS_BODY_LIMIT", "assignments_body_limit_bytes", "8MB", settings.size,
        "the largest list of visitors to assign, unpacked too",
    ),
    Setting(
        "ASSIGNMENTS_LIMIT", "assignments_limit", "10000", settings.whole(1, 10**6),
        "the most visitors in one list to assign",
    ),
    Setting(
        "ADDRESS", "address", "auto", settings.address,
        "where browsers reach the server, for links in e-mails; `auto` is host and port",
    ),
    Setting(
        "DIGEST", "digest", "off", settings.one_of("off", "daily", "weekly"),
        "how often a digest is sent: at seven UTC, the weekly one on Mondays",
    ),
    Setting(
        "DIGEST_TO", "digest_to", "nobody", settings.recipients, "who gets it: e-mail addresses with commas between"
    ),
    Setting(
        "SMTP_URL", "relay", "off", parse_relay,
        "what e-mails are handed to: smtp://user:password@host:587, or smtps://…", is_secret=True,
    ),
    Setting(
        "SOURCES", "sources", "off", outlets("bespoke.outcome_sources"),
        "where outcomes are fetched: folder:/path of .ndjson files, or a package's KIND:TARGET, with spaces between",
        is_secret=True,
    ),
    Setting(
        "SINKS", "sinks", "off", outlets("bespoke.sinks"),
        "who is told of new weights and acts: webhook:https://host/path#whsec_…, folder:/path, a package's KIND:TARGET,"
        " with spaces between",
        is_secret=True,
    ),
    Setting(
        "FREQUENCY_CAP", "frequency_cap", "off", settings.frequency_cap,
        "the most exposures of a visitor over all experiments by lists and mail-merge, as in 5/7d, or off",
    ),
    Setting(
        "LOG_URL", "log_addresses", "off", settings.log_addresses,
        "the log that events go through to shards: nats://a:4222,b:4222,c:4222", is_secret=True,
    ),
    Setting(
        "LOG_ACK", "log_ack", "replicated", settings.one_of("replicated", "local"),
        "when an event is answered: once several nodes of the log have it too, or once the own spool has it",
    ),
    Setting("SPOOL", "spool", "spool", Path, "the folder for what a node has accepted and shards do not have yet"),
    Setting(
        "FAILPOINT", "failpoint", "off", settings.failpoint,
        "a step at which the process kills itself, to rehearse crashes; for tests alone",
    ),
)
_BY_NAME = {PREFIX + setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True)
class Config:
    """The settings in force; `written` are their texts by name. A `secret` of None is kept beside the database."""

    database: Location
    secret: bytes | None
    secret_previous: bytes | None
    host: str
    port: int
    log_level: str
    consent_default: Consent
    disk_limit_bytes: int
    min_cell: int
    recent_traffic: int
    token_lifetime_seconds: int
    deduplication_horizon_seconds: int
    retention_events_seconds: int
    retention_exposures_seconds: int
    retention_backups_seconds: int
    link_lifetime_seconds: int
    session_lifetime_seconds: int
    https: str
    body_limit_bytes: int
    body_deadline_seconds: int
    batch_limit: int
    client_rate: Rate | None
    trusted_proxies: int
    expose_etag: bool
    assignments_body_limit_bytes: int
    assignments_limit: int
    address: str
    digest: str
    digest_to: tuple[str, ...]
    relay: Relay | None
    sources: tuple[Outlet, ...]
    sinks: tuple[Outlet, ...]
    frequency_cap: Cap | None
    log_addresses: tuple[str, ...]
    log_ack: str
    spool: Path
    failpoint: Failpoint | None
    written: Mapping[str, str | None]

    @property
    def database_path(self) -> Path | None:
        """The file of an embedded database, or None."""
        return self.database if isinstance(self.database, Path) else None

    @property
    def secret_path(self) -> Path:
        """The file of the secret that was not given, which lies beside an embedded database."""
        return Path(f"{self.database}.secret")

    @property
    def previous_secret_path(self) -> Path:
        """The file of the secret before that one, while it is still good."""
        return Path(f"{self.secret_path}.previous")

    def __repr__(self) -> str:
        return f"Config({', '.join(config_lines(self))})"


def load_config(environ: Mapping[str, str]) -> Config:
    """The settings of an environment.

    :raises InvalidSetting: naming the setting, its value and the rule.
    """
    given = _given(environ)
    written = {name: given.get(name, setting.default) for name, setting in _BY_NAME.items()}
    values = {setting.field: _value(name, setting, written[name]) for name, setting in _BY_NAME.items()}
    if values["digest"] != "off" and not (values["digest_to"] and values["relay"]):
        raise InvalidSetting(f"BESPOKE_DIGEST: {values['digest']!r} needs BESPOKE_DIGEST_TO and BESPOKE_SMTP_URL")
    if isinstance(values["database"], Server) and values["secret"] is None:
        raise InvalidSetting("BESPOKE_SECRET: must be given with PostgreSQL, the same to every node")
    if values["log_addresses"] and not isinstance(values["database"], Server):
        raise InvalidSetting("BESPOKE_LOG_URL: needs a BESPOKE_DATABASE_URL of PostgreSQL, which names the shards")
    return Config(**values, written=MappingProxyType(written))


def config_lines(config: Config) -> list[str]:
    """The settings in force, one in a line, secrets hidden."""
    return [f"{name}={_shown(setting, config)}" for name, setting in _BY_NAME.items()]


def _shown(setting: Setting, config: Config) -> str:
    text = config.written[PREFIX + setting.name]
    if text is None:
        return f"(kept in {config.secret_path})"
    if isinstance(getattr(config, setting.field), Server):
        return str(config.database)
    return _HIDDEN if setting.is_secret else text


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    """The texts of the settings that are given, in the environment itself or in files that it names."""
    given: dict[str, str] = {}
    for variable, text in environ.items():
        if variable.startswith(PREFIX):
            name = _setting_name(variable)
            if name in given:
                raise InvalidSetting(f"{name}: is given twice, in {name} and in {name}{_FROM_FILE}")
            given[name] = text if name == variable else _file_text(variable, text)
    return given


def _setting_name(variable: str) -> str:
    name = variable if variable in _BY_NAME else variable.removesuffix(_FROM_FILE)
    if name in _BY_NAME:
        return name
    nearest = get_close_matches(name, _BY_NAME, n=1, cutoff=0)[0]
    # The value may be a secret under a mistyped name.
    raise InvalidSetting(f"{variable}: is no setting of Bespoke; the nearest is {nearest}")


def _file_text(variable: str, path: str) -> str:
    try:
        return Path(path).read_text().rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise InvalidSetting(f"{variable}: {shown(path)} must be a file of text that can be read ({error})") from error


def _value(name: str, setting: Setting, text: str | None) -> Any:
    if text is None:
        return None
    try:
        return setting.reader(text)
    except ValueError as error:
        value = _HIDDEN if setting.is_secret else shown(_PASSWORD.sub(_HIDDEN, text))
        raise InvalidSetting(f"{name}: {value} {error}") from error
