"""What stands at the door, and every endpoint behind it, in their order."""

from flask import Flask

from service import admin
from service import audit
from service import auth
from service import errors
from service import exports
from service import ingest
from service import opt_outs
from service import pages
from service import sdk
from service import visitors
from service.campaigns import actions
from service.discovery import page as discovery_page
from service.evaluations import assignments
from service.evaluations import express
from service.evaluations import growthbook
from service.evaluations import ofrep
from service.frequency import page as frequency_page
from service.gallery import api as gallery_list
from service.gallery import page as gallery_page
from service.operation import health
from service.operation import metrics
from service.people import api as users
from service.people import login
from service.people import page as people_page
from service.people import roles as people
from service.preflight import page as preflight_page
from service.privacy import page as privacy_page
from service.reference import pages as reference
from service.replay import page as replay_page
from service.report import files as report_files
from service.requests import cors
from service.requests import headers
from service.requests import idempotency
from service.requests import journal
from service.requests import preferences
from service.requests import throttle
from service.requests import traces
from service.requests.routes import Route
from service.review import api as review
from service.review import page as review_page
from service.setup import pages as setup

# Preflights come before keys, since they bring none; rates after them, since they are the keys'.
_DOOR = (journal, traces, errors, cors, auth, people, throttle, headers, idempotency, reference, express)
_ANSWERING = (
    ofrep, ingest, assignments, growthbook, admin, exports, review, gallery_list, audit, users, visitors, opt_outs,
    health, metrics, preferences, sdk, reference,
)
_READING = (
    login, pages, report_files, actions, setup, gallery_page, preflight_page, replay_page, discovery_page,
    review_page, frequency_page, people_page, privacy_page,
)


def init_app(app: Flask) -> None:
    """Put the door and the endpoints into an application."""
    app.url_rule_class = Route
    for part in _DOOR:
        part.init_app(app)
    for endpoints in (*_ANSWERING, *_READING):
        app.register_blueprint(endpoints.bp)
