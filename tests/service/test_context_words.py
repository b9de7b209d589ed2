"""Contexts in words."""

import pytest

from experiments.model import Attribute
from service.campaigns.context_words import context_words

ATTRIBUTES = {
    "age": Attribute("number", True, (30, 60)),
    "member": Attribute("boolean", True),
    "city": Attribute("string", True, ("Bonn",)),
    "tags": Attribute("list", True, ("news", "sale")),
}


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ('{"age":0}', "age under 30"),
        ('{"age":1,"member":true}', "age 30 to 60, member yes"),
        ('{"age":2,"member":false}', "age 60 and more, member no"),
        ('{"city":"Bonn"}', "city Bonn"),
        ('{"city":null,"tags":["news",null]}', "city other, tags news and other"),
        ('{"tags":[]}', "tags none"),
        ("{}", ""),
    ],
)
def test_a_context_is_said_as_people_say_it(context: str, words: str) -> None:
    assert context_words(context, ATTRIBUTES) == words
