"""Colours that mean the same everywhere: told apart by colour-blind readers (Okabe and Ito 2008, jfly.uni-koeln.de)."""

from collections import defaultdict
from collections.abc import Mapping

INK = "#1a2332"
MUTED = "#5b6675"
LINE = "#dde2e8"

#: What the inks of a drawing become on a dark page.
DARK_INKS = {INK: "#e8ecf1", MUTED: "#a3adba", LINE: "#36404d"}

#: Controls are grey, messages for all blue, tailored ones warm; further arms of a role take the next shade.
_SHADES_BY_ROLE = {
    "control": ("#9aa5b1", "#b9c1ca", "#7b8794"),
    "mass": ("#0072b2", "#56b4e9", "#3d5a80"),
    "tailored": ("#d55e00", "#e69f00", "#cc79a7", "#a0522d", "#f0b27a"),
}

#: A call that settles nothing has no winner's colour.
CALL_COLOURS = {"tailor": "#d55e00", "mass": "#0072b2", "keep_testing": "#7b8794", "none": "#7b8795"}


#: What is known to have been gained (bluish green); one shade of grey for each arm while nothing is settled.
SAVED = "#009e73"
UNSETTLED = (MUTED, "#9aa5b1", "#7b8794")


def arm_colours(role_by_arm: Mapping[str, str]) -> dict[str, str]:
    """A colour for each arm by its role and its place among arms of that role; controls first, tailored arms last."""
    arms_by_role: dict[str, list[str]] = defaultdict(list)
    for arm, role in role_by_arm.items():
        arms_by_role[role].append(arm)
    return {
        arm: shades[index % len(shades)]
        for role, shades in _SHADES_BY_ROLE.items()
        for index, arm in enumerate(arms_by_role[role])
    }
