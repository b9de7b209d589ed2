"""A cell of nine visitors, looked for wherever figures are shown: it stands nowhere, and nothing shown tells it."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from experiments.privacy.suppression import coarse_share
from experiments.privacy.suppression import withheld
from service.installation import Installation
from tests.experiments.documents import spring_mailing
from tests.service.conftest import Run
from tests.service.conftest import bearer
from tests.service.people import logged_in

#: Seven of nine spend this: what they spend together and on average, in money and cents, and how many of them it are.
PRICE = 123.45
NEEDLES = ("864.15", "86415", "96.02", "96.01", "0.777", "77.8%", "77.7%", "0.78 ")
PLACES = {
    "the tailored arm, which nobody else has": ("womens-shoppers", "womens-letter"),
    "the mass arm in one segment of two": ("womens-shoppers", "one-letter"),
    "the control in everyone else": ("everyone-else", "nothing"),
}


class Planted:
    """An experiment with one cell of nine visitors and others that are large."""

    def __init__(self, client: FlaskClient, keys: dict[str, str], place: tuple[str, str]) -> None:
        self.client, self.keys, self.place = client, keys, place
        self.counts: Counter[tuple[str, str]] = Counter()
        document = spring_mailing(policy={"kind": "thompson", "burn_in": 10}, control_share=0.3)
        self.post("/v1/experiments", document, scope="admin")
        self.post("/v1/experiments/spring-mailing/start", None, scope="admin")
        visitors = [{"id": f"v{n}", "attributes": {"womens": n % 2 == 0}} for n in range(600)]
        self.record([event for item in self.assigned(visitors) for event in self.events(item)])
        # The planted cell is no random one, and is found out: a person lets the policy look all the same.
        for act in ("reallocate", "unfreeze", "reallocate"):
            self.post(f"/v1/experiments/spring-mailing/{act}", None, scope="admin")

    def post(self, path: str, body: Any, *, scope: str = "server") -> Any:
        """What is answered."""
        answer = self.client.post(path, json=body, headers=bearer(self.keys[scope]))
        assert answer.status_code in (200, 201), answer.text
        return answer.get_json()

    def get(self, path: str, *, scope: str = "report") -> Any:
        """What a key of this scope reads."""
        answer = self.client.get(path, headers=bearer(self.keys[scope]))
        assert answer.status_code == 200, answer.text
        return answer

    def assigned(self, visitors: list[Any]) -> list[Any]:
        """Who is assigned, without being exposed."""
        found: list[Any] = self.post("/v1/assignments", {"experiment": "spring-mailing", "visitors": visitors})[
            "assignments"
        ]
        return found

    def events(self, item: Any) -> list[Any]:
        """What one of them does; of the planted cell nine come."""
        place = item["segment"], item["arm"]
        if place == self.place and self.counts[place] == 9:
            return []
        self.counts[place] += 1
        seen = self.event(item["id"], "Experiment Viewed", experiment_id="spring-mailing", token=item["token"])
        buys = self.counts[place] <= 7 if place == self.place else self.counts[place] % 4 == 0
        price = PRICE if place == self.place else 10
        return [seen, self.event(item["id"], "Order Completed", revenue=price)] if buys else [seen]

    def event(self, visitor: str, name: str, **properties: Any) -> Any:
        """An event as Segment's clients send it."""
        return {
            "type": "track", "userId": visitor, "messageId": f"{visitor} {name}", "event": name,
            "properties": properties,
        }

    def record(self, events: list[Any]) -> None:
        """Have events counted."""
        told = self.post("/v1/batch", {"batch": events})
        assert told["accepted"] == len(events), told


@pytest.fixture(name="planted", params=PLACES.values(), ids=PLACES)
def _planted(client: FlaskClient, keys: dict[str, str], request: pytest.FixtureRequest) -> Planted:
    planted = Planted(client, keys, request.param)
    assert planted.counts[planted.place] == 9
    assert min(n for place, n in planted.counts.items() if place != planted.place) > 60
    return planted


def everything(planted: Planted, app: Flask, installation: Installation, run: Run) -> dict[str, str]:
    """Every text in which figures of the experiment are shown to those who read reports."""
    ann, base = logged_in(app, installation, "editor"), "/experiments/spring-mailing"
    pages = {path: ann.open(path).text for path in (
        "/", base, f"{base}/review", f"{base}/frequency",
        f"{base}/ledger", f"{base}/edit?step=segments", f"{base}/figures.csv", f"{base}/replay",
        *(f"{base}/charts/{name}.svg" for name in ("gains", "certainty", "traffic")),
    )}
    answers = {
        path: planted.get(f"/v1{base}/{path}").text for path in (
            "report", "allocations", "review", "frequency", "export/cells.csv", "export/allocations.csv"
        )
    }
    commands = {
        kind: run("report", "spring-mailing", "--format", kind).out for kind in ("text", "json", "csv", "html")
    }
    return {**pages, **answers, **commands, "digest": run("digest", "spring-mailing", "--dry-run").out}


