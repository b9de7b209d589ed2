"""The installation's secret: given in the settings, or made once and kept beside an embedded database."""

import os
import secrets
from pathlib import Path

from experiments.errors import InvalidSetting
from experiments.errors import SecretMismatch
from service import settings
from service.config import Config

_ONLY_MINE = 0o600


def secret_of(config: Config) -> bytes:
    """The secret of an installation; one is made where neither a secret nor a database is there yet.

    :raises SecretMismatch: if there is a database whose secret is lost.
    :raises InvalidSetting: if the kept secret cannot be used.
    """
    if config.secret is not None:
        return config.secret
    # Looked for first: whoever makes both makes the secret first.
    has_database = config.database_path is not None and config.database_path.exists()
    if not config.secret_path.exists() and not has_database:
        _make(config.secret_path)
    return kept_secret(config)


def kept_secret(config: Config) -> bytes:
    """The secret that an installation was made with.

    :raises SecretMismatch: if it is lost.
    :raises InvalidSetting: if the kept one cannot be used.
    """
    if config.secret is not None:
        return config.secret
    path = config.secret_path
    if not path.exists():
        raise SecretMismatch(
            f"the secret of {config.database} is lost: bring {path} back, or give it as BESPOKE_SECRET; "
            "with another one every visitor would be a stranger"
        )
    return _read(path)


def _make(path: Path) -> None:
    """Keep a new secret; where another process is faster, its secret stays."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _ONLY_MINE), "w") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    except OSError as error:
        raise InvalidSetting(f"BESPOKE_SECRET: is not given, and none can be kept in {path} ({error})") from error
    finally:
        draft.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    try:
        return settings.secret(path.read_text().strip())
    except (OSError, ValueError) as error:
        raise InvalidSetting(f"BESPOKE_SECRET: the one kept in {path} cannot be used: {error}") from error
