"""The set-up form in words: what each field is called, what helps to fill it in, what can be chosen."""

from typing import NamedTuple

from experiments.policy_kinds import FIXED
from experiments.policy_kinds import usable_kinds

#: What can be chosen, in the order of the page: the word of the document, and what it means.
Options = tuple[tuple[str, str], ...]


class Field(NamedTuple):
    """A field of the form: its name, label and hint, what can be chosen, and what stands for leaving it out."""

    name: str
    label: str
    hint: str = ""
    options: Options = ()
    default: str = ""
    unit: str = ""
    is_long: bool = False
    is_narrow: bool = False


OBJECTIVES: Options = (
    ("conversion", "More people who do it: the goal's rate"),
    ("revenue", "More money: what the goal brings in"),
    ("profit", "More profit: what it brings in, less what the messages cost"),
)
SEGMENT_KINDS: Options = (
    ("behavioral", "Behavioural: what they did, such as what they bought"),
    ("demographic", "Demographic: who they are, such as their age"),
    ("geographic", "Geographic: where they are"),
    ("psychographic", "Psychographic: what they care about"),
    ("firmographic", "Firmographic: what kind of company they work for"),
)
TYPES: Options = (
    ("string", "Text"), ("number", "Number"), ("boolean", "Yes or no"), ("version", "Version, such as 2.10.1"),
    ("list", "List"),
)
ROLES: Options = (
    ("mass", "For everybody: the one message"), ("tailored", "Tailored: made for segments"),
    ("control", "Control: shows nothing, to compare with"),
)
METRIC_KINDS: Options = (
    ("conversion", "Whether a visitor does it (counts once)"), ("count", "How often a visitor does it"),
    ("value", "How much it adds up to, such as revenue"), ("retention", "Whether a visitor does it again later"),
)
METRIC_ROLES: Options = (
    ("goal", "The goal: it decides (exactly one)"), ("secondary", "To look at, beside the goal"),
    ("guardrail", "A guardrail: must stay within a limit"),
)
MATURITIES: Options = (
    ("observed", "Compare messages sent on the same day"), ("corrected", "Allow for conversions still to come"),
    ("matured", "Wait until everybody's window is over"),
)

