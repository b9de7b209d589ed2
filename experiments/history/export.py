"""The export of a history: exposures and outcomes of an experiment into a folder, with a part for each database."""

from experiments.history.growth import grow
from experiments.history.portions import Portions
from experiments.history.states import look
from experiments.lifecycle import find
from experiments.signing import Keyring
from experiments.storage.history_folder import HistoryFolder
from experiments.storage.history_manifests import SCHEMA
from experiments.storage.history_manifests import Manifest
from experiments.storage.store import Store


def export_history(store: Store, key: str, folder: HistoryFolder, *, keyring: Keyring, now_ms: int) -> Manifest:
    """Write the history of an experiment, or what has come since it was written last.

    :raises UnknownExperiment: if there is none.
    :raises InvalidHistory: if something was removed from the events meanwhile, partitions are being moved, or somebody
        else is writing it.
    :raises StorageUnreachable: if one of the databases is away.
    """
    portions = Portions(store.read(lambda session: find(session, key)).experiment, keyring)
    with folder.alone():
        folder.manifest()
        databases = store.databases()
        moment = look(databases, key, now_ms=now_ms)
        folder.keep(Manifest(SCHEMA, key))
        parts = {
            name: grow(folder.part(name), portions, moment.states[name], own) for name, own in databases.items()
        }
        whole = Manifest(SCHEMA, key, moment.at_ms, parts)
        folder.keep(whole)
        folder.sweep(whole)
        return whole
