"""The scripts of migrations, read once in a process."""

from functools import cache
from importlib.resources import files


@cache
def scripts_in(*folder: str) -> tuple[tuple[str, str], ...]:
    """The scripts of a folder of this package, in order: name and SQL."""
    place = files("experiments.storage").joinpath(*folder)
    names = sorted(each.name for each in place.iterdir() if each.name.endswith(".sql"))
    return tuple((name.removesuffix(".sql"), (place / name).read_text()) for name in names)
