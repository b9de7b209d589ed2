"""Operations: what a view takes and answers, said beside the view, for whoever reads the reference."""

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Literal
from typing import NamedTuple
from typing import TypeVar

from experiments.errors import BespokeError
from experiments.model import State
from service.requests.answers import JSON

View = TypeVar("View", bound=Callable[..., Any])

HTML = "text/html; charset=utf-8"
TEXT = {"type": "string"}
#: Stands for a key in the address of an example.
KEY = "$KEY"
_OPERATION = "operation"

#: A type that msgspec knows, a shape of the experiment document's readers, or a JSON Schema.
Shape = Any


class Example(NamedTuple):
    """A request that works while the experiment spring-mailing is in a `state`; None where it does not exist yet.

    A frozen one is running, and so is one with a barred arm.
    """

    path: Mapping[str, str] = {"key": "spring-mailing"}
    body: Any = None
    query: str = ""
    status: int = 200
    state: State | Literal["frozen", "barred"] | None = "running"


class Parameter(NamedTuple):
    """A part of the address, a query or a header: which values it takes, and what it means."""

    schema: Mapping[str, Any]
    help: str


class Answer(NamedTuple):
    """The body of an answer; `headers` are those that mean something, with what they mean.

    `also` are other kinds in which the same may be answered.
    """

    shape: Shape
    kind: str = JSON
    headers: Mapping[str, str] = {}
    also: Mapping[str, Shape] = {}


class Failures(NamedTuple):
    """How a protocol wants refusals: in a shape of its own, and for some statuses without a body."""

    shape: Shape
    silent: tuple[int, ...] = ()


@dataclass(frozen=True)
class Operation:
    """All that a view takes and answers.

    `body` is what its request carries in these `kinds`, or may carry; `also` is what it may carry in other kinds.
    `refuses` are the errors of its use case, `codes` further refusals by status; those at the door are known.
    `is_repeatable` views heed `Idempotency-Key`. `examples` are by the word in the address where a view has several,
    else under the empty one.
    """

    answers: Mapping[int, Answer]
    examples: Mapping[str, Example]
    body: Shape = None
    is_body_needed: bool = True
    kinds: tuple[str, ...] = (JSON,)
    also: Mapping[str, Shape] = field(default_factory=dict)
    refuses: tuple[type[BespokeError], ...] = ()
    codes: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    failures: Failures | None = None
    path: Mapping[str, Parameter] = field(default_factory=dict)
    query: Mapping[str, Parameter] = field(default_factory=dict)
    headers: Mapping[str, Parameter] = field(default_factory=dict)
    is_repeatable: bool = False


def describes(
    *, answers: Mapping[int, Any], example: Example | None = None, examples: Mapping[str, Example] | None = None,
    **more: Any,
) -> Callable[[View], View]:
    """Say what a view takes and answers: `more` are the fields of `Operation`; its docstring is the summary.

    An answer is an `Answer`, or the shape of one in JSON.
    """
    full = {status: one if isinstance(one, Answer) else Answer(one) for status, one in answers.items()}
    operation = Operation(full, examples or {"": example or Example()}, **more)

    def mark(view: View) -> View:
        setattr(view, _OPERATION, operation)
        return view

    return mark


def operation_of(view: Callable[..., Any]) -> Operation | None:
    """What a view says of itself; None where it says nothing."""
    found = getattr(view, _OPERATION, None)
    assert found is None or isinstance(found, Operation)
    return found
