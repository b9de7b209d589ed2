"""Addresses: where a server listens, and whether it may."""

import socket
from typing import NamedTuple

from experiments.errors import BespokeError

_EVERY_INTERFACE = ("0.0.0.0", "::")


class AddressTaken(BespokeError):
    """The address to serve at cannot be had."""

    code = "address_taken"


class Address(NamedTuple):
    """An interface, by name or number, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        # Every interface is no place that a browser could go to.
        host = "localhost" if self.host in _EVERY_INTERFACE else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def free_address(host: str, port: int) -> Address:
    """The number of an interface by name, and a port on it that is free: for port 0 any one.

    :raises AddressTaken: if there is no such interface, or the port is not free there.
    """
    # Granian shares its port with any other of the same user: it must be asked for as one that does not share.
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(place)
            return Address(*trial.getsockname()[:2])
    except OSError as error:
        raise AddressTaken(f"cannot serve at {host}:{port}: {error.strerror}") from error
