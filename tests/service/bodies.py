"""A good body for every route that takes one from a program, with places for what is wrong with it."""

import json
from collections.abc import Iterator
from typing import Any
from typing import NamedTuple

from flask import Flask

from tests.experiments.documents import tiny

ID = "«id»"
NUMBER = "«number»"


class Taking(NamedTuple):
    """A route that takes a body: the scope of the key that is enough, whether `ID` is one there, and a good one."""

    method: str
    path: str
    scope: str
    body: Any
    has_id: bool = True
    query: str = ""
    good_id: str = "ann"

    @property
    def has_number(self) -> bool:
        """Whether a number of ours stands in it."""
        return json.dumps(NUMBER) in json.dumps(self.body)

    def text(self, **places: str) -> str:
        """The body as it is sent, with these texts in its places."""
        text, good = json.dumps(self.body), json.dumps(self.good_id)
        if json.dumps(NUMBER) not in text:
            # Where there is one place only, whatever is wrong stands there.
            places = {ID: "".join(places.values()) or good}
        text = text.replace(json.dumps(ID), places.get(ID, good))
        return text.replace(json.dumps(NUMBER), places.get(NUMBER, "12"))


_CONTEXT = {"context": {"targetingKey": ID, "womens": True, "recency": NUMBER}}
_ORDER = {"userId": ID, "event": "Order Completed", "messageId": "m1", "properties": {"revenue": NUMBER}}
_VISITOR = {"id": ID, "attributes": {"recency": NUMBER}}
_ASSIGNMENT = {"experiment": "spring-mailing", "expose": True, "messageId": "m1", "visitors": [_VISITOR]}
_TRACKED = {"event_name": "Order Completed", "device_id": ID, "properties_json": {"revenue": NUMBER}}
_DOCUMENT = tiny(key=ID, audience=NUMBER)
_REASON = {"reason": ID}
_ROLE = {"email": "ann@shop.example", "role": ID}

#: By endpoint; a route that is not here fails the test that walks them.
TAKING = {
    "ofrep.evaluate_flag": Taking("POST", "/ofrep/v1/evaluate/flags/spring-mailing", "client", _CONTEXT),
    "ofrep.evaluate_flags": Taking("POST", "/ofrep/v1/evaluate/flags", "client", _CONTEXT),
    "ingest.batch": Taking("POST", "/v1/batch", "server", {"batch": [{"type": "track", **_ORDER}]}),
    "ingest.single": Taking("POST", "/v1/track", "server", _ORDER),
    "assignments.assign_visitors": Taking("POST", "/v1/assignments", "server", _ASSIGNMENT),
    "growthbook.track": Taking("POST", "/track", "client", [_TRACKED], query="?client_key="),
    "admin.create_experiment": Taking("POST", "/v1/experiments", "admin", _DOCUMENT),
    "admin.replace_experiment": Taking("PUT", "/v1/experiments/ann", "admin", _DOCUMENT),
    "admin.change_state": Taking("POST", "/v1/experiments/spring-mailing/pause", "admin", _REASON, has_id=False),
    "visitors.lookup": Taking("POST", "/v1/visitors/lookup", "admin", {"id": ID}),
    "visitors.erase_visitor": Taking("POST", "/v1/visitors/erase", "admin", {"id": ID}),
    "users.write_role": Taking("POST", "/v1/users/role", "admin", _ROLE, good_id="editor"),
    "opt_outs.look_up": Taking("POST", "/v1/opt-outs/lookup", "server", {"id": ID}, has_id=False),
    "opt_outs.remove": Taking("POST", "/v1/opt-outs/remove", "server", {"id": ID}, has_id=False),
    "opt_outs.add": Taking("POST", "/v1/opt-outs", "server", {"id": ID}, has_id=False),
}
#: These look at no body, whatever is sent.
BODILESS = {"admin.reallocate_experiment"}


def taking(app: Flask) -> Iterator[str]:
    """Every endpoint to which a program may send a body."""
    for rule in app.url_map.iter_rules():
        scope = getattr(app.view_functions[rule.endpoint], "required_scope", None)
        if (rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"} and scope != "public":
            yield rule.endpoint
