"""The disk of a spool: what is on it when somebody is told so, and nothing more once it has failed."""

import os
from io import FileIO
from pathlib import Path

from experiments.errors import StorageError


class SpoolDisk:
    """The disk that a folder is on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._failure: StorageError | None = None

    @property
    def has_failed(self) -> bool:
        """Whether it has, so that it keeps nothing more."""
        return self._failure is not None

    def check(self) -> None:
        """See that it has not failed.

        :raises StorageError: if it has.
        """
        if self._failure:
            raise self._failure

    def flush(self, stream: FileIO) -> None:
        """Have a file on it. What it could not write it may have dropped, and be at ease when it is asked again.

        :raises StorageError: if it has failed, now or before.
        """
        self.check()
        try:
            os.fdatasync(stream.fileno())
        except OSError as error:
            self._failure = StorageError(
                f"{self._folder}: the disk has failed ({error.strerror}): see to it, and start the node again"
            )
            raise self._failure from error
