"""Candidates: the rules by which stored attributes may part an experiment's visitors, in our own rule language. Pure.

One value or neighbouring bands of an attribute; two of these of different attributes; all attributes of one context.
What is chosen among these is chosen elsewhere, by what visitors did.
"""

import re
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from functools import partial
from itertools import chain
from itertools import combinations
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.contexts import Kept
from experiments.contexts import read_context
from experiments.model import Attribute

Mask = NDArray[np.bool_]

#: So many rules are tried at most, those first that part visitors most evenly: they would show a difference best.
MOST_CANDIDATES = 500
_MOST_PAIRED = 40
_MOST_CONTEXTS = 500

#: Stands for an attribute of which nothing is known.
_UNKNOWN = object()
_UNKNOWN_RULE = {"$exists": False}


class Candidate(NamedTuple):
    """A rule, and of which contexts it holds; `other` is the rule for all others, where there is one."""

    rule: dict[str, Any]
    holds: Mask
    other: dict[str, Any] | None = None

    def turned(self) -> "Candidate":
        """The other side of it."""
        assert self.other is not None, "not every rule has another for the rest"
        return Candidate(self.other, ~self.holds, self.rule)

    @property
    def cost(self) -> float:
        """How much more than a rule of one condition it must tell.

        Each further one may be there by luck (H. Akaike, A new look at the statistical model identification, IEEE
        Transactions on Automatic Control 19, 1974), and alternatives are harder to grasp than what holds together.
        """
        terms = self.rule.get("$or", [self.rule])
        conditions = [operand for term in terms for operand in term.values()]
        alternatives = len(terms) - 1 + sum(len(one["$in"]) - 1 for one in conditions if _is_list(one))
        return 2.0 * (len(conditions) - 1) + alternatives


def any_of(candidates: Sequence[Candidate]) -> Candidate:
    """The rule that one of several rules holds."""
    return Candidate({"$or": [one.rule for one in candidates]}, np.any([one.holds for one in candidates], axis=0))


def _is_list(operand: object) -> bool:
    return isinstance(operand, Mapping) and "$in" in operand


