"""Wanderers: witnesses whose visitors come to any of several nodes."""

import time
from collections.abc import Container
from collections.abc import Sequence
from http.client import HTTPException
from random import Random

from tests.service.nodes import Node
from tests.service.witnesses import KEY
from tests.service.witnesses import Witness
from tests.service.witnesses import events


class Wanderer(Witness):
    """A witness whose visitors come to one node and another, send again what was not acknowledged, and come back.

    Those who are `away` come back to another treatment, if at all.
    """

    def __init__(self, nodes: Sequence[Node], *, key: str, name: str, away: Container[str] = ()) -> None:
        super().__init__(nodes[0], key=key, name=name)
        self.moved: list[str] = []
        self._away = away
        self._nodes = nodes
        self._rng = Random(name)
        self._arms: list[tuple[str, str]] = []

    def _bring(self, visitor: str) -> bool:
        status, answer = self._try(f"/ofrep/v1/evaluate/flags/{KEY}", {"context": {"targetingKey": visitor}})
        if status != 200:
            return False
        self.sent.append(events(visitor, token=answer["metadata"]["token"]))
        while not self._ended.is_set():
            status, told = self._try("/v1/batch", {"batch": self.sent[-1]})
            if status == 200:
                assert told["accepted"] + told["duplicate"] == len(self.sent[-1]), told
                self._arms.append((visitor, answer["variant"]))
                self._come_back()
                return True
            time.sleep(0.05)
        return False

    def _come_back(self) -> None:
        """Somebody who was exposed before asks any node again, without a token."""
        visitor, arm = self._rng.choice(self._arms)
        status, answer = self._try(f"/ofrep/v1/evaluate/flags/{KEY}", {"context": {"targetingKey": visitor}})
        if status == 200 and answer["variant"] != arm and visitor not in self._away:
            self.moved.append(f"{visitor}: {arm}, then {answer['variant']} ({answer['metadata']['cause']})")

    def _try(self, path: str, body: object) -> tuple[int, dict[str, object]]:
        """One request to any node; 0 where there is no answer."""
        try:
            return self._rng.choice(self._nodes).ask("POST", path, body, key=self._key)
        except (OSError, HTTPException, ValueError):
            return 0, {}
