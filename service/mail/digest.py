"""The digest: what campaigns have come to, as an e-mail in text and HTML with a chart of each."""

from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage

from flask import Flask
from flask import render_template

from experiments.lifecycle import find
from experiments.overview import overview
from experiments.reports import build_report
from experiments.storage.session import Session
from experiments.times import iso
from service.campaigns.view import Campaign
from service.campaigns.view import campaigns_view
from service.installation import Installation
from service.mail.letters import DOMAIN
from service.mail.letters import home
from service.mail.letters import letter
from service.people.links import report_link
from service.report.charts import chart_file
from service.report.view import ReportView
from service.report.view import report_view
from service.wording import moment


@dataclass(frozen=True)
class Digested:
    """A campaign in the digest; `chart` is a PNG, None where there is nothing to draw, `place` where it is found."""

    campaign: Campaign
    report: ReportView
    link: str
    chart: bytes | None
    place: str


def live_campaigns(installation: Installation) -> list[str]:
    """The campaigns that a digest of all is about: those that run or are paused."""

    def keys(session: Session) -> list[str]:
        return [row.key for row in session.experiments.all() if row.state in ("running", "paused")]

    return installation.store.read(keys)


def digest(installation: Installation, keys: Sequence[str], *, recipients: Sequence[str]) -> EmailMessage:
    """The e-mail about some campaigns.

    :raises UnknownExperiment: if there is none of a key.
    """
    now_ms = installation.clock.now_ms()
    digested = list(_digested(installation, keys, now_ms=now_ms))
    message = letter(installation, _subject(digested), recipients=recipients)
    as_of = moment(iso(now_ms))
    # Commands and schedulers have no application at hand.
    with Flask("service").app_context():
        message.set_content(render_template("digest.txt", digested=digested, as_of=as_of))
        message.add_alternative(render_template("digest.html", digested=digested, as_of=as_of), subtype="html")
    _, page = message.iter_parts()
    assert isinstance(page, EmailMessage)
    for one in digested:
        if one.chart:
            page.add_related(one.chart, "image", "png", cid=f"<{one.place}>", filename=f"{one.place}.png")
    return message


def _subject(digested: Sequence[Digested]) -> str:
    loud = sum(any(notice.loud for notice in one.campaign.notices) for one in digested)
    campaigns = "1 campaign" if len(digested) == 1 else f"{len(digested)} campaigns"
    return f"Bespoke: {campaigns}" + (f", {loud} in need of attention" if loud else "")


def _digested(installation: Installation, keys: Sequence[str], *, now_ms: int) -> Iterator[Digested]:
    installation.store.read(lambda session: [find(session, key) for key in keys])
    found = overview(installation.store, snapshot=installation.snapshots.refresh(), now_ms=now_ms)
    view = campaigns_view(found, now_ms=now_ms, min_cell=installation.config.min_cell)
    campaign_by_key = {one.key: one for shelf in view.shelves for one in shelf.campaigns}
    campaign_by_key |= {one.key: one for one in view.archived}
    for number, key in enumerate(dict.fromkeys(keys)):
        report = build_report(installation.store, key, now_ms=now_ms, min_cell=installation.config.min_cell)
        yield Digested(
            campaign_by_key[key],
            report_view(report, symbols=True),
            _link(installation, key, now_ms=now_ms),
            chart_file(report, (), "gains", kind="png"),
            f"chart-{number}@{DOMAIN}",
        )


def _link(installation: Installation, key: str, *, now_ms: int) -> str:
    config = installation.config
    return report_link(
        key,
        address=home(config),
        expires_ms=now_ms + config.link_lifetime_seconds * 1000,
        keyring=installation.keyring,
    )
