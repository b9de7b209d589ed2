"""A report as the contract shapes it, for tests of everything that shows one."""

import copy
from collections.abc import Iterable
from typing import Any

from tests.hostile import CONTROLS
from tests.hostile import LINES

#: Some of each kind.
HOSTILE = (*LINES, *CONTROLS)[::25]


def sample_report() -> dict[str, Any]:
    """A campaign with a control, one letter for all and two tailored letters, some way along; always a fresh copy."""
    return copy.deepcopy(_SAMPLE)


def sample_allocations(epochs: int = 18) -> list[dict[str, Any]]:
    """The ledger's published rows of the same campaign: the tailored letters win traffic hour by hour."""
    return [_allocation(number, of=epochs) for number in range(1, epochs + 1)]


def thin_report() -> dict[str, Any]:
    """A campaign of which nobody has seen anything yet."""
    report = sample_report()
    report["verdict"]["headline"] = "Nobody has been exposed yet."
    report["verdict"]["tailoring"] = {"gain_per_visitor": None, "gain_over_audience": None, "probability": None}
    report["savings"] = {"total": None, "days": [], "segments": []}
    for segment in report["verdict"]["segments"]:
        segment.update(probability=None, gain=None, share_of_visitors=None)
        if segment["against"]:
            segment["call"] = "keep_testing"
    for table in ("arms", "naive", "totals"):
        report[table] = [suppressed(row) for row in report[table]]
    report["diagnostics"].update(matured_share=None, sample_ratio={"p_value": None, "alarm": False})
    return report


def single_segment_report() -> dict[str, Any]:
    """A campaign without segments: one message for all against nothing."""
    report = sample_report()
    keep = {"segment": "everyone-else", "call": "mass", "arm": "one-letter", "against": None, "probability": None,
            "gain": None, "share_of_visitors": 1.0}
    report["verdict"] = {
        "headline": "Send everyone the one letter: tailoring does not pay.",
        "segments": [keep],
        "tailoring": {"gain_per_visitor": None, "gain_over_audience": None, "probability": None},
    }
    report["savings"].update(total={"mean": 0.0, "low": 0.0, "high": 0.0}, days=[], segments=["everyone-else"])
    for table in ("arms", "naive"):
        report[table] = [row for row in report[table] if row["segment"] == "everyone-else"]
    report["totals"] = [row for row in report["totals"] if row["role"] != "tailored"]
    return report


def single_segment_allocations() -> list[dict[str, Any]]:
    """The allocations of the same campaign."""
    rows = sample_allocations(3)
    for row in rows:
        row["weights"] = {"everyone-else": row["weights"]["everyone-else"]}
    return rows


def unprofitable_report() -> dict[str, Any]:
    """A campaign whose messages cost more than they earn, so that sending nothing is best."""
    report = sample_report()
    report["objective"] = "profit"
    report["verdict"]["headline"] = "No message earns more than it costs: send nothing."
    for segment in report["verdict"]["segments"]:
        segment.update(call="none", gain={"mean": -0.31, "low": -0.52, "high": -0.1})
    report["verdict"]["tailoring"] = {
        "gain_per_visitor": {"mean": -0.12, "low": -0.22, "high": -0.02}, "probability": 0.01,
        "gain_over_audience": {"mean": -7680.0, "low": -14080.0, "high": -1280.0},
    }
    return report


def many_segments(count: int) -> dict[str, Any]:
    """A campaign of so many segments, each with a control, the one letter and a letter of its own."""
    report = sample_report()
    first, rows = report["verdict"]["segments"][0], report["arms"][:3]
    keys = [f"segment-{number}" for number in range(count)]
    report["verdict"]["segments"] = [first | {"segment": key, "share_of_visitors": 1 / count} for key in keys]
    report["arms"] = [row | {"segment": key} for key in keys for row in rows]
    return report | {"naive": report["arms"]}


def hostile_report(text: str) -> dict[str, Any]:
    """A campaign of which every text that a person chose is `text`, made unique where keys must differ."""
    report = sample_report()
    report.update(name=text, experiment=text)
    report["verdict"]["headline"] = text
    report["diagnostics"].update(intervals_valid=False, notes=[text])
    report["method"]["maturity"] = text
    for row in [*report["verdict"]["segments"], *report["arms"], *report["naive"], *report["totals"]]:
        row.update({field: f"{text} {row[field]}" for field in ("segment", "arm", "against") if row.get(field)})
    return report


def hostile_allocations(text: str) -> list[dict[str, Any]]:
    """The allocations of the same campaign."""
    rows = sample_allocations(3)
    for row in rows:
        row["weights"] = {
            f"{text} {segment}": {f"{text} {arm}": weight for arm, weight in arms.items()}
            for segment, arms in row["weights"].items()
        }
    return rows


def suppressed(row: dict[str, Any]) -> dict[str, Any]:
    """A row of too few visitors: who it is about, and nothing else."""
    shown = ("segment", "arm", "role", "weight")
    return {name: value if name in shown else _blank(value) for name, value in row.items()} | {"suppressed": True}


