"""A session: one connection seen as the tables of the house."""

from collections.abc import Iterable
from collections.abc import Iterator

from experiments.storage.audit import Audit
from experiments.storage.cells import Cells
from experiments.storage.cells import Counters
from experiments.storage.cells import Lags
from experiments.storage.configuration import Experiments
from experiments.storage.configuration import Keys
from experiments.storage.configuration import Meta
from experiments.storage.connection import Connection
from experiments.storage.contexts import Contexts
from experiments.storage.drafts import Drafts
from experiments.storage.errands import Errands
from experiments.storage.errands import HandedNews
from experiments.storage.event_columns import EventColumns
from experiments.storage.events import Events
from experiments.storage.fences import Fences
from experiments.storage.heads import Heads
from experiments.storage.ledger import Ledger
from experiments.storage.ledger import Slots
from experiments.storage.opt_outs import OptOuts
from experiments.storage.partition_rows import PartitionRows
from experiments.storage.people import Sessions
from experiments.storage.people import Users
from experiments.storage.replies import Replies
from experiments.storage.restores import Restores
from experiments.storage.reviews import Reviews
from experiments.storage.shards import Positions
from experiments.storage.shards import Shards
from experiments.storage.shards import Sums
from experiments.storage.shards import Watermarks
from experiments.storage.shards import Workers
from experiments.storage.spools import Spools
from experiments.storage.tombstones import Tombstones
from experiments.storage.visitors import Exposures
from experiments.storage.visitors import Note
from experiments.storage.visitors import Totals
from experiments.storage.waiting import Waiting
from experiments.storage.ways import Ways


class Session:
    """Every question and every change that the use cases have for the database."""

    def __init__(self, connection: Connection, *, note_exposed: Note | None = None) -> None:
        self.connection = connection
        self.meta = Meta(connection)
        self.keys = Keys(connection)
        self.experiments = Experiments(connection)
        self.ledger = Ledger(connection)
        self.slots = Slots(connection)
        self.events = Events(connection)
        self.event_columns = EventColumns(connection)
        self.exposures = Exposures(connection, note_exposed)
        self.totals = Totals(connection)
        self.waiting = Waiting(connection)
        self.cells = Cells(connection)
        self.lags = Lags(connection)
        self.counters = Counters(connection)
        self.replies = Replies(connection)
        self.users = Users(connection)
        self.sessions = Sessions(connection)
        self.audit = Audit(connection)
        self.heads = Heads(connection)
        self.restores = Restores(connection)
        self.drafts = Drafts(connection)
        self.reviews = Reviews(connection)
        self.errands = Errands(connection)
        self.handed = HandedNews(connection)
        self.opt_outs = OptOuts(connection)
        self.contexts = Contexts(connection)
        self.tombstones = Tombstones(connection)
        self.shards = Shards(connection)
        self.workers = Workers(connection)
        self.spools = Spools(connection)
        self.fences = Fences(connection)
        self.positions = Positions(connection)
        self.partition_rows = PartitionRows(connection)
        self.sums = Sums(connection)
        self.watermarks = Watermarks(connection)
        self.ways = Ways(connection)

    def faults(self) -> Iterator[str]:
        """What is wrong with the database beneath its rows, a line for each."""
        return self.connection.faults()

    def hold(self, visitors: Iterable[bytes]) -> None:
        """Keep others from changing what is known of these visitors; before anything of them is read."""
        self.connection.hold(visitors)

    def lacks(self) -> list[str]:
        """The steps of the schema that the database has not taken."""
        return self.connection.pending()
