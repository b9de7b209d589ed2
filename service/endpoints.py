"""What stands at the door, and every endpoint behind it, in their order."""

from flask import Flask

from service import actions
from service import admin
from service import assignments
from service import audit
from service import auth
from service import cors
from service import discovery_page
from service import errors
from service import exports
from service import express
from service import frequency_page
from service import gallery_list
from service import gallery_page
from service import growthbook
from service import headers
from service import health
from service import idempotency
from service import ingest
from service import journal
from service import login
from service import metrics
from service import ofrep
from service import opt_outs
from service import pages
from service import people
from service import people_page
from service import preferences
from service import preflight_page
from service import privacy_page
from service import reference
from service import replay_page
from service import report_files
from service import review
from service import review_page
from service import sdk
from service import setup
from service import throttle
from service import traces
from service import users
from service import visitors

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
    for part in _DOOR:
        part.init_app(app)
    for endpoints in (*_ANSWERING, *_READING):
        app.register_blueprint(endpoints.bp)
