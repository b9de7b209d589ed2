"""The table of the benchmarks, and the page that is written of it."""

import pytest

from benchmarks.page import PAGE
from benchmarks.page import printed
from benchmarks.page import rewritten
from benchmarks.rows import MILLISECONDS
from benchmarks.rows import PER_SECOND
from benchmarks.rows import Bound
from benchmarks.rows import Curve
from benchmarks.rows import Row
from benchmarks.rows import Sample

FAST = Row("decide", "a peer", PER_SECOND, Sample((90, 100, 800)), Sample((9, 8, 10)), (Bound(10),))
LATE = Row("p99", "a limit", MILLISECONDS, Sample((4.0,)), Sample((1.0,)), (Bound(3, is_most=True),))
ALONE = Row("serve", "", MILLISECONDS, Sample((1.0,)), None, (Bound(2, is_most=True, of_ratio=False),))
ABSENT = Row("evaluate", "nginx: not available here", PER_SECOND, Sample((5,)), None, (Bound(0.45),))
CURVE = Curve("one evaluation", "segments", {1: 10.0, 10: 100.0, 100: 1000.0}, 1.5)


def test_a_row_shows_medians_spreads_and_the_median_of_the_rounds_ratios():
    what, against, ours, theirs, ratio, target, met = FAST.cells()
    assert (what, against, target, met) == ("decide", "a peer", "at least 10.00", "yes")
    assert ours == "100/s (90/s to 800/s)"
    assert theirs == "9/s (8/s to 10/s)"
    assert ratio == "12.50 (10.00 to 80.00)"


def test_a_target_that_is_missed_says_so():
    assert LATE.cells()[-2:] == ("at most 3.00", "no")


def test_our_own_figure_has_targets_without_a_peer():
    assert ALONE.cells() == ("serve", "", "1.00 ms", "", "", "at most 2.00 ms", "yes")


def test_without_its_peer_nobody_can_tell_whether_a_target_is_met():
    assert ABSENT.met is None
    assert ABSENT.cells()[1:] == ("nginx: not available here", "5/s", "", "", "at least 0.45", "")


@pytest.mark.parametrize(("bound", "value", "holds"), [
    (Bound(10), 10, True),
    (Bound(10), 9.9, False),
    (Bound(3, is_most=True), 3, True),
    (Bound(3, is_most=True), 3.1, False),
])
def test_a_bound_is_kept_on_its_own_side(bound, value, holds):
    assert bound.holds(value) is holds


def test_one_bound_of_several_that_is_missed_misses_the_target():
    both = FAST._replace(bounds=(Bound(10), Bound(1_000, of_ratio=False)))
    assert both.met is False
    assert both.cells()[-2] == "at least 10.00; at least 1,000/s"


def test_a_curve_tells_its_slope():
    assert CURVE.slope == pytest.approx(1)
    assert CURVE.cells()[-3:] == ("1.00", "at most 1.50", "yes")
    assert not CURVE._replace(steepest=0.5).met


def test_the_printed_table_is_in_columns():
    first, second, *_ = printed([FAST, LATE]).splitlines()
    assert first.index("against") == second.index("a peer")


def test_the_page_of_the_documentation_can_be_written_anew_and_again():
    text = PAGE.read_text()
    once = rewritten(text, [FAST, CURVE], facts={"processor": "one"})
    assert "| decide | a peer | 100/s (90/s to 800/s) |" in once
    assert "| one evaluation | segments |" in once
    assert "processor one" in once
    assert once.startswith(text[:text.index("<!-- figures")])
    assert rewritten(once, [FAST, CURVE], facts={"processor": "one"}) == once
    assert "decide" not in rewritten(once, [LATE], facts={}).partition("## Figures")[2]


def test_a_page_without_a_place_for_figures_is_refused():
    with pytest.raises(ValueError, match="figures"):
        rewritten("# Benchmarks\n", [FAST], facts={})
