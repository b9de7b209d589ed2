"""Measure, side by side with the peers, and print one table.

    python -m benchmarks                  everything, and docs/benchmarks.md anew
    python -m benchmarks evaluate events  some of it, printed only
"""

import argparse
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence

from benchmarks import decision
from benchmarks import evaluation
from benchmarks import events
from benchmarks import growth
from benchmarks import lists
from benchmarks import nodes
from benchmarks import serving
from benchmarks import shards
from benchmarks import visitors
from benchmarks.machine import facts
from benchmarks.page import PAGE
from benchmarks.page import printed
from benchmarks.page import rewritten
from benchmarks.rounds import say
from benchmarks.rows import Curve
from benchmarks.rows import Row
from benchmarks.size import FULL
from benchmarks.size import TRIAL
from benchmarks.size import USUAL
from benchmarks.size import Size

QUESTIONS: Mapping[str, Callable[[Size], Iterable[Row | Curve]]] = {
    "evaluate": evaluation.measure,
    "decide": decision.measure,
    "lists": lists.measure,
    "events": events.measure,
    "visitors": visitors.measure,
    "nodes": nodes.measure,
    "shards": shards.measure,
    "serve": serving.measure,
    "growth": growth.measure,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print where this is measured, then what; write the page if everything is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", nargs="*", metavar="NAME", help=f"some of: {', '.join(QUESTIONS)}")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--full", action="store_const", dest="size", const=FULL, help="10 million visitors, more rounds")
    sizes.add_argument("--trial", action="store_const", dest="size", const=TRIAL, help="whether it works, in no time")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.questions if name not in QUESTIONS]:
        parser.error(f"{unknown[0]!r} is none of {', '.join(QUESTIONS)}")
    found: list[Row | Curve] = []
    try:
        for name in options.questions or QUESTIONS:
            found.extend(QUESTIONS[name](options.size or USUAL))
    finally:
        # Minutes of measuring are not lost by what comes after them.
        say("")
        print(printed(found))
    if not options.questions and options.size is not TRIAL:
        PAGE.write_text(rewritten(PAGE.read_text(), found, facts=facts()))


if __name__ == "__main__":
    main()
