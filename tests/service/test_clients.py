"""The published clients work as they are: what README.md and docs/clients.md print runs, and what it says arrives."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.programs import Campaign
from tests.service.programs import campaign_in
from tests.service.programs import printed
from tests.service.programs import printed_names

README, CLIENTS = "README.md", "docs/clients.md"

#: Each program decides on Ann's letter, prints the arm first, says that her slot was reached, and that she spent 59.90.
PROGRAMS = [
    (README, "python", "openfeature", "segment"),
    (README, "python", "openfeature", "rudderstack"),
    (README, "js", "openfeature", "segment"),
    (CLIENTS, "python", "tracking", "slot"),
    (CLIENTS, "js", "tracking", "slot"),
]


@pytest.fixture
def campaign(tmp_path: Path) -> Iterator[Campaign]:
    """The example on a server of its own."""
    with campaign_in(tmp_path) as campaign:
        yield campaign


@pytest.mark.parametrize("program", PROGRAMS, ids="-".join)
def test_a_printed_program_is_counted_on_the_arm_that_the_server_gives(
    campaign: Campaign, program: tuple[str, ...]
) -> None:
    given = campaign.evaluate("ann", womens=True, first_name="Ann")
    output = campaign.run(program[1], printed(*program))
    assert output.split()[0] == given["variant"]
    place = given["metadata"]["segment"], given["variant"]
    assert campaign.counted() == {place: (1, 1, 1, 59.9)}
    assert campaign.evaluate("ann")["metadata"]["cause"] == "sticky"
    campaign.verify()


@pytest.mark.parametrize("page", [README, CLIENTS])
def test_every_printed_program_is_run(page: str) -> None:
    run = {(program[1], name) for program in PROGRAMS if program[0] == page for name in program[2:]}
    assert run == printed_names(page)
