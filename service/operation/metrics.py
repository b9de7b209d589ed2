"""Figures for Prometheus: what this server does, and whether somebody is needed."""

from flask import Blueprint
from flask import Response
from prometheus_client import CollectorRegistry
from prometheus_client import ProcessCollector
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from service.auth import requires
from service.current import current_installation
from service.operation.measurements import Measurements
from service.reference.operations import Answer
from service.reference.operations import Example
from service.reference.operations import TEXT
from service.reference.operations import describes

bp = Blueprint("metrics", __name__)


@bp.get("/metrics")
@requires("report")
@describes(answers={200: Answer(TEXT, kind=CONTENT_TYPE_PLAIN_0_0_4)}, example=Example(path={}))
def metrics() -> Response:
    """Counts since the server began, ages, sizes and alarms, in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(Measurements(current_installation()))
    ProcessCollector(registry=registry)
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)
