"""The shape of events, as Segment's HTTP tracking API has it; of what is sent beyond it nothing is read."""

from typing import Annotated
from typing import Any
from typing import Literal
from typing import TypedDict

from msgspec import Meta

LONGEST_ID = 512
LONGEST_NAME = 200

Id = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID, pattern=r"^[^\x00-\x1f]*$")]
Name = Annotated[str, Meta(max_length=LONGEST_NAME)]


class Call(TypedDict, total=False):
    """What a visitor did; a visitor has a `userId`, or else an `anonymousId`."""

    userId: Annotated[Id | None, Meta(description="the visitor")]
    anonymousId: Annotated[Id | None, Meta(description="the visitor, where there is no `userId`")]
    event: Annotated[Name | None, Meta(description="for track: its name; `Experiment Viewed` is an exposure")]
    messageId: Annotated[Id | None, Meta(description="makes it countable once; of a visitor")]
    timestamp: Annotated[str | None, Meta(description="when, in ISO 8601; on receipt without one")]
    sentAt: Annotated[str | None, Meta(description="when it was sent by the client's clock, which corrects the other")]
    properties: Annotated[
        dict[str, Any] | None,
        Meta(description="amounts by name; of an exposure `experiment_id` and `token`, or `variation_id`"),
    ]
    traits: Annotated[dict[str, Any] | None, Meta(description="of identify; nothing is read of them")]
    name: Annotated[str | None, Meta(description="of page; nothing is read of it")]
    context: Annotated[dict[str, Any] | None, Meta(description="`consent`, and `traits` of exposures without token")]


class Item(Call, total=False):
    """A call of a batch."""

    type: Annotated[Literal["track", "page", "screen", "identify", "group", "alias"], Meta(description="which call")]


class _Sent(TypedDict, total=False):
    sentAt: Annotated[str | None, Meta(description="when it was sent by the client's clock")]


class Batch(_Sent):
    """Calls that are answered one by one."""

    batch: list[Item]
