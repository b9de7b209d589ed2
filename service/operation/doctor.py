"""The doctor: whether an installation can keep its promises where it is, thing by thing."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from experiments.plugins import GROUPS
from experiments.plugins import plugins
from experiments.policy_kinds import plugin_fault
from experiments.storage.guarantees import Finding
from experiments.storage.guarantees import guarantees
from experiments.storage.seals import sealed_ms
from experiments.times import iso
from experiments.tokens import expiry
from service.cluster.doctor import examine_cluster
from service.installation import Installation
from service.operation.disk import space
from service.operation.disk import written

#: Corrections by `sentAt` begin at as much.
_MOST_SKEW_MS = 10_000

#: Locks and maps of memory are not one over machines.
_REMOTE = ("9p", "afs", "ceph", "cifs", "fuse.sshfs", "nfs", "nfs4", "smb3", "smbfs")
_VOLATILE = ("ramfs", "tmpfs")


def examine(installation: Installation) -> Iterator[Finding]:
    """Everything that promises rest on; the secret and the schema were looked at when it was opened."""
    yield Finding("ok", "settings, secret, schema", "they are those of this database")
    yield from _rotation(installation)
    yield from installation.store.read(lambda session: list(guarantees(session.connection)))
    yield _clock(installation)
    yield from examine_cluster(installation)
    yield from _plugins()
    yield from _errands(installation)
    if installation.config.database_path:
        yield _file_system(installation.config.database_path)
        yield from _permissions(installation)
        yield _disk(installation)


def _rotation(installation: Installation) -> Iterator[Finding]:
    """The secret before, which whoever has it may sign with for as long as it is good."""
    if installation.keyring.tokens.previous is not None:
        changed_ms = installation.store.read(sealed_ms)
        yield Finding("note", "secret before", f"is still good; {_when_to_end(installation, changed_ms)}")


def _when_to_end(installation: Installation, changed_ms: int | None) -> str:
    if changed_ms is None:
        return "the secret has not been changed yet"
    last_ms = expiry(changed_ms, lifetime_seconds=installation.config.token_lifetime_seconds)
    return f"the last token that it has signed ends {iso(last_ms)}: leave it out then, sooner if others know it"


def _plugins() -> Iterator[Finding]:
    """What packages bring; one that cannot be used matters only where it is named."""
    for group in GROUPS:
        for plugin in plugins(group).values():
            fault = plugin_fault(plugin) if group == "bespoke.policies" else plugin.fault
            subject = f"{group}: {plugin.name} of {plugin.package}"
            yield Finding("note" if fault else "ok", subject, fault or "can be used")


def _errands(installation: Installation) -> Iterator[Finding]:
    """How sources and sinks got on last."""
    rows = {row.name: row for row in installation.store.read(lambda session: session.errands.all())}
    for outlet in (*installation.config.sources, *installation.config.sinks):
        row = rows.get(outlet.name)
        if row is None:
            yield Finding("note", outlet.name, "has not been looked after yet: no scheduler has run since it was set")
        elif row.failures:
            yield Finding("fault", outlet.name, f"failed {row.failures} times in a row, the last time so: {row.fault}")
        else:
            yield Finding("note" if row.fault else "ok", outlet.name, row.fault or "went well the last time")


def _clock(installation: Installation) -> Finding:
    """The clock against the one that last changed the configuration, which may be another machine's."""
    changed_ms = installation.store.read(lambda session: session.meta.config_changed_ms())
    behind_ms = changed_ms - installation.clock.now_ms()
    if behind_ms > _MOST_SKEW_MS:
        why = f"is {behind_ms / 1000:.0f} s behind one that this database has seen: times of events are wrong"
        return Finding("fault", "clock", f"{why}; set it, and keep it set (NTP)")
    return Finding("ok", "clock", "is not behind any that this database has seen")


def _file_system(path: Path) -> Finding:
    kind = file_system_of(path.absolute().parent)
    subject = f"file system = {kind}"
    if kind in _REMOTE:
        return Finding("fault", subject, "locks are not kept over a network: use a disk of this machine, or PostgreSQL")
    if kind in _VOLATILE:
        return Finding("note", subject, "is in memory: everything is lost with the machine's power")
    return Finding("ok", subject, "is on a disk of this machine")


def file_system_of(folder: Path) -> str:
    """The kind of file system that a folder is on, `unknown` where the system does not say."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    above = [(place, kind) for place, kind in mounts if folder.is_relative_to(place)]
    return max(above, key=lambda mount: len(mount[0]), default=("", "unknown"))[1]


def _permissions(installation: Installation) -> Iterator[Finding]:
    config = installation.config
    assert config.database_path is not None, "only files have permissions"
    folder = config.database_path.absolute().parent
    if not os.access(folder, os.W_OK):
        yield Finding("fault", str(folder), "cannot be written: check its owner and permissions")
    if config.secret is None:
        for path in (config.secret_path, config.previous_secret_path):
            if path.exists():
                yield _private(path, "whoever reads it can forge tokens, sessions and links: chmod 600")
    yield _not_for_all(config.database_path, "anybody on this machine may change it: chmod o-w")


def _private(path: Path, otherwise: str) -> Finding:
    return _mode(path, stat.S_IRWXG | stat.S_IRWXO, otherwise)


def _not_for_all(path: Path, otherwise: str) -> Finding:
    return _mode(path, stat.S_IWOTH, otherwise)


def _mode(path: Path, forbidden: int, otherwise: str) -> Finding:
    mode = stat.S_IMODE(path.stat().st_mode)
    subject = f"{path} has mode {mode:04o}"
    return Finding("fault", subject, otherwise) if mode & forbidden else Finding("ok", subject, "is whose it should be")


def _disk(installation: Installation) -> Finding:
    found = space(installation.config)
    assert found is not None, "an embedded database is on a disk of this machine"
    subject = f"free space = {written(found.free_bytes)}"
    if found.is_low:
        return Finding("note", subject, "is below BESPOKE_DISK_LIMIT: events are refused once there is none")
    return Finding("ok", subject, "is enough for now")
