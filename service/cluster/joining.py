"""The cluster: what an installation has open where events go through a log to shards. A single database needs none."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import cast

from experiments.errors import InvalidSetting
from experiments.errors import StorageError
from experiments.log.undivided import shards_elsewhere
from experiments.signing import Keyring
from experiments.signing import Succession
from experiments.storage.location import Server
from experiments.storage.shards import THIS_LOG
from experiments.storage.store import OwnStore
from experiments.storage.store import Store
from experiments.storage.store import open_own
from service.config import Config

if TYPE_CHECKING:
    from experiments.storage.log import Log
    from experiments.storage.sharded_store import ShardedStore
    from experiments.storage.shared_store import SharedStore
    from service.installation import Installation


def opened_store(config: Config, *, secrets: Succession, serving: bool) -> tuple[OwnStore, Keyring]:
    """The store, with its shards where visitors are in any, and the keys in it; an embedded one has no shards."""
    control, keys = open_own(config.database, secrets=secrets, serving=serving)
    try:
        return (control if config.database_path else _sharded(control, fingerprint=keys.fingerprint)), keys
    except BaseException:
        control.close()
        raise


def _sharded(control: OwnStore, *, fingerprint: str) -> ShardedStore:
    from experiments.storage.sharded_store import open_shards

    return open_shards(cast("SharedStore", control), fingerprint=fingerprint)


def collecting(store: OwnStore) -> Callable[[int], None] | None:
    """What brings the sums of shards to where reports read them, at a time; None where there can be none."""
    if not hasattr(store, "placement"):
        return None
    from experiments.log.clearing import clear_positions
    from experiments.log.collecting import collect

    def collect_at(now_ms: int) -> None:
        collect(cast("ShardedStore", store), now_ms=now_ms)
        clear_positions(cast("ShardedStore", store), now_ms=now_ms)

    return collect_at


def open_log(installation: Installation) -> None:
    """Let the events of an installation go through its log from now on, where it has one.

    :raises InvalidSetting: if it has a log and no shards, or shards and no log.
    :raises LogUnreachable: if the log does not answer, or is too old.
    """
    if not installation.config.log_addresses:
        return _check_undivided(installation)
    from experiments.log.appending import Appending
    from experiments.log.keeping import Keeper
    from experiments.storage.spool import Spool

    store, config = sharded_store(installation), installation.config
    log = connected_log(installation)
    installation.before_closing(log.close)
    if installation.watched is not None:
        hear(installation, log)
    spool = Spool(config.spool, installation.clock.now_ms)
    keeper = Keeper(store, spool, log, place=f"{socket.gethostname()}:{config.spool.absolute()}")
    installation.log = Appending(
        store, installation.snapshots, spool=spool, log=log, keyring=installation.keyring,
        waits=config.log_ack == "replicated",
    )
    installation.before_closing(spool.close)
    keeper.tell()
    keeper.start()
    installation.before_closing(keeper.stop)


def hear(installation: Installation, log: Log) -> None:
    """Let an installation hear of changes from the bucket of its log, and tell the others where nobody does."""
    from experiments.log.announcing import Announcer
    from experiments.log.announcing import Hearing
    from experiments.storage.bucket import NEWS
    from experiments.storage.bucket import Bucket
    from experiments.storage.listener import Listener

    bucket = Bucket(log, NEWS)
    announcer = Announcer(installation.store, bucket, Listener(cast("Server", installation.config.database)))
    announcer.start()
    installation.hearing = Hearing(bucket, installation.snapshots)
    for end in (bucket.close, announcer.stop):
        installation.before_closing(end)


def _check_undivided(installation: Installation) -> None:
    """See that all visitors are in the one database that is named."""
    if installation.snapshots.latest.is_divided:
        others = installation.store.read(shards_elsewhere)
        where = f"in the shards {', '.join(others)}" if others else "being moved to another shard"
        raise InvalidSetting(f"BESPOKE_LOG_URL: must be given, since visitors are {where}")


def check_can_have_shards(config: Config) -> None:
    """See that a database is one that can name shards.

    :raises InvalidSetting: if it is embedded.
    """
    if path := config.database_path:
        raise InvalidSetting(f"BESPOKE_DATABASE_URL: {path} has all visitors in its file; shards need postgresql://…")


def sharded_store(installation: Installation) -> ShardedStore:
    """The store of an installation whose visitors are in shards.

    :raises InvalidSetting: if they are not.
    """
    if not has_shards(installation):
        raise InvalidSetting("BESPOKE_DATABASE_URL: names no database with shards: make one with `bespoke shard add`")
    return cast("ShardedStore", installation.store)


def has_shards(installation: Installation) -> bool:
    """Whether visitors are in shards; an embedded database has none."""
    return hasattr(installation.store, "placement") and cast("ShardedStore", installation.store).has_shards()


def shards_beside(installation: Installation) -> list[Store]:
    """The shards of an installation that are other databases than its own; none where it has none."""
    _, *others = installation.store.databases().values()
    return others


def named_shards(config: Config, control: OwnStore) -> list[Server]:
    """The databases that a database names as its shards; an embedded one has none."""
    if config.database_path:
        return []
    return [Server(row.address) for row in control.read(lambda session: session.shards.all())]


def connected_log(installation: Installation) -> Log:
    """The log of an installation, connected.

    :raises InvalidSetting: if none is named.
    :raises LogUnreachable: if it does not answer, or is too old.
    """
    addresses = installation.config.log_addresses
    if not addresses:
        raise InvalidSetting("BESPOKE_LOG_URL: must be given: nats://host:4222, with commas between several nodes")
    try:
        from experiments.storage.log import Log
    except ModuleNotFoundError as error:
        raise StorageError(f"a log needs the package {error.name}: pip install -e '.[cluster]'") from error
    name = installation.store.read(lambda session: session.meta.get(THIS_LOG))
    assert name, "the first shard gives it a name"
    return Log(addresses, name=name)
