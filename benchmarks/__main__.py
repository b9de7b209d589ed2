"""Measure, and print a table: `python -m benchmarks`."""

from benchmarks import one_server
from benchmarks.machine import facts


def main() -> None:
    """Print where this is measured, then what."""
    for name, value in facts().items():
        print(f"{name:<12}{value}")
    print()
    for row in one_server.measure():
        print(f"{row.what:<44}{row.per_second:>12,.0f} /s{row.median_ms:>10.1f} ms{row.slowest_ms:>10.1f} ms")
    print(f"{'':<44}{'':>15}{'median':>13}{'p99':>13}")


if __name__ == "__main__":
    main()
