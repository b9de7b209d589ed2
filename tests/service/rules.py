"""Addresses of applications: compiled once for all that the tests make, since each takes longer than most tests do."""

from typing import Any

from werkzeug.routing import Rule

_builders: dict[tuple[str, str, bool], Any] = {}


class RememberedRule(Rule):
    """A rule that knows how one of the same text builds its address."""

    def _compile_builder(self, append_unknown: bool = True) -> Any:
        known = (self.rule, repr(self.defaults), append_unknown)
        if known not in _builders:
            _builders[known] = super()._compile_builder(append_unknown)
        return _builders[known]
