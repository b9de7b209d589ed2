"""An installation of Bespoke as users have it: a database with experiments and visitors, and `bespoke serve`."""

import secrets
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from typing import TypeVar

from benchmarks.cores import SERVING
from benchmarks.cores import on_core
from benchmarks.mailing import KEY
from benchmarks.mailing import Customer
from experiments.assigned_lists import Assigned
from experiments.assigning import Order
from experiments.assigning import assign
from experiments.audit import Deed
from experiments.batches import batched
from experiments.evaluation import Evaluation
from experiments.evaluation import evaluate
from experiments.keys import create_key
from experiments.lifecycle import act
from experiments.lifecycle import apply_document
from experiments.storage.session import Session
from service.installation import Installation
from tests.service.processes import Installed
from tests.service.processes import ServerProcess

T = TypeVar("T")

_TOGETHER = 25


class Site(Installed):
    """One installation, without a limit of rates on client keys: all load comes from one address."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environ["BESPOKE_CLIENT_RATE"] = "0"

    def key(self, scope: str) -> str:
        """A new key, as the value of an Authorization header."""
        with self.opened() as installation:
            deed = Deed("benchmark", installation.clock.now_ms())
            return "Bearer " + create_key(
                installation.store, scope=scope, name="", origins=(), random=secrets.token_bytes, deed=deed
            )

    @contextmanager
    def serving(self) -> Iterator[ServerProcess]:
        """Its server, on the serving core."""
        with on_core(SERVING):
            server = ServerProcess(self)
        try:
            yield server
        finally:
            server.end()


@contextmanager
def site(*documents: dict[str, Any]) -> Iterator[Site]:
    """An installation in which these experiments run, for as long as the block."""
    with TemporaryDirectory() as folder:
        made = Site(Path(folder))
        with made.opened() as installation:
            run(installation, documents)
        yield made


def run(installation: Installation, documents: Iterable[dict[str, Any]]) -> None:
    """Write experiments and start them, some in one transaction: a disk may take long for thousands of them."""
    deed = Deed("benchmark", installation.clock.now_ms())

    def start_all(session: Session, batch: list[dict[str, Any]]) -> None:
        for document in batch:
            apply_document(_Together(session), document, deed=deed)
            act(_Together(session), document["key"], "start", deed=deed)

    left = iter(documents)
    while batch := list(islice(left, _TOGETHER)):
        installation.store.transact(partial(start_all, batch=batch))


class _Together:
    """A store of which everything happens in one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def read(self, work: Callable[[Session], T]) -> T:
        """Run `work` on what the transaction sees."""
        return work(self._session)

    transact = read

    def changes(self) -> int:
        """Nobody else commits meanwhile."""
        return 0

    def close(self) -> None:
        """The transaction is ended by whoever began it."""


def assigned(
    installation: Installation, customers: Sequence[Customer], *, exposes: bool = False, key: str = KEY
) -> list[Evaluation]:
    """Customers as the list's use case assigns them, exposed if that is asked for."""
    order = Order(key, exposes, secrets.token_bytes(16))
    found = [
        each
        for batch in batched(customer.item for customer in customers)
        for each in assign(
            installation.store, installation.snapshots, order,
            visitors=batch, asking=installation.asking(), keyring=installation.keyring,
        ).each()
    ]
    return [each.evaluation for each in found if isinstance(each, Assigned)]


def evaluated(installation: Installation, customer: Customer, *, key: str = KEY) -> Evaluation:
    """One evaluation, as the endpoint has it done."""
    return evaluate(
        installation.store, installation.snapshots.latest, key,
        context=customer.context, asking=installation.asking(), keyring=installation.keyring,
    )
