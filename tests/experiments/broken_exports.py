"""Exports that are broken off: a process that kills itself where it is about to give a file its name.

`python -m tests.experiments.broken_exports DATABASE FOLDER KEY NUMBER` exports a history, and ends by SIGKILL at the
file of that number; the exit status is 0 where there were fewer.
"""

import os
import signal
import sys
from itertools import count
from pathlib import Path

from experiments.history.export import export_history
from experiments.storage.history_folder import HistoryFolder
from experiments.storage.store import open_store
from tests.experiments.house import SECRETS
from tests.experiments.house import START


def main(database: str, folder: str, key: str, number: str) -> None:
    """Export, and end."""
    store = open_store(Path(database), fingerprint=SECRETS.fingerprint)
    numbers = count(1)

    def watch(event: str, arguments: object) -> None:
        if event == "os.rename" and next(numbers) == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    export_history(store, key, HistoryFolder(Path(folder), key), keyring=SECRETS, now_ms=START)
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
