"""The report: exact where exact is possible, fair while traffic moves, silent about the few."""

from contextlib import closing
from decimal import Decimal

import numpy as np
import pytest
from scipy import stats as peer

from experiments import lifecycle
from experiments.audit import Deed
from experiments.figures import economics
from experiments.storage.cells import CellKey
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.storage.store import open_store
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.experiments.house import DAY
from tests.experiments.house import SECRETS
from tests.experiments.house import House
from tests.postgres import Databases


_TWO = [{"key": "c", "role": "mass"}, {"key": "t", "role": "mass"}]


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


def _count(
    house: House, key: str, arm: str, visitors: int, conversions: int, *, epoch: int = 1, segment: str = "everyone-else"
) -> None:
    """Put visitors and conversions into the counters, as so many events would."""
    cell = CellKey(key, epoch, house.now_ms // DAY, segment, arm, False, "signup")
    changes = {
        cell: (visitors, conversions, float(conversions)),
        cell._replace(metric="$exposures"): (visitors, visitors, float(visitors)),
        cell._replace(metric="$profit"): (visitors, 0, 0.0),
    }
    house.store.transact(lambda session: session.cells.add(changes))


def _row(report: dict, arm: str, *, table: str = "arms", segment: str | None = "everyone-else") -> dict:
    return next(row for row in report[table] if row["arm"] == arm and row["segment"] == segment)


def test_a_fixed_policy_gives_the_exact_beta_posteriors(house: House) -> None:
    key = house.start(tiny(arms=_TWO))
    _count(house, key, "c", 5734, 127)
    _count(house, key, "t", 5851, 174)
    report = house.report(key)
    for table, segment in (("arms", "everyone-else"), ("totals", None), ("naive", "everyone-else")):
        figures = _row(report, "t", table=table, segment=segment)["metrics"]["signup"]
        low, high = peer.beta(175, 5678).ppf([0.025, 0.975])
        assert figures["mean"] == pytest.approx(175 / 5853, abs=1e-12)
        assert (figures["low"], figures["high"]) == pytest.approx((low, high), abs=1e-10)
        # Both figures are quadratures of the exact posteriors, in statistics.md's table of reference values.
        assert figures["probability_best"] == pytest.approx(0.9948801703, abs=1e-8)
        assert figures["expected_loss"] == pytest.approx(4.820418e-6, abs=1e-11)
        assert (figures["visitors"], figures["sum"]) == (5851, 174)
        uplift = figures["uplift_over_mass"]
        assert (uplift["low"], uplift["high"]) == pytest.approx((0.0017979, 0.0134053), abs=1e-6)
        assert figures["uplift_over_control"] is None
    assert _row(report, "c")["metrics"]["signup"]["uplift_over_mass"] is None


def test_simpsons_example_names_the_arm_that_was_better_on_both_days(house: House) -> None:
    # Kohavi and Crook's figures: 2.02 against 2.30 %, then 1.00 against 1.20 %, pooled 1.68 against 1.20 %.
    key = house.start(tiny(arms=_TWO, policy={"kind": "fixed", "shares": {"c": 0.99, "t": 0.01}}))
    _count(house, key, "c", 990_000, 20_000)
    _count(house, key, "t", 10_000, 230)
    even = tiny(arms=_TWO, policy={"kind": "fixed", "max_step": 1.0})
    lifecycle.replace(house.store, key, even, deed=Deed("test", house.now_ms))
    house.now_ms += DAY
    _count(house, key, "c", 500_000, 5_000, epoch=2)
    _count(house, key, "t", 500_000, 6_000, epoch=2)
    report = house.report(key)
    assert report["epoch"] == 2
    corrected = {arm: _row(report, arm)["metrics"]["signup"]["mean"] for arm in ("c", "t")}
    pooled = {arm: _row(report, arm, table="naive")["metrics"]["signup"]["mean"] for arm in ("c", "t")}
    assert corrected["t"] > corrected["c"]
    assert pooled["t"] < pooled["c"]
    assert corrected["t"] == pytest.approx((0.023 + 0.012) / 2, abs=2e-4)
    assert _row(report, "t")["metrics"]["signup"]["uplift_over_mass"]["low"] > 0
    assert _row(report, "t")["metrics"]["signup"]["probability_best"] > 0.99


def test_simpsons_example_is_no_reason_to_give_up_the_better_letter(house: House) -> None:
    shoppers = {"key": "shoppers", "kind": "behavioral", "rule": {"shops": True}}
    tailored = [{"key": "c", "role": "mass"}, {"key": "t", "role": "tailored", "segments": ["shoppers"]}]
    document = tiny(arms=tailored, attributes={"shops": "boolean"}, segments=[shoppers])
    key = house.start({**document, "policy": {"kind": "fixed", "shares": {"c": 0.99, "t": 0.01}}})
    _count(house, key, "c", 990_000, 20_000, segment="shoppers")
    _count(house, key, "t", 10_000, 230, segment="shoppers")
    even = {**document, "policy": {"kind": "fixed", "max_step": 1.0}}
    lifecycle.replace(house.store, key, even, deed=Deed("test", house.now_ms))
    house.now_ms += DAY
    _count(house, key, "c", 500_000, 5_000, epoch=2, segment="shoppers")
    _count(house, key, "t", 500_000, 6_000, epoch=2, segment="shoppers")
    house.now_ms += 20 * DAY
    [called] = [row for row in house.report(key)["verdict"]["segments"] if row["segment"] == "shoppers"]
    assert (called["call"], called["arm"], called["against"]) == ("tailor", "t", "c")


def test_economics_are_those_of_the_contracts_example() -> None:
    figures = economics(
        cost=Decimal("0.02") * 5402, value=Decimal(40 * 88), conversions=88, visitors=5310, exposures=5402
    )
    assert figures["cost"] == pytest.approx(108.04)
    assert figures["profit_per_visitor"] == pytest.approx(0.6426, abs=5e-5)
    assert figures["cost_per_conversion"] == pytest.approx(1.23, abs=5e-3)
    assert figures["roi"] == pytest.approx(31.58, abs=5e-3)
    assert figures["frequency"] == pytest.approx(1.017, abs=5e-4)


def test_rows_of_few_visitors_are_hidden_and_never_to_be_had_by_subtraction(house: House) -> None:
    key = house.start(spring_mailing(control_share=0))
    house.record(*(house.exposure(key, f"w{index}", womens=True) for index in range(9)))
    house.record(*(house.exposure(key, f"e{index}") for index in range(40)))
    report = house.report(key, min_cell=10)
    hidden = {(row["segment"], row["arm"]) for row in report["arms"] if row["suppressed"]}
    assert ("womens-shoppers", "one-letter") in hidden
    assert ("everyone-else", "one-letter") in hidden
    row = _row(report, "one-letter", segment="womens-shoppers")
    assert row["visitors"] is None and row["metrics"]["purchase"]["mean"] is None
    assert row["economics"]["cost"] is None
    assert _row(report, "one-letter", table="totals", segment=None)["visitors"] > 40


def test_a_report_before_anybody_came_is_whole(house: House) -> None:
    key = house.start(spring_mailing())
    report = house.report(key, min_cell=10)
    assert report["verdict"]["headline"] == "Nobody has been exposed yet."
    assert report["diagnostics"]["matured_share"] is None
    assert {row["segment"] for row in report["verdict"]["segments"]} == {"womens-shoppers", "everyone-else"}


def test_cells_are_read_in_the_order_of_their_keys_however_the_database_goes_through_them(postgres: Databases) -> None:
    with closing(open_store(postgres.fresh(), fingerprint=SECRETS.fingerprint)) as store:
        house = House(store)
        key, contexts = house.start(tiny(arms=_TWO)), [f'{{"zone":{number}}}' for number in range(10, 50)]
        day = house.now_ms // DAY
        cells = [CellKey(key, 1, day, "everyone-else", arm, False, "signup", each) for arm in "ct" for each in contexts]
        shuffled = {cells[place]: (1, 1, 1.0) for place in np.random.default_rng(7).permutation(len(cells))}
        store.transact(lambda session: session.cells.add(shuffled))
        store.transact(_as_many_writers_leave_them)
        found = store.read(lambda session: session.cells.columns(key))["signup"]
        assert list(zip(found.arm, found.context, strict=True)) == [(cell.arm, cell.context) for cell in cells]
        assert [row.key for row in store.read(lambda session: session.cells.of(key))] == cells


def _as_many_writers_leave_them(session: Session) -> None:
    """Let cells be in so many lanes that PostgreSQL adds them up by hashing, in the order of its hashes."""
    columns = "experiment, epoch, day, segment, arm, asserted, metric, context, n, sum, sum2"
    session.connection.execute(
        f"INSERT INTO cells_by_lane (lane, {columns})"
        f" SELECT 1000 + number, {columns} FROM cells_by_lane, generate_series(1, 40) AS number"
    )
    session.connection.execute("ANALYZE cells_by_lane")


def test_a_draft_has_a_report_without_an_epoch(house: House) -> None:
    lifecycle.create(house.store, tiny(), deed=Deed("test", house.now_ms))
    assert house.report("tiny")["epoch"] is None


def test_a_clear_difference_is_called_and_the_rest_gets_the_mass_message(house: House) -> None:
    document = spring_mailing(control_share=0)
    key = house.start(document)
    for arm, conversions in (("one-letter", 100), ("womens-letter", 300)):
        cell = CellKey(key, 1, house.now_ms // DAY, "womens-shoppers", arm, False, "purchase")
        house.store.transact(
            lambda session, cell=cell, n=conversions: session.cells.add({
                cell: (5000, n, float(n)),
                cell._replace(metric="$exposures"): (5000, 5000, 5000.0),
            })
        )
    verdict = house.report(key)["verdict"]
    by_segment = {row["segment"]: row for row in verdict["segments"]}
    assert by_segment["womens-shoppers"]["call"] == "tailor"
    assert by_segment["womens-shoppers"]["arm"] == "womens-letter"
    assert by_segment["womens-shoppers"]["gain"]["mean"] == pytest.approx(0.04, abs=0.001)
    assert by_segment["everyone-else"]["call"] == "mass"
    assert verdict["headline"] == "Tailor for womens-shoppers; send everyone else the one letter."
    assert verdict["tailoring"]["probability"] > 0.999


def test_a_lost_share_of_one_arm_alarms(house: House) -> None:
    key = house.start(tiny(arms=_TWO))
    _count(house, key, "c", 100_000, 5_000)
    _count(house, key, "t", 98_000, 4_900)
    assert house.report(key)["diagnostics"]["sample_ratio"]["alarm"] is True


def test_where_no_message_earns_its_cost_the_verdict_is_to_send_nothing(house: House) -> None:
    document = tiny(objective="profit", control_share=0.5)
    document["arms"][1]["cost_per_exposure"] = 1
    document["metrics"][0]["value"] = 10
    key = house.start(document)
    for arm, conversions, profit in (("nothing", 500, 5000), ("everyone", 505, 5050 - 10_000)):
        cell = CellKey(key, 1, house.now_ms // DAY, "everyone-else", arm, False, "signup")
        # Profit in ten-thousandths of a cent: a conversion earns 10, an exposure costs 1.
        unit, cost = 10**6, 0 if arm == "nothing" else 1
        squares = (conversions * (10 - cost) ** 2 + (10_000 - conversions) * cost**2) * float(unit) ** 2
        changes = {
            cell: (10_000, conversions, float(conversions)),
            cell._replace(metric="$exposures"): (10_000, 10_000, 10_000.0),
            cell._replace(metric="$profit"): (10_000, profit * unit, squares),
        }
        house.store.transact(lambda session, changes=changes: session.cells.add(changes))
    verdict = house.report(key)["verdict"]
    assert [row["call"] for row in verdict["segments"]] == ["none"]
    assert verdict["headline"] == "No message earns more than it costs: send nothing."


def test_the_chance_to_repay_a_dearer_creative_is_told_for_the_planned_audience(house: House) -> None:
    key = house.start(spring_mailing(control_share=0, audience=64_000))
    for arm, conversions in (("one-letter", 100), ("womens-letter", 130)):
        cell = CellKey(key, 1, house.now_ms // DAY, "womens-shoppers", arm, False, "purchase")
        profit = conversions * 40 - 5000 * 0.02
        unit = 10**6
        changes = {
            cell: (5000, conversions, float(conversions)),
            cell._replace(metric="$exposures"): (5000, 5000, 5000.0),
            cell._replace(metric="$profit"): (5000, round(profit * unit), conversions * (40.0 * unit) ** 2),
        }
        house.store.transact(lambda session, changes=changes: session.cells.add(changes))
    row = _row(house.report(key), "womens-letter", table="totals", segment=None)
    # Beta(131, 4871) against Beta(101, 4901): 40 EUR x the difference of rates must exceed 250 EUR / 64,000.
    rates = [peer.beta(1 + n, 5001 - n) for n in (130, 100)]
    draws = 40 * (rates[0].rvs(400_000, random_state=1) - rates[1].rvs(400_000, random_state=2))
    # Four Monte Carlo errors, and the Normal stands for the difference of two Betas.
    assert row["break_even_probability"] == pytest.approx((draws > 250 / 64_000).mean(), abs=0.006)
    assert _row(house.report(key), "one-letter", table="totals", segment=None)["break_even_probability"] is None


def test_a_posterior_is_told_by_what_its_mean_and_interval_are_computed_from(house: House) -> None:
    spend = {"key": "spend", "event": "Bought", "kind": "value", "property": "revenue", "role": "secondary", "cap": 500}
    document = tiny(arms=_TWO)
    document["metrics"].append(spend)
    key = house.start(document)
    _count(house, key, "c", 5734, 127)
    _count(house, key, "t", 5851, 174)
    metrics = _row(house.report(key), "t")["metrics"]
    assert metrics["signup"]["posterior"] == {"kind": "beta", "alpha": 175, "beta": 5678}
    posterior = metrics["spend"]["posterior"]
    low, high = peer.norm(posterior["mean"], posterior["sd"]).ppf([0.025, 0.975])
    assert posterior["kind"] == "normal"
    assert (metrics["spend"]["low"], metrics["spend"]["high"]) == pytest.approx((low, high))


def test_a_hidden_row_has_no_posterior_and_its_segment_no_savings(house: House) -> None:
    key = house.start(tiny(arms=_TWO))
    _count(house, key, "c", 5734, 127)
    _count(house, key, "t", 9, 2)
    report = house.report(key, min_cell=10)
    assert _row(report, "t")["metrics"]["signup"]["posterior"] is None
    assert report["savings"] == {"total": None, "days": [], "segments": []}
    assert house.report(key)["savings"]["segments"] == ["everyone-else", "no-personalisation"]


def test_savings_end_with_their_total_and_name_their_days(house: House) -> None:
    document = tiny(arms=_TWO, policy={"kind": "fixed", "shares": {"c": 0.2, "t": 0.8}})
    key = house.start(document)
    _count(house, key, "c", 2_000, 200)
    _count(house, key, "t", 8_000, 1_600)
    house.now_ms += DAY
    _count(house, key, "c", 2_000, 200)
    _count(house, key, "t", 8_000, 1_600)
    savings = house.report(key, min_cell=10)["savings"]
    assert [day["day"] for day in savings["days"]] == ["2024-10-04", "2024-10-05"]
    assert {name: savings["days"][-1][name] for name in ("mean", "low", "high")} == savings["total"]
    # Of 20,000 visitors, 30 % more than half saw the arm that converts by a tenth more of them.
    assert savings["total"]["mean"] == pytest.approx(600, rel=0.02)


def test_what_tailoring_gains_is_told_over_the_planned_audience_too(house: House) -> None:
    document = spring_mailing(control_share=0)
    key = house.start(document)
    for arm, conversions in (("one-letter", 100), ("womens-letter", 300)):
        cell = CellKey(key, 1, house.now_ms // DAY, "womens-shoppers", arm, False, "purchase")
        house.store.transact(
            lambda session, cell=cell, n=conversions: session.cells.add({
                cell: (5000, n, float(n)),
                cell._replace(metric="$exposures"): (5000, 5000, 5000.0),
            })
        )
    report = house.report(key)
    tailoring = report["verdict"]["tailoring"]
    assert report["audience"] == document["audience"] == 64_000
    assert tailoring["gain_over_audience"] == {
        name: pytest.approx(64_000 * figure) for name, figure in tailoring["gain_per_visitor"].items()
    }
