"""The page of the papers on privacy."""

from flask import Blueprint
from flask import render_template

from experiments.model import Experiment
from service.current import current_installation
from service.installation import Installation
from service.people.roles import for_people
from service.privacy.papers import papers
from service.reference.operations import Example
from service.refusal_pages import describes_page
from service.refusal_pages import init_pages

bp = Blueprint("privacy", __name__)
init_pages(bp)


def campaigns_in_use(installation: Installation) -> list[Experiment]:
    """The campaigns that are not archived, by key."""
    entries = installation.snapshots.latest.entries.values()
    return [entry.experiment for entry in entries if entry.stored.state != "archived"]


@bp.get("/privacy")
@for_people("viewer")
@describes_page(Example(path={}, status=303))
def privacy_page() -> str:
    """What is stored, what needs consent, and papers to be completed, made from the settings and the campaigns."""
    installation = current_installation()
    found = papers(installation.config.written, campaigns_in_use(installation))
    return render_template("privacy.html", papers=found)
