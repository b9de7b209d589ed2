"""Special categories of personal data: by which words segments look at them, and what must be on record then. Pure.

Health, politics, religion, sexuality, membership of a trade union, ethnic origin, genetics and biometrics (GDPR,
Article 9; what is inferred counts too: CJEU C-184/20, C-252/21). A list of words in eight languages cannot know what
they mean: `special` of an attribute or a segment says so either way, and the legal basis is a person's to give.
"""

import re
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple
from unicodedata import combining
from unicodedata import normalize

from experiments.errors import Problem
from experiments.model import Experiment
from experiments.model import Segment

#: How words of a category begin, in English, German, French, Spanish, Italian, Dutch, Portuguese and Polish, without
#: accents; those that end in a dot are whole words.
_BEGINNINGS = {
    "health": """
        health. healthy. healthcare illness disease sick. cancer tumor tumour oncolog diabet pregnan disab depress hiv.
        aids. medic patient therap psychiatr addict obes gesundheit krank krebs schwanger behinder sucht sante. malad
        enceinte handicap salud. enferm embaraz discapac salute. malat cancro incinta gezond ziek. ziekte kanker
        zwanger gehandicap saude. doenc gravid deficien zdrow chorob rak. ciaz niepelnospraw medycz
    """,
    "politics": """
        politi polity voter. voters voting. democrat republican socialist communist conservative. wahler
        parteimitglied partido. elettor elector eleitor
    """,
    "religion": """
        religi faith. muslim moslem islam christian catholic protestant jewish jew. jews hindu buddh sikh atheis church
        konfession kirch evangelisch katholi judisch eglise musulman mussulman chretien catholique juif juive iglesia
        igreja chiesa cristian cristao catolic cattolic judi. judio ebre kerk christelij joods joden kosciol muzulman
        chrzescij zydow
    """,
    "sexuality": """
        sexual sexuel sexualit seksu sessual gay gays lesb homosex omosess homosess bisex transgender transsex queer
        lgbt schwul
    """,
    "union membership": """
        union. unions unionmember tradeunion labourunion laborunion gewerkschaft syndica syndiqu sindica sindaca vakbond
        zwiazkow
    """,
    "ethnic origin": """
        ethni etnia etnic etnisch etnicz race. racial rassisch rasse. skincolo hautfarbe
    """,
    "genetics or biometrics": """
        genetic genetisch genetique genetycz genome dna. biometri fingerprint faceprint fingerabdruck
    """,
}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[a-z0-9]+")


class Found(NamedTuple):
    """What makes a segment special: a text of the document, and the category."""

    text: str
    category: str


def special_faults(experiment: Experiment) -> Iterator[Problem]:
    """The segments on special categories without a legal basis, and special attributes that would be stored."""
    for index, segment in enumerate(experiment.segments):
        found = found_in(experiment, segment)
        if found and not (segment.legal_basis or "").strip():
            rule = (
                f"concerns {found.category}, a special category of personal data: record the legal basis here, or say "
                f'"special": false of the segment where it is none'
            )
            yield Problem(f"segments[{index}].legal_basis", found.text, rule)
    for name, attribute in experiment.attributes.items():
        category = _category_of_attribute(experiment, name)
        if attribute.store and category:
            rule = f'concerns {category}, and is not stored; say "special": false of the attribute where it does not'
            yield Problem(f"attributes.{name}.store", name, rule)


def found_in(experiment: Experiment, segment: Segment) -> Found | None:
    """What makes a segment special; None where it is not, or somebody has said that it is not."""
    if segment.special is not None:
        return Found(segment.key, "what is declared special") if segment.special else None
    texts = (segment.key, segment.name, *_texts_in(segment.rule))
    by_word = ((text, category_of(text)) for text in texts)
    by_attribute = ((name, _category_of_attribute(experiment, name)) for name in _attributes_in(segment.rule))
    return next((Found(text, category) for text, category in (*by_attribute, *by_word) if category), None)


def category_of(text: str) -> str | None:
    """The category that a word of a text belongs to, or None."""
    words = _words(text)
    return next((category for category, begins in _PATTERNS.items() if any(map(begins.match, words))), None)


def _category_of_attribute(experiment: Experiment, name: str) -> str | None:
    attribute = experiment.attributes.get(name)
    if attribute is None or attribute.special is None:
        return category_of(name)
    return "what is declared special" if attribute.special else None


def _words(text: str) -> list[str]:
    """The words of a text, and neighbours run together, without accents."""
    plain = "".join(each for each in normalize("NFKD", _CAMEL.sub(" ", text)) if not combining(each))
    words = _WORD.findall(plain.casefold().replace("ł", "l"))
    return [*words, *(first + second for first, second in zip(words, words[1:], strict=False))]


def _pattern(beginnings: str) -> re.Pattern[str]:
    each = (f"{word[:-1]}$" if word.endswith(".") else word for word in beginnings.split())
    return re.compile("|".join(each))


_PATTERNS = {category: _pattern(beginnings) for category, beginnings in _BEGINNINGS.items()}


def _attributes_in(rule: object) -> Iterator[str]:
    """The attributes that a rule looks at, wherever they stand."""
    if isinstance(rule, Mapping):
        for name, inner in rule.items():
            if not name.startswith("$"):
                yield name.partition(".")[0]
            yield from _attributes_in(inner)
    elif isinstance(rule, list | tuple):
        for inner in rule:
            yield from _attributes_in(inner)


def _texts_in(rule: Any) -> Iterator[str]:
    """The texts that a rule compares with."""
    if isinstance(rule, str):
        yield rule
    elif isinstance(rule, Mapping):
        for inner in rule.values():
            yield from _texts_in(inner)
    elif isinstance(rule, list | tuple):
        for inner in rule:
            yield from _texts_in(inner)
