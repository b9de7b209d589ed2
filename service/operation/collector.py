"""The collector of garbage, for processes that take events in large batches."""

import gc


def spare_the_collector() -> None:
    """Let the search for garbage pass over what start-up has made, and come after a large batch, not amid it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
