"""What an exposure event exposed its visitor to: by its token, or by the sender's word, held against the draw. Pure."""

from collections.abc import Collection
from typing import NamedTuple

from experiments.assignment import Plan
from experiments.errors import InvalidContext
from experiments.errors import InvalidSignature
from experiments.errors import RejectedEvent
from experiments.errors import shown
from experiments.events import ExposureEvent
from experiments.lost_epochs import is_lost
from experiments.model import EVERYONE_ELSE
from experiments.model import Experiment
from experiments.model import NO_PERSONALISATION
from experiments.model import State
from experiments.rules.attributes import declared_attributes
from experiments.signing import Succession
from experiments.tokens import read


class Exposed(NamedTuple):
    """An arm and how it was given; `asserted` where the sender named another arm than the draw gives.

    The `context` is what is stored of the visitor, None where that is nothing.
    """

    arm: str
    segment: str
    epoch: int
    weight: int
    asserted: bool
    context: str | None


def exposed_to(
    event: ExposureEvent,
    plan: Plan | None,
    *,
    experiment: Experiment,
    state: State,
    trusted: bool,
    token_key: Succession,
    restored_at: Collection[int],
) -> Exposed:
    """Read an exposure against the experiment, and its plan in the epoch that the event names: None if there is none.

    :raises RejectedEvent: if the token is not good; or there is none, and the sender may not do without or names no
        arm. Never because of which arm it names, which would take visitors out of one arm and not of another.
    """
    if event.token is not None:
        return _by_token(event, event.token, key=token_key, restored_at=restored_at)
    if not trusted and (event.epoch is None or not experiment.local_evaluation):
        rule = "needs properties.token, or with local_evaluation the epoch, as in key@3"
        raise RejectedEvent("token_required", f"an exposure from a client key {rule}")
    if plan is None:
        raise RejectedEvent("unknown_epoch", f"properties.experiment_id: {event.experiment} had no epoch {event.epoch}")
    return _by_word(event, plan, experiment=experiment, state=state)


def _by_token(event: ExposureEvent, token: str, *, key: Succession, restored_at: Collection[int]) -> Exposed:
    try:
        claim = read(token, event.visitor, key=key)
    except InvalidSignature as error:
        raise RejectedEvent("invalid_token", f"properties.token: {error} for this visitor") from error
    if claim.experiment != event.experiment:
        raise RejectedEvent("invalid_token", f"properties.token is of experiment {shown(claim.experiment)}")
    if claim.expires_ms <= event.received_ms:
        raise RejectedEvent("token_expired", "properties.token has expired")
    if is_lost(claim.epoch, restored_at):
        raise RejectedEvent("unknown_epoch", f"properties.token is of epoch {claim.epoch}, which a restore has lost")
    return Exposed(claim.arm, claim.segment, claim.epoch, claim.weight, False, claim.context)


def _by_word(event: ExposureEvent, plan: Plan, *, experiment: Experiment, state: State) -> Exposed:
    arm = event.variation
    if arm is None or arm not in experiment.arm_by_key:
        raise RejectedEvent("unknown_arm", f"properties.variation_id: {shown(arm)} is no arm of {event.experiment}")
    if state != "running":
        raise RejectedEvent("not_running", f"{event.experiment} is {state}: new exposures need a token from before")
    segment, context = _segment_and_context(event, plan)
    drawn = plan.draw(event.visitor, segment, context)
    if drawn.arm == arm:
        return Exposed(arm, segment, drawn.epoch, drawn.weight, False, context)
    weight = plan.allocation.of(segment, context).get(arm, 0)
    return Exposed(arm, segment, drawn.epoch, weight, True, context)


def _segment_and_context(event: ExposureEvent, plan: Plan) -> tuple[str, str | None]:
    if event.consent == "measure":
        return NO_PERSONALISATION, None
    # Who says nothing of attributes does not know them; a local evaluation knew that there are none.
    if not event.traits and event.epoch is None:
        return EVERYONE_ELSE, None
    try:
        attributes = declared_attributes(plan.experiment, event.traits)
        return plan.segment_of(attributes), plan.contexts.of(attributes)
    except InvalidContext as error:
        raise RejectedEvent("invalid_traits", f"context.traits: {error}") from error
