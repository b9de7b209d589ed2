"""The web shell: requests in, one use case each, answers out.

`create_app` puts it together; `config` holds the settings, `installation` what a process keeps open, `journal` and
`traces` what is told of requests, `cors`, `auth`, `people`, `throttle`, `bodies` and `errors` the door, `express` the
short way through it, `ofrep`, `ingest`, `assignments`, `growthbook`, `admin`, `exports`, `review`, `gallery_list`,
`audit`, `users`, `visitors`, `opt_outs`, `health` and `metrics` the endpoints, `login`, `pages`, `actions`, `setup`,
`gallery_page`, `preflight_page`, `review_page`, `frequency_page`, `people_page` and `privacy_page` what people read,
`report_files` what they take away, `sdk` what their browsers load, `reference` the description of it all, made from
what the views say of themselves.
"""

import os

from flask import Flask

from service.clock import Clock
from service.config import Config


def create_app(config: Config | None = None, *, clock: Clock | None = None) -> Flask:
    """The application, with its database open and its scheduler at work; settings are the environment's by default.

    :raises BespokeError: if a setting, the secret or the database cannot be used.
    """
    # Here, not above: commands that need no web import this package too.
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
    from service.config import load_config
    from service.current import EXTENSION
    from service.installation import open_installation
    from service.scheduler import start_scheduler

    app = Flask(__name__)
    settings = config or load_config(os.environ)
    app.config["MAX_CONTENT_LENGTH"] = settings.body_limit_bytes + 1
    app.logger.setLevel(settings.log_level.upper())
    # Preflights come before keys, since they bring none; rates after them, since they are the keys'.
    for part in (journal, traces, errors, cors, auth, people, throttle, headers, idempotency, reference, express):
        part.init_app(app)
    answering = (
        ofrep, ingest, assignments, growthbook, admin, exports, review, gallery_list, audit, users, visitors, opt_outs,
        health, metrics, preferences, sdk, reference,
    )
    reading = (
        login, pages, report_files, actions, setup, gallery_page, preflight_page, replay_page, discovery_page,
        review_page, frequency_page, people_page, privacy_page,
    )
    for endpoints in (*answering, *reading):
        app.register_blueprint(endpoints.bp)
    installation = app.extensions[EXTENSION] = open_installation(settings, clock=clock, serving=True)
    plain = {} if journal.is_complete() else {**ofrep.LANES, **ingest.LANES}
    lanes = express.Express(app.wsgi_app, installation, plain)
    app.wsgi_app = throttle.behind_proxies(lanes, settings.trusted_proxies)  # type: ignore[method-assign]
    installation.before_closing(start_scheduler(installation).stop)
    return app
