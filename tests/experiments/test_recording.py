"""Events: what is accepted is counted once, whatever the order; everything else is said."""

from pathlib import Path

import pytest

from experiments.storage.store import Store
from experiments.times import iso
from experiments.verification import verify
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.experiments.house import DAY
from tests.experiments.house import HOUR
from tests.experiments.house import House


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


@pytest.mark.every_database
def test_an_exposure_and_its_outcome_are_counted(house: House) -> None:
    key = house.start(tiny())
    receipts = house.record(house.exposure(key, "ann"), house.event("ann", "Signed Up"))
    assert [receipt.status for receipt in receipts] == ["accepted", "accepted"]
    assert house.total(key, "signup") == (1, 1)
    assert house.total(key, "$exposures") == (1, 1)


@pytest.mark.every_database
def test_a_conversion_counts_once_however_often_it_happens(house: House) -> None:
    key = house.start(tiny())
    house.record(house.exposure(key, "ann"), *(house.event("ann", "Signed Up") for _ in range(3)))
    assert house.total(key, "signup") == (1, 1)


@pytest.mark.every_database
def test_the_same_event_again_is_a_duplicate(house: House) -> None:
    key = house.start(tiny())
    exposure, outcome = house.exposure(key, "ann"), house.event("ann", "Signed Up")
    house.record(exposure, outcome)
    again = house.record(exposure, outcome)
    assert [receipt.status for receipt in again] == ["duplicate", "duplicate"]
    assert house.total(key, "$exposures") == (1, 1)
    assert house.report(key)["diagnostics"]["duplicates"] == 2


@pytest.mark.every_database
def test_a_repeat_is_a_duplicate_whatever_has_become_of_the_experiment_since(house: House) -> None:
    key = house.start(tiny())
    word = house.event("bob", "Experiment Viewed", experiment_id=key, variation_id="everyone")
    sent = [house.exposure(key, "ann"), house.event("ann", "Signed Up"), word]
    assert [receipt.status for receipt in house.record(*sent, trusted=True)] == ["accepted"] * 3
    # The word needs a running experiment, all of them one that is not archived, and the token ends.
    for act in ("pause", "stop", "archive"):
        house.act(key, act)
        house.now_ms += 40 * DAY
        assert [receipt.status for receipt in house.record(*sent, trusted=True)] == ["duplicate"] * 3
    changed = {**word, "properties": {**word["properties"], "variation_id": "nothing"}}
    assert house.record(changed, trusted=True)[0].code == "id_reused"
    assert house.total(key, "$exposures") == (2, 2)
    assert verify(house.store) == []


@pytest.mark.every_database
def test_what_was_never_stored_is_refused_again_and_again(house: House) -> None:
    key = house.start(tiny())
    word = house.event("ann", "Experiment Viewed", experiment_id=key, variation_id="everyone")
    assert [house.record(word)[0].code for _ in range(2)] == ["token_required"] * 2
    # A server's word is believed, and from then on it is known.
    assert [house.record(word, trusted=trusted)[0].status for trusted in (True, False)] == ["accepted", "duplicate"]


@pytest.mark.every_database
def test_an_id_with_another_body_is_refused_and_the_first_is_kept(house: House) -> None:
    key = house.start(spring_mailing())
    house.record(house.exposure(key, "ann"))
    house.record(house.event("ann", "Order Completed", id="order-1", revenue=10))
    [receipt] = house.record(house.event("ann", "Order Completed", id="order-1", revenue=99))
    assert (receipt.status, receipt.code) == ("rejected", "id_reused")
    assert house.total(key, "spend") == (1, 1000)


@pytest.mark.every_database
def test_two_visitors_may_use_the_same_id(house: House) -> None:
    key = house.start(tiny())
    house.record(house.exposure(key, "ann"), house.exposure(key, "bob"))
    receipts = house.record(*(house.event(visitor, "Signed Up", id="x") for visitor in ("ann", "bob")))
    assert [receipt.status for receipt in receipts] == ["accepted", "accepted"]
    assert house.total(key, "signup") == (2, 2)


