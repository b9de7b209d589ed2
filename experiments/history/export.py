"""The export of a history: exposures and outcomes of an experiment into a folder, with a part for each database."""

from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait
from threading import Event

from experiments.history.growth import grow
from experiments.history.portions import Portions
from experiments.history.states import look
from experiments.lifecycle import find
from experiments.signing import Keyring
from experiments.storage.history_folder import HistoryFolder
from experiments.storage.history_manifests import SCHEMA
from experiments.storage.history_manifests import Manifest
from experiments.storage.history_manifests import PartManifest
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
        whole = _grown(store, folder, portions, now_ms=now_ms)
        folder.keep(whole)
        folder.sweep(whole)
        return whole


def _grown(store: Store, folder: HistoryFolder, portions: Portions, *, now_ms: int) -> Manifest:
    """The manifest of all parts, once each has grown up to one moment; nobody reads what is there until then."""
    folder.manifest()
    key, databases, ended = portions.experiment, store.databases(), Event()
    moment = look(databases, key, now_ms=now_ms)
    folder.keep(Manifest(SCHEMA, key))
    # While one database is asked, what another has answered is written.
    with ThreadPoolExecutor(len(databases)) as beside:
        growing = {
            name: beside.submit(grow, folder.part(name), portions, moment.states[name], own, ended=ended)
            for name, own in databases.items()
        }
        try:
            return Manifest(SCHEMA, key, moment.at_ms, _results(growing))
        finally:
            ended.set()


def _results(growing: Mapping[str, Future[PartManifest]]) -> dict[str, PartManifest]:
    """What comes of each, or the first fault of any."""
    done, _ = wait(growing.values(), return_when=FIRST_EXCEPTION)
    for each in done:
        each.result()
    return {name: each.result() for name, each in growing.items()}
