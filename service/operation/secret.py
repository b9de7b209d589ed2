"""The installation's secret: given in the settings, or made once and kept beside an embedded database."""

import os
import secrets
from pathlib import Path

from experiments.errors import InvalidSetting
from experiments.errors import SecretMismatch
from experiments.failpoints import Failpoint
from experiments.failpoints import reached
from experiments.signing import Succession
from service import settings
from service.config import Config

_ONLY_MINE = 0o600
_FRESH_BYTES = 48


def fresh_secret() -> str:
    """A secret that nobody knows yet."""
    return secrets.token_urlsafe(_FRESH_BYTES)


def secrets_of(config: Config) -> Succession:
    """The secret of an installation, and the one before; one is made where neither it nor a database is there yet.

    :raises SecretMismatch: if there is a database whose secret is lost.
    :raises InvalidSetting: if the kept secret cannot be used, or is the one before itself.
    """
    if config.secret is None:
        # Looked for first: whoever makes both makes the secret first.
        has_database = config.database_path is not None and config.database_path.exists()
        if not config.secret_path.exists() and not has_database:
            _make(config.secret_path)
    return kept_secrets(config)


def kept_secrets(config: Config) -> Succession:
    """The secret that an installation has already, and the one before.

    :raises SecretMismatch: if it is lost.
    :raises InvalidSetting: if the kept one cannot be used, or is the one before itself.
    """
    current, previous = config.secret or _kept(config), config.secret_previous
    if previous == current:
        raise InvalidSetting("BESPOKE_SECRET_PREVIOUS: must be another secret than BESPOKE_SECRET: it is the same")
    if config.secret is None and previous is None:
        previous = _kept_before(config, current)
    return Succession(current, previous)


def replace_secret(config: Config) -> Succession:
    """Keep a new secret in place of the one beside the database, which becomes the one before."""
    current = _kept(config)
    _write(config.previous_secret_path, current.decode())
    reached(Failpoint.FORMER_SECRET_KEPT)
    _write(config.secret_path, fresh_secret())
    reached(Failpoint.SECRET_REPLACED)
    return kept_secrets(config)


def forget_previous(config: Config) -> bool:
    """Keep the secret before no longer; False where none is kept."""
    is_kept = config.previous_secret_path.exists()
    config.previous_secret_path.unlink(missing_ok=True)
    return is_kept


def _kept(config: Config) -> bytes:
    path = config.secret_path
    if not path.exists():
        raise SecretMismatch(
            f"the secret of {config.database} is lost: bring {path} back, or give it as BESPOKE_SECRET; "
            "with another one every visitor would be a stranger"
        )
    return _read(path)


def _kept_before(config: Config, current: bytes) -> bytes | None:
    """The secret before, which is the current one still where a change was broken off at its first step."""
    path = config.previous_secret_path
    previous = _read(path) if path.exists() else None
    return None if previous == current else previous


def _make(path: Path) -> None:
    """Keep a new secret; where another process is faster, its secret stays."""
    draft = _draft(path)
    try:
        _write_draft(draft, fresh_secret())
        os.link(draft, path)
    except FileExistsError:
        pass
    except OSError as error:
        raise InvalidSetting(f"BESPOKE_SECRET: is not given, and none can be kept in {path} ({error})") from error
    finally:
        draft.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    """Keep a secret in a file, whole or not at all."""
    draft = _draft(path)
    try:
        _write_draft(draft, text)
        os.replace(draft, path)
        _keep_names(path.parent)
    except OSError as error:
        raise InvalidSetting(f"BESPOKE_SECRET: none can be kept in {path} ({error})") from error
    finally:
        draft.unlink(missing_ok=True)


def _draft(path: Path) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}")


def _write_draft(draft: Path, text: str) -> None:
    with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _ONLY_MINE), "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _keep_names(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path) -> bytes:
    try:
        return settings.secret(path.read_text().strip())
    except (OSError, ValueError) as error:
        raise InvalidSetting(f"BESPOKE_SECRET: the one kept in {path} cannot be used: {error}") from error