@pytest.mark.every_database
def test_an_exposure_without_an_id_is_the_same_one_when_sent_again(house: House) -> None:
    key = house.start(tiny())
    exposure = {name: value for name, value in house.exposure(key, "ann").items() if name != "messageId"}
    assert [receipt.status for receipt in house.record(exposure, exposure)] == ["accepted", "duplicate"]


@pytest.mark.every_database
def test_an_outcome_without_an_id_is_accepted_and_marked(house: House) -> None:
    key = house.start(tiny())
    house.record(house.exposure(key, "ann"))
    outcome = {name: value for name, value in house.event("ann", "Signed Up").items() if name != "messageId"}
    receipts = house.record(outcome, outcome)
    assert [(receipt.status, receipt.deduplicated) for receipt in receipts] == [("accepted", False)] * 2


@pytest.mark.every_database
def test_an_outcome_waits_for_its_exposure(house: House) -> None:
    key = house.start(tiny())
    exposure = house.exposure(key, "ann", at=house.now_ms)
    [receipt] = house.record(house.event("ann", "Signed Up", at=house.now_ms))
    assert receipt.status == "accepted"
    assert house.report(key)["diagnostics"]["waiting"] == 1
    house.now_ms += DAY
    house.record(exposure)
    assert house.total(key, "signup") == (1, 1)
    assert house.report(key)["diagnostics"]["waiting"] == 0


@pytest.mark.every_database
def test_an_outcome_that_waited_a_whole_window_is_an_orphan(house: House) -> None:
    key = house.start(tiny())
    exposure = house.exposure(key, "ann", at=house.now_ms)
    house.record(house.event("ann", "Signed Up", at=house.now_ms))
    house.now_ms += 14 * DAY
    house.record(exposure)
    diagnostics = house.report(key)["diagnostics"]
    assert house.total(key, "signup") == (1, 0)
    assert (diagnostics["waiting"], diagnostics["orphans"]) == (0, 1)
    assert verify(house.store) == []


@pytest.mark.every_database
@pytest.mark.parametrize(
    ("offset", "status", "code"),
    [
        (-1000, "rejected", "before_exposure"),
        (0, "accepted", None),
        (14 * DAY - 1000, "accepted", None),
        (14 * DAY, "rejected", "after_window"),
    ],
)
def test_an_outcome_counts_from_the_exposure_to_before_the_window_ends(
    house: House, offset: int, status: str, code: str | None
) -> None:
    key = house.start(tiny())
    exposed_ms = house.now_ms
    house.record(house.exposure(key, "ann", at=exposed_ms))
    house.now_ms += 20 * DAY
    [receipt] = house.record(house.event("ann", "Signed Up", at=exposed_ms + offset))
    assert (receipt.status, receipt.code) == (status, code)
    assert house.total(key, "signup") == (1, int(status == "accepted"))
    assert verify(house.store) == []


@pytest.mark.every_database
def test_retention_counts_only_in_its_part_of_the_window(house: House) -> None:
    key = house.start(spring_mailing())
    exposed_ms = house.now_ms
    house.record(house.exposure(key, "ann", at=exposed_ms))
    house.now_ms += 70 * DAY
    for day in (1, 13, 14, 59, 60):
        house.record(house.event("ann", "Order Completed", at=exposed_ms + day * DAY, revenue=1))
    assert house.total(key, "came-back") == (1, 1)
    assert house.total(key, "purchase") == (1, 1)
    assert house.total(key, "spend") == (1, 200)


@pytest.mark.every_database
def test_counts_and_values_stop_at_their_caps(house: House) -> None:
    key = house.start(spring_mailing())
    house.record(house.exposure(key, "ann"))
    house.record(*(house.event("ann", "Page Viewed") for _ in range(130)))
    house.record(*(house.event("ann", "Order Completed", revenue=300) for _ in range(3)))
    assert house.total(key, "visits") == (1, 100)
    assert house.total(key, "spend") == (1, 50_000)
    assert verify(house.store) == []


