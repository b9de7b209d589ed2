"""Local paths: where a page may send somebody on, which is never another server."""

HOME = "/"

_LONGEST = 2000


def is_local(path: str) -> bool:
    """Whether browsers understand it as a path of this server, whatever they make of its characters."""
    return (
        path.startswith("/")
        and not path.startswith("//")
        and "\\" not in path
        and path.isprintable()
        and len(path) <= _LONGEST
    )
