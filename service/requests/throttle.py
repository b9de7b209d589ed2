"""Rates of client keys: each has a bucket for each address that it is used from (RateLimit header fields, draft 11)."""

from collections.abc import Callable
from collections.abc import Iterable
from ipaddress import IPv6Address
from ipaddress import IPv6Network
from typing import Any

from flask import Flask
from flask import Response
from flask import g
from flask import request
from werkzeug.middleware.proxy_fix import ProxyFix

from experiments.storage.configuration import KeyRow
from service.current import current_installation
from service.errors import Refused
from service.installation import Installation
from service.requests.rates import Rate
from service.requests.rates import Standing

_POLICY = '"client"'
_LONGEST_ADDRESS = 45
_NOT_YET = object()
#: Where a request's environment holds what became of its charge.
STANDING = "bespoke.standing"
#: What a request may be refused for, by status.
REFUSALS = {429: ("too_many_requests",)}


def behind_proxies(application: Callable[..., Iterable[bytes]], number: int) -> Callable[..., Iterable[bytes]]:
    """The application, seeing the addresses that this many proxies before it tell; nobody else is believed."""
    return ProxyFix(application, x_for=number, x_proto=0, x_host=0) if number else application


def network_of(address: str) -> str:
    """Who shares a bucket: an IPv4 address, and of IPv6 the 64 bits that one customer has to himself."""
    try:
        # Every request comes here, and most addresses are IPv4 and need no reading.
        found = IPv6Address(address) if ":" in address else None
    except ValueError:
        found = None
    if found is None:
        return address[:_LONGEST_ADDRESS]
    return str(found.ipv4_mapped or IPv6Network((found, 64), strict=False))


def rate_headers(rate: Rate, standing: Standing) -> dict[str, str]:
    """The header fields that tell a client where it stands, and when to come back if it was sent away."""
    headers = {
        "RateLimit-Policy": f"{_POLICY};q={rate.requests};w={rate.seconds}",
        "RateLimit": f"{_POLICY};r={standing.left};t={standing.seconds}",
    }
    return headers if standing.passes else {**headers, "Retry-After": str(standing.seconds)}


def init_app(app: Flask) -> None:
    """Count the requests of client keys, and refuse those that come too fast."""
    app.before_request(_charge)
    app.after_request(_tell)


def charge(installation: Installation, key: KeyRow, address: str) -> Standing | None:
    """Take a request with this key from this address out of its bucket; None where it has none."""
    if installation.buckets is None or key.scope != "client":
        return None
    return installation.buckets.take((key.prefix, network_of(address)), now_ms=installation.clock.now_ms())


def _charge() -> None:
    installation = current_installation()
    key: KeyRow | None = g.get("key")
    if key is None:
        return
    # A request that took the express lane for a part of its way has been charged there.
    charged = request.environ.get(STANDING, _NOT_YET)
    g.standing = charge(installation, key, request.remote_addr or "") if charged is _NOT_YET else charged
    if g.standing is not None and not g.standing.passes:
        assert installation.buckets is not None, "a bucket was asked"
        rate = installation.buckets.rate
        limit = f"{rate.requests} requests in {rate.seconds} s"
        raise Refused(429, "too_many_requests", f"more than {limit} with this key from this address")


def _tell(response: Response) -> Response:
    standing: Any = g.get("standing")
    buckets = current_installation().buckets
    if standing is not None and buckets is not None:
        response.headers.update(rate_headers(buckets.rate, standing))
    return response