@pytest.mark.every_database
def test_profit_is_value_less_the_cost_of_every_exposure(house: House) -> None:
    key = house.start(spring_mailing())
    # "ann" may fall on the control, which costs nothing: take somebody who gets a letter.
    visitor = next(name for name in map(str, range(100)) if house.evaluate(key, name).role == "mass")
    house.record(*(house.exposure(key, visitor) for _ in range(3)), house.event(visitor, "Order Completed"))
    assert house.total(key, "$profit") == (1, (4000 - 3 * 2) * 10_000)


@pytest.mark.every_database
def test_a_late_conversion_counts_for_the_arm_and_epoch_of_the_first_exposure(house: House) -> None:
    key = house.start(tiny(arms=[{"key": "a", "role": "mass"}, {"key": "b", "role": "mass"}],
                           policy={"kind": "thompson", "burn_in": 0, "burn_in_conversions": 0}))
    house.record(house.exposure(key, "late"))
    first = house.evaluate(key, "late").assignment
    for n in range(5):
        house.now_ms += HOUR
        visitors = [f"{n}-{index}" for index in range(40)]
        house.record(*(house.exposure(key, visitor) for visitor in visitors))
        house.record(*(house.event(v, "Signed Up") for v in visitors if house.evaluate(key, v).assignment.arm == "b"))
        house.reallocate(key)
    house.record(house.event("late", "Signed Up"))
    kept = house.evaluate(key, "late").assignment
    assert kept == first._replace(cause="sticky")
    rows = [row for row in house.cells(key) if row.key.metric == "signup" and row.key.epoch == first.epoch]
    assert sum(row.total for row in rows if row.key.arm == first.arm) >= 1
    assert verify(house.store) == []


@pytest.mark.every_database
def test_a_client_key_needs_a_token(house: House) -> None:
    key = house.start(tiny())
    viewed = house.event("ann", "Experiment Viewed", experiment_id=key, variation_id="everyone")
    assert house.record(viewed)[0].code == "token_required"
    assert house.total(key, "signup") == (0, 0)


@pytest.mark.every_database
def test_a_server_key_is_believed_and_a_wrong_arm_is_counted_apart(house: House) -> None:
    key = house.start(tiny(control_share=0.5))
    drawn = house.evaluate(key, "ann").assignment.arm
    other = {"nothing": "everyone", "everyone": "nothing"}[drawn]
    right = house.event("ann", "Experiment Viewed", experiment_id=key, variation_id=drawn)
    drawn_for_bob = house.evaluate(key, "bob").assignment.arm
    wrong_arm = {"nothing": "everyone", "everyone": "nothing"}[drawn_for_bob]
    wrong = house.event("bob", "Experiment Viewed", experiment_id=key, variation_id=wrong_arm)
    house.record(right, wrong, trusted=True)
    assert other != drawn
    assert house.total(key, "signup") == (1, 0)
    assert house.total(key, "signup", asserted=True) == (1, 0)
    assert house.report(key)["diagnostics"]["asserted"] == 1
    assert verify(house.store) == []


@pytest.mark.every_database
@pytest.mark.parametrize("variation", ["no-such-arm", None])
def test_an_unknown_or_missing_arm_is_refused(house: House, variation: str | None) -> None:
    key = house.start(tiny())
    viewed = house.event("ann", "Experiment Viewed", experiment_id=key, variation_id=variation)
    assert house.record(viewed, trusted=True)[0].code == "unknown_arm"


@pytest.mark.every_database
def test_a_token_of_another_visitor_or_experiment_is_refused(house: House) -> None:
    key = house.start(tiny())
    other = house.start(tiny(key="other"))
    token = house.evaluate(key, "ann").token
    stolen = house.event("bob", "Experiment Viewed", experiment_id=key, token=token)
    moved = house.event("ann", "Experiment Viewed", experiment_id=other, token=token)
    torn = house.event("ann", "Experiment Viewed", experiment_id=key, token=str(token)[:-3])
    assert [receipt.code for receipt in house.record(stolen, moved, torn)] == ["invalid_token"] * 3


