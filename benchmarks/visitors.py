"""What do many exposed visitors cost: the look-up in an evaluation, and the report?

A campaign is filled by the way that events come in, and stands beside one with 10,000 visitors.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from http.client import HTTPConnection
from statistics import median

from benchmarks import costs
from benchmarks.crowd import Crowd
from benchmarks.growth import Growing
from benchmarks.growth import sizes
from benchmarks.mailing import KEY
from benchmarks.mailing import document
from benchmarks.rounds import alternate
from benchmarks.rows import Bound
from benchmarks.rows import Curve
from benchmarks.rows import MICROSECONDS
from benchmarks.rows import MILLISECONDS
from benchmarks.rows import Row
from benchmarks.site import Site
from benchmarks.site import site
from benchmarks.size import Size
from service.installation import Installation
from service.people.links import report_link

_SMALL = 10_000
_REQUESTS = 5

#: What an evaluation costs of a visitor who was exposed, by whether this process has met the visitor.
LOOK_UPS = {"evaluate": costs.of_first_evaluation, "evaluate again": costs.of_evaluation}


def measure(size: Size) -> Iterator[Row | Curve]:
    """The curve while the campaign fills, then the two campaigns side by side."""
    few = min(_SMALL, size.exposed // 10)
    with ExitStack() as stack:
        sites = {name: stack.enter_context(site(document())) for name in ("many", "few")}
        with sites["many"].opened() as many, sites["few"].opened() as other:
            crowd, small = Crowd(many, most=size.exposed), Crowd(other, most=few)
            small.grow(few)
            yield from _filled(many, crowd, few // 10, size.exposed)
            for what, cost in LOOK_UPS.items():
                works = {"many": lambda _: cost(many, crowd.met), "few": lambda _: cost(other, small.met)}
                found = alternate(what, works, size.rounds)
                against, bounds = f"the same, one of {few:,}", (Bound(1.3, is_most=True),)
                name = f"{what}, one of {size.exposed:,} exposed"
                yield Row(name, against, MICROSECONDS, found["many"], found["few"], bounds)
        yield from _reports(sites, size, few)


def _filled(installation: Installation, crowd: Crowd, first: int, last: int) -> Iterator[Curve]:
    growing = Growing("exposed visitors")
    for size in sizes(first, last):
        crowd.grow(size)
        growing.reach(size, installation, crowd.met)
    return growing.curves()


def _reports(sites: dict[str, Site], size: Size, few: int) -> Iterator[Row]:
    key = {name: {"Authorization": each.key("report")} for name, each in sites.items()}
    link = {name: _link(each) for name, each in sites.items()}
    with ExitStack() as stack:
        port = {name: stack.enter_context(each.serving()).port for name, each in sites.items()}
        asked = {
            "report, JSON": {
                name: partial(_answered, port[name], f"/v1/experiments/{KEY}/report", key[name]) for name in sites
            },
            "report, page": {name: partial(_answered, port[name], link[name], {}) for name in sites},
        }
        for what, works in asked.items():
            found = alternate(what, works, size.rounds)
            against, bounds = f"the same, {few:,} exposed", (Bound(1.5, is_most=True),)
            yield Row(f"{what}, {size.exposed:,} exposed", against, MILLISECONDS, found["many"], found["few"], bounds)


def _link(of: Site) -> str:
    with of.opened() as installation:
        tomorrow_ms = installation.clock.now_ms() + 86_400_000
        return report_link(KEY, address="", expires_ms=tomorrow_ms, keyring=installation.keyring)


def _answered(port: int, path: str, headers: dict[str, str], _: int) -> float:
    """Milliseconds until an answer is there, the middle one of some."""
    connection = HTTPConnection("127.0.0.1", port)
    times = []
    for _ in range(_REQUESTS):
        begun = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        times.append(time.perf_counter() - begun)
        assert answer.status == 200, answer.status
    connection.close()
    return 1000 * median(times)