class Attributes:
    """The stored attributes of visitors with these contexts, so many of each."""

    def __init__(self, declared: Mapping[str, Attribute], contexts: Sequence[str], visitors: NDArray[Any]) -> None:
        self.declared = {name: attribute for name, attribute in sorted(declared.items()) if attribute.store}
        self._visitors = visitors
        known = [read_context(context) for context in contexts]
        self._kept = {name: [each.get(name, _UNKNOWN) for each in known] for name in self.declared}

    def candidates(self, *, smallest: int) -> list[Candidate]:
        """The rules that leave so many visitors on both sides at least, each side once."""
        singles = [self._large(self._singles(name), smallest=smallest) for name in self.declared]
        paired = [self._evenest(candidates, most=_MOST_PAIRED) for candidates in singles]
        pairs = (_both(one, other) for first, second in combinations(paired, 2) for one in first for other in second)
        whole = self._whole() if len(self.declared) > 1 else []
        found = self._large(chain(*singles, pairs, whole), smallest=smallest)
        return self._evenest(found, most=MOST_CANDIDATES)

    def values(self, name: str) -> dict[str, Mask]:
        """The texts of an attribute that one rule may name several of, and of which contexts each is."""
        attribute = self.declared[name]
        if attribute.type not in ("string", "version") or attribute.prefix is not None:
            return {}
        texts = [kept for kept in self._different(name) if isinstance(kept, str)]
        return {text: self._where(name, partial(_is_same, text)) for text in texts}

    def one_of(self, name: str, texts: Iterable[str]) -> Candidate:
        """The rule that an attribute is one of some texts."""
        listed = sorted(texts)
        return Candidate({name: {"$in": listed}}, self._where(name, lambda kept: kept in listed))

    def _singles(self, name: str) -> Iterator[Candidate]:
        attribute = self.declared[name]
        if attribute.type == "number":
            yield from self._runs(name, attribute)
        elif attribute.type == "list":
            for text in attribute.bands:
                yield Candidate({name: {"$in": [text]}}, self._where(name, partial(_is_in, text)))
        for kept in self._different(name):
            operand = _operand(kept, attribute)
            if operand is not None and (attribute.type != "number" or kept is _UNKNOWN):
                yield Candidate({name: operand}, self._where(name, partial(_is_same, kept)))

    def _runs(self, name: str, attribute: Attribute) -> Iterator[Candidate]:
        """Neighbouring bands of a number, but not all of them."""
        last = len(attribute.bands)
        for low in range(last + 1):
            for high in range(low, last + 1):
                if (low, high) != (0, last):
                    holds = self._where(name, range(low, high + 1).__contains__)
                    yield Candidate({name: _range(attribute, low, high)}, holds)

    def _whole(self) -> Iterator[Candidate]:
        """All that is known of the visitors of a context, those of most visitors first."""
        for place in np.argsort(-self._visitors, kind="stable")[:_MOST_CONTEXTS].tolist():
            operands = {name: _operand(self._kept[name][place], each) for name, each in self.declared.items()}
            if None not in operands.values():
                yield Candidate(operands, np.arange(len(self._visitors)) == place)

    def _different(self, name: str) -> list[Any]:
        return list(dict.fromkeys(self._kept[name]))

    def _where(self, name: str, test: Callable[[Any], bool]) -> Mask:
        return np.fromiter(map(test, self._kept[name]), np.bool_, len(self._visitors))

    def _large(self, candidates: Iterable[Candidate], *, smallest: int) -> list[Candidate]:
        """Those with so many visitors on both sides; the first of those that part visitors alike."""
        different: dict[bytes, Candidate] = {}
        for candidate in candidates:
            if self._smaller_side(candidate) < smallest:
                continue
            side, rest = candidate.holds.tobytes(), (~candidate.holds).tobytes()
            if rest in different:
                first = different[rest]
                different[rest] = first._replace(other=first.other or candidate.rule)
            else:
                different.setdefault(side, candidate)
        return list(different.values())

    def _evenest(self, candidates: list[Candidate], *, most: int) -> list[Candidate]:
        return sorted(candidates, key=self._smaller_side, reverse=True)[:most]

    def _smaller_side(self, candidate: Candidate) -> float:
        inside = float(self._visitors[candidate.holds].sum())
        return min(inside, float(self._visitors.sum()) - inside)


def _both(one: Candidate, other: Candidate) -> Candidate:
    return Candidate({**one.rule, **other.rule}, one.holds & other.holds)


def _is_in(text: str, kept: Any) -> bool:
    return isinstance(kept, tuple) and text in kept


def _is_same(one: Any, other: Any) -> bool:
    """Whether these are the same; to Python true equals 1."""
    return type(one) is type(other) and bool(one == other)


def _operand(kept: Any, attribute: Attribute) -> Any:
    """What a rule asks of an attribute whose values are kept as this; None where rules cannot say it."""
    if kept is _UNKNOWN:
        return _UNKNOWN_RULE
    match attribute.type:
        case "number":
            return _range(attribute, kept, kept)
        case "boolean":
            return kept
        case "list":
            return None
    return _operand_of_text(kept, attribute)


def _operand_of_text(kept: Kept, attribute: Attribute) -> Any:
    if not isinstance(kept, str):
        return {"$exists": True, "$nin": list(attribute.bands)} if attribute.bands else None
    # A shorter text was the whole of it.
    if attribute.prefix is not None and len(kept) == attribute.prefix:
        return {"$regex": f"^{re.escape(kept)}"}
    return kept


def _range(attribute: Attribute, low: int, high: int) -> dict[str, Any]:
    """From the first to the last of some bands; whoever is not known would be 0 to a rule without `$exists`."""
    edges = attribute.bands
    from_ = {"$gte": _written(edges[low - 1])} if low else {}
    below = {"$lt": _written(edges[high])} if high < len(edges) else {}
    return {"$exists": True, **from_, **below}


def _written(edge: float) -> int | float:
    return int(edge) if edge.is_integer() else edge
