"""Explanations: what the words of a report mean, for a reader who has met none of them; each stands here once."""

from typing import NamedTuple


class Explanation(NamedTuple):
    """A word as the page writes it, and what it means."""

    term: str
    text: str


#: By the name that templates ask for.
EXPLANATIONS = {
    "epoch": Explanation(
        "Epoch",
        "One version of the shares in which visitors are given the arms. Each reallocation that moves them makes one.",
    ),
    "worth": Explanation(
        "What the mix is worth",
        "What you gain if each segment gets what is best for it, and everybody else the one message, compared with "
        "sending the one message to all. It counts segments that are still being tested as well.",
    ),
    "call": Explanation(
        "The call",
        "The advice for a segment. Tailor: the message made for it is better. Send the one message: the tailored "
        "one is not better by enough to matter. Keep testing: nobody can tell yet. However often you look, the "
        "chance that any call of Tailor is wrong is at most 5%.",
    ),
    "gain": Explanation(
        "Gain",
        "How much better the tailored message does than the one message in the same segment, per visitor. +0.6 "
        "points means six more conversions among a thousand visitors.",
    ),
    "range": Explanation(
        "Range",
        "The truth lies in the range with 95% certainty. A wide range means that too little was seen, not that a "
        "message is bad. A range that holds zero means that it is not settled.",
    ),
    "share": Explanation("Share of visitors", "How many of all visitors so far belong to this segment."),
    "break_even_visitors": Explanation(
        "Pays for itself",
        "How many visitors a message must reach until its higher fixed cost is earned back by the profit that each "
        "visitor brings more than with the one message.",
    ),
    "visitors": Explanation(
        "Visitors", "People who reached the place where the message stands, in this arm. Each is counted once."
    ),
    "total": Explanation(
        "Conversions", "How many visitors did what the goal names, or, for other goals, how much they did together."
    ),
    "rate": Explanation(
        "Rate",
        "The share of visitors who did what the goal names, or the goal per visitor; corrected for traffic that "
        "moved.",
    ),
    "over_mass": Explanation(
        "Against one message", "How much more this arm brings per visitor than the one message for all does."
    ),
    "over_control": Explanation(
        "Against control", "How much more this arm brings per visitor than sending nothing does."
    ),
    "best": Explanation(
        "Chance of being best",
        "The chance, given what was seen, that no other message of the segment is better. It moves traffic; it "
        "does not make a call, because a chance that is looked at every day is wrong more often than it says.",
    ),
    "weight": Explanation("Weight now", "The share of new visitors that the arm is given at present."),
    "cost": Explanation("Cost", "What showing the message has cost so far, without what it cost to make."),
    "value": Explanation("Value", "What the conversions so far are worth in money."),
    "profit_per_visitor": Explanation("Profit per visitor", "Value less cost, divided by the visitors reached."),
    "roi": Explanation(
        "ROI",
        "Return on investment: how many times what was spent came back on top of it. 3.0x is three times the cost.",
    ),
    "cost_per_conversion": Explanation(
        "Cost per conversion", "What was spent on showing the message for each conversion."
    ),
    "fixed_cost": Explanation("Fixed cost", "What it costs to make the message, however many see it."),
    "gains": Explanation(
        "What tailoring gains",
        "Each line is a segment. The dot is the best estimate of the gain, the line its range. Lines that lie "
        "right of zero are clear gains, those that cross it are open.",
    ),
    "certainty": Explanation(
        "How sure are we",
        "Each curve is a message. It stands over the values that its true rate may have, and is highest over the "
        "likeliest. Narrow curves are sure. Where two curves overlap much, either message may be the better.",
    ),
    "traffic": Explanation(
        "Where visitors were sent",
        "The height of a colour is the share of the segment's visitors that the arm was given at that time. Shares "
        "move to what works, and every arm keeps a little so that the test stays fair.",
    ),
    "savings": Explanation(
        "What moving traffic has earned",
        "What visitors brought because more of them were sent to the better message than an even split would have "
        "sent. The band is the range. Segments with too few visitors to show are left out.",
    ),
    "reach": Explanation(
        "Reach and cost against conversions",
        "How many visitors each arm reached, what that cost, and what came of it. A dear message pays if it brings "
        "enough more conversions.",
    ),
}