def _blank(value: Any) -> Any:
    if not isinstance(value, dict):
        return None
    return {name: None if name == "posterior" else _blank(inner) for name, inner in value.items()}


def _uplift(mean: float, low: float, high: float, probability: float) -> dict[str, float]:
    return {"mean": mean, "low": low, "high": high, "probability": probability}


def _posterior(mean: float, low: float, high: float) -> dict[str, Any]:
    """The Beta posterior with this mean that is about as wide."""
    total = mean * (1 - mean) / ((high - low) / 3.92) ** 2 - 1
    return {"kind": "beta", "alpha": mean * total, "beta": (1 - mean) * total}


def _saved(day: int) -> dict[str, Any]:
    low, mean, high = 0.1 * day**1.5 - 0.5, 0.4 * day**1.6, 0.8 * day**1.6
    return {"day": f"2026-11-{19 + day}", "mean": mean, "low": low, "high": high}


def _row(
    segment: str | None, arm: str, role: str, *, visitors: int, sales: int, weight: float, best: float | None,
    rate: tuple[float, float, float], over_mass: dict[str, float] | None, over_control: dict[str, float] | None,
) -> dict[str, Any]:
    cost = round(visitors * 0.0203, 2) if role != "control" else 0.0
    value, (mean, low, high) = 40.0 * sales, rate
    return {
        "segment": segment, "arm": arm, "role": role, "visitors": visitors, "exposures": round(visitors * 1.017),
        "weight": weight, "suppressed": False,
        "metrics": {"purchase": {
            "visitors": visitors, "sum": sales, "posterior": _posterior(mean, low, high),
            "mean": mean, "low": low, "high": high, "probability_best": best,
            "expected_loss": None if best is None else (1 - best) * 1e-4,
            "uplift_over_mass": over_mass, "uplift_over_control": over_control,
        }},
        "economics": {
            "cost": cost, "value": value, "profit_per_visitor": (value - cost) / visitors,
            "cost_per_conversion": cost / sales, "roi": (value - cost) / cost if cost else None,
            "reach": visitors, "frequency": 1.017,
        },
    }


def _total(row: dict[str, Any], *, fixed_cost: float, break_even: float | None) -> dict[str, Any]:
    spent = row["economics"]["cost"] + fixed_cost
    return row | {
        "fixed_cost": fixed_cost, "break_even_visitors": break_even,
        "roi_after_fixed": (row["economics"]["value"] - spent) / spent if spent else None,
    }


def _allocation(number: int, *, of: int) -> dict[str, Any]:
    progress = (number - 1) / max(1, of - 1)
    womens, mens = 0.45 + 0.37 * min(1, 1.6 * progress), 0.45 - 0.1 * progress
    minute = number * 40
    return {
        "number": number, "epoch": number, "kind": "published",
        "at": f"2026-12-{1 + minute // 1440:02}T{minute // 60 % 24:02}:{minute % 60:02}:00Z",
        "weights": {
            "womens-shoppers": {"nothing": 0.1, "one-letter": 0.9 - womens, "womens-letter": womens},
            "mens-shoppers": {"nothing": 0.1, "one-letter": 0.9 - mens, "mens-letter": mens},
            "everyone-else": {"nothing": 0.1, "one-letter": 0.9},
            "no-personalisation": {"nothing": 0.1, "one-letter": 0.9},
        },
    }


def _arms() -> Iterable[dict[str, Any]]:
    yield _row("womens-shoppers", "nothing", "control", visitors=1_204, sales=7, weight=0.1, best=None,
               rate=(0.006633, 0.002866, 0.011926), over_mass=_uplift(-0.006, -0.0101, -0.001, 0.01), over_control=None)
    yield _row("womens-shoppers", "one-letter", "mass", visitors=4_911, sales=61, weight=0.08, best=0.009,
               rate=(0.012619, 0.009692, 0.015929), over_mass=None, over_control=_uplift(0.006, 0.001, 0.0101, 0.99))
    yield _row("womens-shoppers", "womens-letter", "tailored", visitors=5_310, sales=88, weight=0.82, best=0.991,
               rate=(0.016755, 0.013479, 0.020375), over_mass=_uplift(0.0041, 0.0007, 0.0075, 0.991),
               over_control=_uplift(0.0101, 0.005, 0.0139, 1.0))
    yield _row("mens-shoppers", "nothing", "control", visitors=998, sales=6, weight=0.1, best=None,
               rate=(0.007, 0.002811, 0.013016), over_mass=_uplift(-0.0047, -0.0094, 0.0009, 0.05), over_control=None)
    yield _row("mens-shoppers", "one-letter", "mass", visitors=4_512, sales=52, weight=0.55, best=0.64,
               rate=(0.011741, 0.008826, 0.015063), over_mass=None, over_control=_uplift(0.0047, -0.0009, 0.0094, 0.95))
    yield _row("mens-shoppers", "mens-letter", "tailored", visitors=4_470, sales=49, weight=0.35, best=0.36,
               rate=(0.011181, 0.008318, 0.014455), over_mass=_uplift(-0.0006, -0.005, 0.0038, 0.36),
               over_control=_uplift(0.0042, -0.0014, 0.0088, 0.93))
    yield _row("everyone-else", "nothing", "control", visitors=640, sales=4, weight=0.1, best=None,
               rate=(0.007788, 0.002532, 0.015909), over_mass=_uplift(-0.0033, -0.0082, 0.0037, 0.15),
               over_control=None)
    yield _row("everyone-else", "one-letter", "mass", visitors=5_801, sales=63, weight=0.9, best=1.0,
               rate=(0.011029, 0.0085, 0.01388), over_mass=None, over_control=_uplift(0.0033, -0.0037, 0.0082, 0.85))
    yield suppressed(_row("no-personalisation", "nothing", "control", visitors=1, sales=1, weight=0.1, best=None,
                          rate=(0.5, 0.1, 0.9), over_mass=None, over_control=None))
    yield suppressed(_row("no-personalisation", "one-letter", "mass", visitors=6, sales=1, weight=0.9, best=1.0,
                          rate=(0.25, 0.03, 0.6), over_mass=None, over_control=None))