def test_its_figures_are_shown_nowhere(planted: Planted, app: Flask, installation: Installation, run: Run) -> None:
    texts = everything(planted, app, installation, run)
    assert all(texts.values())
    assert "One letter" in texts["text"] or "one-letter" in texts["text"]
    for name, text in texts.items():
        assert [needle for needle in NEEDLES if needle in text] == [], name


def test_its_row_is_hidden_and_so_is_what_would_tell_it(planted: Planted) -> None:
    report = planted.get("/v1/experiments/spring-mailing/report").get_json()
    for table in ("arms", "naive"):
        rows = {(row["segment"], row["arm"]): row for row in report[table]}
        hidden = rows[planted.place]
        assert hidden["suppressed"] and hidden["visitors"] is None
        assert set(leaves(hidden["metrics"])) | set(leaves(hidden["economics"])) == {None}
        total = next(row for row in report["totals"] if row["arm"] == planted.place[1])
        open_rows = [row for row in report[table] if row["arm"] == planted.place[1] and not row["suppressed"]]
        if not total["suppressed"]:
            # The sum less what is shown is of more visitors than those of the cell.
            assert total["visitors"] - sum(row["visitors"] for row in open_rows) > 60
    assert planted.place not in {(one["segment"], one["arm"]) for one in report["method"]["information"]}


def test_neither_review_nor_frequency_tells_of_what_the_report_hides(planted: Planted) -> None:
    base = "/v1/experiments/spring-mailing"
    report, found, often = (planted.get(f"{base}/{path}").get_json() for path in ("report", "review", "frequency"))
    hidden = {(row["segment"], row["arm"]) for row in report["arms"] if row["suppressed"]}
    segments = {segment for segment, arm in hidden if planted.counts[segment, arm]}
    assert planted.place[0] in segments and found["visitors"] is None
    for one in found["segments"]:
        if one["segment"] in segments:
            assert (one["visitors"], one["share"], one["share_move"]) == (None, None, None)
            assert {stretch["visitors"] for stretch in one["stretches"]} == {None}
    for row in often["rows"]:
        if (row["segment"], row["arm"]) in hidden:
            assert (row["visitors"], {dose["visitors"] for dose in row["doses"]}) == (None, {None})


def leaves(value: object) -> Iterator[object]:
    """What stands at the ends of an object."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    else:
        yield value


def test_the_sizes_of_segments_leave_it_open(planted: Planted) -> None:
    report = planted.get("/v1/experiments/spring-mailing/report").get_json()
    shares = {one["segment"]: one["share_of_visitors"] for one in report["verdict"]["segments"]}
    others = sum(planted.counts.values()) - 9
    told = {size: share_if(planted, size, others=others) for size in range(25)}
    # At least ten sizes of the cell give what is shown, nine among them.
    assert sum(found == shares for found in told.values()) >= 10
    assert told[9] == shares


def share_if(planted: Planted, size: int, *, others: int) -> dict[str, float]:
    """The shares that would be shown if the cell had so many visitors."""
    visitors = Counter({segment: 0 for segment, _ in planted.counts})
    for (segment, arm), n in planted.counts.items():
        visitors[segment] += size if (segment, arm) == planted.place else n
    total = others + size
    return {segment: coarse_share(n / total, total, min_cell=10) for segment, n in visitors.items()}


def test_the_ledger_tells_it_to_admins_alone(planted: Planted) -> None:
    path = "/v1/experiments/spring-mailing/allocations"
    for_readers, for_admins = (
        planted.get(path, scope=scope).get_json()["allocations"][-1] for scope in ("report", "admin")
    )
    segment, arm = planted.place
    assert (for_readers["inputs"], for_readers["body"]) == (None, None)
    assert for_readers["weights"] == for_admins["weights"] and for_readers["hash"] == for_admins["hash"]
    _, arms, _ = for_admins["inputs"][segment]
    assert arms[arm][0] == 9
    assert for_admins["body"]


def test_the_list_of_campaigns_is_less_precise_where_its_sum_would_tell(
    planted: Planted, app: Flask, installation: Installation
) -> None:
    page, total = logged_in(app, installation, "viewer").open("/").text, sum(planted.counts.values())
    arms = Counter({arm: 0 for _, arm in planted.counts})
    for (_, arm), n in planted.counts.items():
        arms[arm] += n
    assert (f">{total}<" in page) == (min(arms.values()) >= 10)
    assert (">about " in page) == (min(arms.values()) < 10)


@pytest.mark.parametrize(
    ("visitors", "hidden"),
    [
        ({"a": 100, "b": 50}, set()), ({"a": 9, "b": 50, "c": 60}, {"a", "b"}),
        ({"a": 3, "b": 4, "c": 60}, {"a", "b", "c"}), ({"a": 6, "b": 7, "c": 60}, {"a", "b"}),
        ({"a": 0, "b": 50}, {"a"}), ({"a": 9}, {"a"}), ({}, set()),
        ({"a": 0, "b": 9, "c": 50, "d": 60}, {"a", "b", "c"}),
    ],
)
def test_what_is_withheld_is_more_than_one_part_and_enough_people(visitors: dict[str, int], hidden: set[str]) -> None:
    assert withheld(visitors, min_cell=10) == hidden
