"""Visitors who are treated otherwise from some moment on: who was erased, and who objects."""

from dataclasses import dataclass
from dataclasses import field


@dataclass
class Away:
    """Who was erased, with whether they had been counted by then, and who objects."""

    erased: dict[str, bool] = field(default_factory=dict)
    objecting: list[str] = field(default_factory=list)

    def __contains__(self, visitor: object) -> bool:
        return visitor in self.erased or visitor in self.objecting

    def lost(self) -> set[str]:
        """Whoever was erased before they were counted."""
        return {visitor for visitor, is_counted in self.erased.items() if not is_counted}