@pytest.mark.every_database
def test_an_expired_token_is_refused(house: House) -> None:
    key = house.start(tiny())
    exposure = house.exposure(key, "ann")
    house.now_ms += 92 * DAY
    assert house.record(exposure)[0].code == "token_expired"


@pytest.mark.every_database
def test_after_a_pause_only_a_token_from_before_exposes_anybody_new(house: House) -> None:
    key = house.start(tiny())
    before = house.exposure(key, "ann")
    house.act(key, "pause")
    untold = house.event("bob", "Experiment Viewed", experiment_id=key, variation_id="everyone")
    receipts = house.record(before, untold, trusted=True)
    assert [(receipt.status, receipt.code) for receipt in receipts] == [("accepted", None), ("rejected", "not_running")]


@pytest.mark.every_database
def test_outcomes_count_after_the_stop_until_their_window_ends(house: House) -> None:
    key = house.start(tiny())
    house.record(house.exposure(key, "ann"))
    house.act(key, "stop")
    house.now_ms += 13 * DAY
    assert house.record(house.event("ann", "Signed Up"))[0].status == "accepted"
    house.act(key, "archive")
    assert house.record(house.event("ann", "Signed Up"))[0].code == "unknown_event"
    assert verify(house.store) == []


@pytest.mark.every_database
def test_a_metric_of_trusted_source_hears_only_server_keys(house: House) -> None:
    document = tiny()
    document["metrics"][0]["source"] = "server"
    key = house.start(document)
    house.record(house.exposure(key, "ann"))
    assert house.record(house.event("ann", "Signed Up"))[0].code == "server_only"
    assert house.record(house.event("ann", "Signed Up"), trusted=True)[0].status == "accepted"
    assert house.total(key, "signup") == (1, 1)


@pytest.mark.every_database
def test_no_consent_leaves_nothing(house: House) -> None:
    key = house.start(tiny())
    exposure = {**house.exposure(key, "ann"), "context": {"consent": "none"}}
    assert house.record(exposure)[0] == ("ignored", "no_consent", None, True)
    assert house.record(house.exposure(key, "bob"), objects=True)[0].code == "no_consent"
    assert house.cells(key) == []


@pytest.mark.every_database
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"userId": None}, "invalid_visitor"),
        ({"userId": True}, "invalid_visitor"),
        ({"userId": ["ann"]}, "invalid_visitor"),
        ({"userId": "a\x00b"}, "invalid_visitor"),
        ({"userId": "a" * 513}, "invalid_visitor"),
        ({"messageId": 7}, "invalid_id"),
        ({"event": "Never Heard Of"}, "unknown_event"),
        ({"event": None}, "invalid_event"),
        ({"type": "shout"}, "invalid_type"),
        ({"properties": []}, "invalid_properties"),
        ({"properties": {"revenue": 2**70}}, "invalid_value"),
        ({"properties": {"revenue": "NaN"}}, "invalid_value"),
        ({"properties": {"revenue": True}}, "invalid_value"),
        ({"properties": {"revenue": -1}}, "invalid_value"),
        ({"timestamp": "yesterday"}, "invalid_timestamp"),
        ({"timestamp": 12}, "invalid_timestamp"),
        ({"timestamp": "2019-01-01T00:00:00Z"}, "too_old"),
        ({"context": {"consent": "maybe"}}, "invalid_consent"),
    ],
)
def test_an_event_that_cannot_be_counted_is_refused_by_name(house: House, change: dict[str, object], code: str) -> None:
    house.start(spring_mailing())
    item = {**house.event("ann", "Order Completed", revenue=1), **change}
    [receipt] = house.record(item)
    assert (receipt.status, receipt.code) == ("rejected", code)
    assert receipt.detail


