"""Measure, and print a table: `python -m benchmarks`."""

from benchmarks import one_server
from benchmarks.machine import facts


def main() -> None:
    """Print where this is measured, then what."""
    for name, value in facts().items():
        print(f"{name:<12}{value}")
    print(f"\n{'one server, clients on the same machine':<44}{'a second':>12}{'median':>12}{'p99':>12}")
    for row in one_server.measure():
        print(f"{row.what:<44}{row.per_second:>12,.0f}{row.median_ms:>9.1f} ms{row.slowest_ms:>9.1f} ms")


if __name__ == "__main__":
    main()