def _totals() -> Iterable[dict[str, Any]]:
    yield _total(_row(None, "nothing", "control", visitors=2_843, sales=17, weight=0.1, best=None,
                      rate=(0.00633, 0.003747, 0.009581), over_mass=_uplift(-0.0052, -0.0085, -0.0016, 0.01),
                      over_control=None), fixed_cost=0.0, break_even=None)
    yield _total(_row(None, "one-letter", "mass", visitors=15_230, sales=176, weight=0.49, best=1.0,
                      rate=(0.011621, 0.009989, 0.013375), over_mass=None,
                      over_control=_uplift(0.0052, 0.0016, 0.0085, 0.99)), fixed_cost=150.0, break_even=None)
    yield _total(_row(None, "womens-letter", "tailored", visitors=5_310, sales=88, weight=0.34, best=0.991,
                      rate=(0.016755, 0.013479, 0.020375), over_mass=_uplift(0.0041, 0.0007, 0.0075, 0.991),
                      over_control=_uplift(0.0101, 0.005, 0.0139, 1.0)), fixed_cost=400.0, break_even=1_524.4)
    yield _total(_row(None, "mens-letter", "tailored", visitors=4_470, sales=49, weight=0.12, best=0.36,
                      rate=(0.011181, 0.008318, 0.014455), over_mass=_uplift(-0.0006, -0.005, 0.0038, 0.36),
                      over_control=_uplift(0.0042, -0.0014, 0.0088, 0.93)), fixed_cost=400.0, break_even=None)


_SAMPLE: dict[str, Any] = {
    "experiment": "spring-mailing",
    "name": "Spring mailing: one letter for all, or one per taste?",
    "as_of": "2026-12-01T14:00:00Z",
    "state": "running",
    "epoch": 18,
    "objective": "conversion",
    "currency": "EUR",
    "audience": 64_000,
    "goal": {"key": "purchase", "kind": "conversion"},
    "verdict": {
        "headline": "Tailor for womens-shoppers; keep testing mens-shoppers; send everyone else the one letter.",
        "segments": [
            {"segment": "womens-shoppers", "call": "tailor", "arm": "womens-letter", "against": "one-letter",
             "probability": 0.991, "gain": {"mean": 0.0041, "low": 0.0007, "high": 0.0075},
             "share_of_visitors": 0.41},
            {"segment": "mens-shoppers", "call": "keep_testing", "arm": "mens-letter", "against": "one-letter",
             "probability": 0.36, "gain": {"mean": -0.0006, "low": -0.005, "high": 0.0038},
             "share_of_visitors": 0.36},
            {"segment": "everyone-else", "call": "mass", "arm": "one-letter", "against": None,
             "probability": None, "gain": None, "share_of_visitors": 0.23},
        ],
        "tailoring": {"gain_per_visitor": {"mean": 0.0017, "low": 0.0002, "high": 0.0032}, "probability": 0.98,
                      "gain_over_audience": {"mean": 108.8, "low": 12.8, "high": 204.8}},
    },
    "savings": {
        "total": {name: value for name, value in _saved(11).items() if name != "day"},
        "days": [_saved(day) for day in range(1, 12)],
        "segments": ["womens-shoppers", "mens-shoppers", "everyone-else"],
    },
    "arms": list(_arms()),
    "totals": list(_totals()),
    "naive": list(_arms()),
    "diagnostics": {
        "sample_ratio": {"p_value": 0.41, "alarm": False}, "matured_share": 0.93, "waiting": 4, "orphans": 12,
        "duplicates": 55, "rejected": 3, "asserted": 0, "complete": True, "lost_spools": [],
        "intervals_valid": True, "notes": [],
    },
    "method": {
        "interval": 0.95, "prior": "Beta(1, 1)", "maturity": "observed", "code": "0.1.0", "epochs": 18, "min_cell": 10,
        "policy": {"kind": "thompson", "every_seconds": 3600, "min_share": 0.05, "burn_in": 100,
                   "burn_in_conversions": 10},
    },
}