BASICS = (
    Field("name", "Name", "What you and your colleagues call the campaign."),
    Field(
        "key", "Key", "The short name by which programs know it: small letters, digits, - _ and the full stop. "
        "Left blank, it is made of the name.",
    ),
    Field("hypothesis", "What do you expect, and why?", "One or two sentences, to be held against the result.",
          is_long=True),
    Field("objective", "What should get better?", options=OBJECTIVES, default="conversion"),
    Field("currency", "Currency", "Three capital letters, such as EUR.", is_narrow=True),
    Field("audience", "How many people do you plan to reach?",
          "Tells whether a tailored message repays what it costs to make.", is_narrow=True),
)
ADVANCED_BASICS = (
    Field(
        "local_evaluation", "May GrowthBook's SDKs decide by themselves?",
        "Only if your developers ask for it: the rules are then public.",
        options=(("false", "No"), ("true", "Yes")), default="false",
    ),
)
IMPACT = (
    Field(
        "decision_impact", "Does it affect people legally, or as much?",
        "As prices, credit or jobs do. Then you set the shares, and no policy moves them by itself.",
        options=(("false", "No"), ("true", "Yes")), default="false",
    ),
    Field("decision_override", "If traffic moves by itself all the same: why may it?",
          "Such as a person who looks at each decision. It is kept in the audit log.", is_long=True),
)
SEGMENT = (
    Field("name", "Name"),
    Field("key", "Key", "Left blank, it is made of the name."),
    Field("kind", "Kind", options=SEGMENT_KINDS),
)
REVIEW = Field(
    "review_by", "Look at it again by", "A day such as 2027-03-01: tastes change. May be left blank.", is_narrow=True
)
SPECIAL = (
    Field(
        "special", "Does the segment say something of such things?",
        options=(("", "Go by its words"), ("true", "Yes"), ("false", "No: somebody has looked")),
    ),
    Field("legal_basis", "If so, on which legal basis?", "Such as the explicit consent that you ask for, and where.",
          is_long=True),
)
ARM = (
    Field("key", "Short name", "What reports call it: small letters, digits, - _ and the full stop."),
    Field("role", "Who is it for?", options=ROLES),
    Field("channel", "Channel", "Where it goes: web, email, sms, …", is_narrow=True),
)
COSTS = (
    Field(
        "cost_per_exposure", "Cost each time it is shown or sent",
        'Such as 0.02. If it gets cheaper by volume: [{"from": 0, "cost": 0.02}, {"from": 10000, "cost": 0.012}]',
    ),
    Field("fixed_cost", "Cost of making it, once", is_narrow=True),
)
METRIC = (
    Field("event", "Event", "The name your shop sends, such as Order Completed."),
    Field("key", "Key", "Left blank, it is made of the event."),
    Field("role", "What is it for?", options=METRIC_ROLES),
    Field("kind", "What counts?", options=METRIC_KINDS),
    Field("window", "For how long after the message?", "14d is 14 days, 6h are 6 hours. 14d if left blank.",
          is_narrow=True),
    Field("value", "What one is worth", "In the currency; not where amounts are added up.", is_narrow=True),
    Field("limit", "Limit", "For a guardrail: the most per visitor, such as 0.02 for 2 in 100.", is_narrow=True),
)
ADVANCED_METRIC = (
    Field("property", "Property with the amount", "Where amounts are added up: the event's property, such as revenue.",
          is_narrow=True),
    Field("cap", "The most that counts of one visitor",
          "Needed where amounts are added up, so that one big order does not decide.", is_narrow=True),
    Field("from", "Counts only after", "For doing it again later: 14d is from the 15th day on.", is_narrow=True),
    Field("direction", "Which way is better?", options=(("increase", "More"), ("decrease", "Less")),
          default="increase"),
    Field("source", "Whose events count?",
          options=(("any", "Everybody's"), ("server", "Only those that your servers send")), default="any"),
)
CONTROL_SHARE = Field(
    "control_share", "How many get nothing, to compare with?", "Needs a control among the messages.", unit="%",
    is_narrow=True,
)
ADVANCED_POLICY = (
    Field("every", "How often may shares move?", "1h is every hour, which is meant if it is left blank.",
          is_narrow=True),
    Field("min_share", "The least that every message gets", "5 if left blank.", unit="%", is_narrow=True),
    Field("max_step", "The most that a share moves at once", "25 if left blank.", unit="%", is_narrow=True),
    Field("burn_in", "Visitors of each message before shares move", "100 if left blank.", is_narrow=True),
    Field("burn_in_conversions", "Conversions of a segment before its shares move", "10 if left blank.",
          is_narrow=True),
    Field("maturity", "What about people who may still convert?",
          options=(("", "Decide by what is known (usual)"), *MATURITIES)),
    Field("half_life", "When is what was learnt half forgotten?", "Such as 30d. Left blank, never.", is_narrow=True),
    Field("epsilon", "The share for the rest", "Where nearly all goes to what leads; 10 if left blank.", unit="%",
          is_narrow=True),
    Field("shares", "Fixed shares", 'Where shares are kept: {"one-letter": 0.5, "womens-letter": 0.5}. Even if left '
          "blank."),
)
#: Fields in which a share is typed as a percentage, while documents and their rules have it as a part of 1.
PERCENTAGES = frozenset(
    field.name for field in (CONTROL_SHARE, *ADVANCED_POLICY) if field.unit == "%"
)

_ONE = {
    "segments": "Segment", "arms": "Message", "metrics": "Metric", "attributes": "Attribute", "rows": "condition",
    "message": "field",
}


def label_of(path: str) -> str:
    """What a summary calls a field, by its path."""
    words = []
    for step in path.split("."):
        name, _, index = step.removesuffix("]").partition("[")
        words.append(f"{_ONE.get(name, name)} {int(index) + 1}" if index else name.replace("_", " "))
    text = ", ".join(words) or "Form"
    return text[0].upper() + text[1:]


def policy() -> Field:
    """The kinds of policies in their own words, the one that is recommended first."""
    words = {name: kind.help for name, kind in usable_kinds().items()}
    first = (("thompson", f"{words.pop('thompson')} (recommended)"), (FIXED, "Keep shares fixed"))
    return Field("kind", "How should traffic be shared out?", options=first + tuple(words.items()), default=FIXED)
