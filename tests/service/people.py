"""People at their browsers, as far as that is requests: pages opened, forms filled in and sent."""

import re
from typing import Any

from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from experiments.people import Role
from experiments.people import create_user
from service.installation import Installation
from tests.service.deeds import DEED

PASSWORD = "correct horse battery staple"
COOKIE = "bespoke_session"
#: A hash says itself what it costs to verify; that of users costs a fifth of a second, too much for every test.
cheap_hash = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash
_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')


def add_user(installation: Installation, role: Role, *, email: str = "", password: str = PASSWORD) -> str:
    """Somebody who may log in; their e-mail."""
    row = create_user(
        installation.store,
        email or f"{role}@shop.example",
        role=role,
        password=password,
        hash_password=cheap_hash,
        deed=DEED,
    )
    return row.email


def form_token(page: TestResponse) -> str:
    """What the form of a page holds."""
    found = _TOKEN.search(page.text)
    assert found, page.text
    return found[1]


class Someone:
    """Somebody with a browser of their own."""

    def __init__(self, app: Flask, *, base_url: str = "http://localhost") -> None:
        self.client: FlaskClient = app.test_client()
        self._base_url = base_url

    def open(self, path: str, *, method: str = "GET", **request: Any) -> TestResponse:
        """Ask for an address."""
        return self.client.open(path, method=method, base_url=self._base_url, **request)

    def send(self, path: str, *, on: str = "/login", headers: Any = None, **fields: str) -> TestResponse:
        """Open a page and send a form with what it holds."""
        data = {"form_token": form_token(self.open(on)), **fields}
        return self.open(path, method="POST", data=data, headers=headers)

    def log_in(self, email: str, *, password: str = PASSWORD, **fields: str) -> TestResponse:
        """Fill in the form and send it."""
        return self.send("/login", email=email, password=password, **fields)

    def cookie(self, name: str = COOKIE) -> str | None:
        """The id by which the browser is known."""
        cookie = self.client.get_cookie(name)
        return cookie.value if cookie else None


def logged_in(app: Flask, installation: Installation, role: Role) -> Someone:
    """Somebody of a role who has just logged in."""
    someone = Someone(app)
    assert someone.log_in(add_user(installation, role)).status_code == 303
    return someone
