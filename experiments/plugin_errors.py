"""What is refused of plug-ins, by name."""

from experiments.errors import BespokeError


class PolicyRefused(BespokeError):
    """A kind of policy that is not installed, that failed, or whose shares cannot be."""

    code = "policy_refused"