@pytest.mark.every_database
def test_a_bad_item_does_not_keep_its_neighbours_out(house: House) -> None:
    key = house.start(tiny())
    receipts = house.record(house.exposure(key, "ann"), 12, house.event("ann", "Signed Up"))
    assert [receipt.status for receipt in receipts] == ["accepted", "rejected", "accepted"]


@pytest.mark.every_database
def test_a_client_clock_that_is_wrong_is_corrected_by_the_time_of_sending(house: House) -> None:
    key = house.start(tiny())
    house.record(house.exposure(key, "ann", at=house.now_ms))
    house.now_ms += DAY
    # The client believes it is a year earlier; the event is an hour old when sent.
    wrong = house.now_ms - 365 * DAY
    event = house.event("ann", "Signed Up", at=wrong - HOUR)
    [receipt] = house.record(event, sent_at=iso(wrong))
    assert receipt.status == "accepted"
    assert house.total(key, "signup") == (1, 1)


@pytest.mark.every_database
def test_what_a_request_took_is_no_wrong_clock(house: House) -> None:
    key = house.start(tiny())
    # The exposure's request was held up; the order a second later went straight through.
    exposed_at = house.now_ms
    exposure = house.exposure(key, "ann", at=exposed_at)
    order = house.event("ann", "Signed Up", at=exposed_at + 1000)
    house.now_ms = exposed_at + 8000
    house.record(exposure, sent_at=iso(exposed_at + 10))
    [receipt] = house.record(order, sent_at=iso(house.now_ms - 5))
    assert receipt.status == "accepted"
    assert house.total(key, "signup") == (1, 1)


@pytest.mark.every_database
@pytest.mark.parametrize("seconds", [11, 3600, -11, -3600])
def test_a_clock_that_is_further_off_than_a_request_takes_is_corrected(house: House, seconds: int) -> None:
    house.start(tiny())
    skewed = house.now_ms - seconds * 1000
    house.record(house.event("ann", "Signed Up", at=skewed - HOUR), sent_at=iso(skewed))
    assert happened_at(house) == house.now_ms - HOUR


@pytest.mark.every_database
def test_the_time_may_stand_under_its_other_name_and_each_event_say_when_it_was_sent(house: House) -> None:
    house.start(tiny())
    a_day_behind = house.now_ms - DAY
    times = {"originalTimestamp": iso(a_day_behind - HOUR), "sentAt": iso(a_day_behind)}
    event = {**house.event("ann", "Signed Up"), **times}
    assert [receipt.status for receipt in house.record(event, event)] == ["accepted", "duplicate"]
    assert happened_at(house) == house.now_ms - HOUR
    [receipt] = house.record({**event, "originalTimestamp": iso(a_day_behind)})
    assert receipt.code == "id_reused"
    [receipt] = house.record({**event, "messageId": "other", "originalTimestamp": "yesterday"})
    assert (receipt.code, "originalTimestamp" in str(receipt.detail)) == ("invalid_timestamp", True)


@pytest.mark.every_database
@pytest.mark.parametrize("call", ["page", "screen"])
def test_a_call_that_clients_make_of_themselves_is_no_fault_where_no_metric_names_it(house: House, call: str) -> None:
    house.start(tiny())
    [receipt] = house.record({"type": call, "userId": "ann", "name": "Home", "messageId": "m1"})
    assert (receipt.status, receipt.code) == ("ignored", "not_counted")


def happened_at(house: House) -> int:
    """When the one event that is stored happened."""
    [at_ms] = house.store.read(lambda session: [event.at_ms for _, event in session.events.in_order()])
    return at_ms


def test_raw_visitor_ids_never_reach_the_disk(house: House, tmp_path: object) -> None:
    key = house.start(tiny())
    house.record(house.exposure(key, "planted-visitor-id"), house.event("planted-visitor-id", "Signed Up"))
    files = [path for path in Path(str(tmp_path)).rglob("*") if path.is_file()]
    assert files and not any(b"planted-visitor-id" in path.read_bytes() for path in files)
