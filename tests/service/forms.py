"""Forms as browsers send them: every field of a page that is not disabled, with the value that it shows."""

from html.parser import HTMLParser


class _Fields(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, str]] = []
        self._select = ""
        self._text: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        name = "" if "disabled" in found else found.get("name", "")
        if tag == "input" and name and (found.get("type") != "checkbox" or "checked" in found):
            self.sent.append((name, found.get("value", "on")))
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and "selected" in found and "value" in found:
            self.sent.append((self._select, found["value"]))
        elif tag == "textarea" and name:
            self.sent.append((name, ""))
            self._text = ""
        elif tag == "option" and self._select and "selected" in found:
            self.sent.append((self._select, ""))
            self._text = ""

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("textarea", "option") and self._text is not None:
            self.sent[-1] = (self.sent[-1][0], self._text.removeprefix("\n"))
            self._text = None


def fields_of(page: str) -> dict[str, str]:
    """What the form of the set-up sends as the page stands; of one name the texts are lines."""
    form = page[page.index('<form id="setup"'):]
    parser = _Fields()
    parser.feed(form[: form.index("</form>")])
    fields: dict[str, str] = {}
    for name, text in parser.sent:
        fields[name] = f"{fields[name]}\n{text}" if name in fields else text
    return fields
