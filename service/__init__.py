"""The web shell: requests in, one use case each, answers out.

`create_app` puts it together; `config` holds the settings, `installation` what a process keeps open, `journal` and
`traces` what is told of requests, `cors`, `auth`, `people`, `throttle`, `bodies` and `errors` the door, `express` the
short way through it, `ofrep`, `ingest`, `assignments`, `growthbook`, `admin`, `exports`, `review`, `gallery_list`,
`audit`, `users`, `visitors`, `opt_outs`, `health` and `metrics` the endpoints, `login`, `pages`, `actions`, `setup`,
`gallery_page`, `preflight_page`, `review_page`, `frequency_page`, `people_page` and `privacy_page` what people read,
`report_files` what they take away, `sdk` what their browsers load, `reference` the description of it all, made from
what the views say of themselves.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from service.config import Config
    from service.operation.clock import Clock


def create_app(config: Config | None = None, *, clock: Clock | None = None) -> Flask:
    """The application, with its database open and its scheduler at work; settings are the environment's by default.

    :raises BespokeError: if a setting, the secret or the database cannot be used.
    """
    # Here, not above: commands that need no web import this package too.
    from flask import Flask

    from service import endpoints
    from service import ingest
    from service.config import load_config
    from service.current import EXTENSION
    from service.evaluations import express
    from service.evaluations import ofrep
    from service.installation import open_installation
    from service.requests import journal
    from service.requests import throttle
    from service.scheduler import start_scheduler

    app = Flask(__name__)
    settings = config or load_config(os.environ)
    app.config["MAX_CONTENT_LENGTH"] = settings.body_limit_bytes + 1
    app.logger.setLevel(settings.log_level.upper())
    endpoints.init_app(app)
    installation = app.extensions[EXTENSION] = open_installation(settings, clock=clock, serving=True)
    plain = {} if journal.is_complete() else {**ofrep.LANES, **ingest.LANES}
    lanes = express.Express(app.wsgi_app, installation, plain)
    # Flask's own way to stand before an application.
    app.wsgi_app = throttle.behind_proxies(lanes, settings.trusted_proxies)  # type: ignore[method-assign]
    installation.before_closing(start_scheduler(installation).stop)
    return app
