"""The command line: 0 done, 1 refused with a clear line on stderr, 2 wrong usage."""

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest

from experiments.signing import keyring
from experiments.storage.sqlite import connect
from experiments.version import VERSION
from service.cli import COMMANDS
from service.cli import cli
from service.people.links import read_link
from tests.experiments.documents import spring_mailing
from tests.experiments.tampering import tamper
from tests.service.conftest import Run
from tests.service.conftest import Said

KEY = "spring-mailing"


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command, by the words that name it."""
    context = click.Context(group)
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = commands(command, (*path, name)) if isinstance(command, click.Group) else [(*path, name)]
        found.extend(inner)
    return found


def test_it_lists_its_commands(run: Run) -> None:
    said = run("--help")
    assert said.status == 0
    assert all(f"  {name} " in said.out for name in COMMANDS)


@pytest.mark.parametrize("path", commands(cli), ids=" ".join)
def test_each_command_has_help_and_an_example(run: Run, path: tuple[str, ...]) -> None:
    said = run(*path, "--help")
    assert said.status == 0
    assert re.search(rf"Example:\n.*bespoke {' '.join(path)}", said.out)


def test_it_knows_its_version(run: Run) -> None:
    assert VERSION in run("--version").out


@pytest.mark.parametrize(
    "arguments",
    [(), ("nonsense",), ("init", "--nonsense"), ("report",), ("key", "create"), ("key", "create", "--scope", "god"),
     ("serve", "--port", "65536"), ("report", KEY, "--format", "pdf"), ("experiment", "apply", "no-such-file")],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).status == 2


def refused(said: Said, *sayings: str) -> None:
    """It must have been refused in as many lines as are given, each saying its part, and nothing printed."""
    assert said.status == 1
    assert said.out == ""
    lines = said.err.splitlines()
    assert len(lines) == len(sayings)
    assert all(saying in line for saying, line in zip(sayings, lines, strict=True))


@pytest.mark.parametrize(
    "arguments",
    [("key", "list"), ("experiment", "start", KEY), ("report", KEY), ("reallocate",), ("verify",), ("scheduler",)],
    ids=" ".join,
)
def test_what_needs_a_database_says_how_to_make_one(run: Run, arguments: tuple[str, ...]) -> None:
    refused(run(*arguments), "bespoke init")


_EMAIL = "ann@shop.example"
#: What commands must be told, other than those on experiments.
_ARGUMENTS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("serve",): ("--port", "0"),
    ("key", "create"): ("--scope", "admin"),
    ("key", "revoke"): ("bsp_",),
    ("user", "create"): (_EMAIL, "--role", "viewer"),
    ("user", "password"): (_EMAIL,),
    ("user", "remove"): (_EMAIL,),
    ("user", "role"): (_EMAIL, "viewer"),
    ("experiment", "apply"): ("-",),
    ("report",): (KEY,),
    ("replay",): (KEY,),
    ("discover",): (KEY,),
    ("review",): (KEY,),
    ("frequency",): (KEY,),
    ("digest",): ("--all",),
    ("assign",): (KEY, "table.csv"),
    ("record",): ("table.csv",),
    ("opt-out",): ("ann",),
    ("export",): (KEY, "--table", "cells"),
    ("visitor",): ("ann",),
    ("erase",): ("ann",),
    ("backup",): ("copy.db",),
    ("shard", "add"): ("first", "postgresql://database.example/bespoke"),
    ("shard", "move"): ("1", "first"),
    ("shard", "address"): ("first", "postgresql://localhost/first"),
    ("shard", "remove"): ("first",),
    ("spool", "forget"): ("5f3a09c1d2e4b687", "--reason", "its disk has died"),
}
_WITHOUT_A_DATABASE = {("secret", "new"), ("simulate",), ("restore",), ("config",), ("demo",)}


@pytest.mark.parametrize("path", [each for each in commands(cli) if each not in _WITHOUT_A_DATABASE], ids=" ".join)
def test_a_database_of_a_newer_version_is_refused_by_every_command(
    started: Run, tmp_path: Path, path: tuple[str, ...]
) -> None:
    connection = connect(tmp_path / "bespoke.db")
    connection.execute("INSERT INTO migrations (name) VALUES ('9999_tomorrow')")
    connection.close()
    (tmp_path / "table.csv").write_text("id\n")
    arguments = (KEY,) if path[0] == "experiment" else ()
    said = started(*path, *_ARGUMENTS.get(path, arguments), stdin=json.dumps(spring_mailing()))
    refused(said, "bespoke.db is of a newer version, which knows 9999_tomorrow: install that one")


def test_init_makes_the_database_once(run: Run, tmp_path: Path) -> None:
    assert "applied" in run("init").out
    assert "up to date" in run("init").out
    assert (tmp_path / "bespoke.db").exists()


@pytest.mark.parametrize(
    ("name", "value"), [("BESPOKE_PORT", "http"), ("BESPOKE_DATABASE_URL", "mysql://x"), ("BESPOKE_PROT", "1")]
)
def test_a_bad_setting_stops_every_command(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    refused(run("config"), name)


def test_the_settings_are_shown_and_the_secret_is_not(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BESPOKE_SECRET", "a-secret-that-nobody-must-see-anywhere")
    monkeypatch.setenv("BESPOKE_PORT", "8123")
    said = run("config")
    assert "BESPOKE_PORT=8123" in said.out
    assert "nobody-must-see" not in said.out


def test_another_secret_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("init")
    monkeypatch.setenv("BESPOKE_SECRET", "s" * 64)
    refused(run("key", "list"), "secret")


def test_a_key_is_printed_alone_and_only_once(run: Run) -> None:
    run("init")
    key = run("key", "create", "--scope", "client", "--name", "shop", "--origin", "https://shop.example").out
    assert re.fullmatch(r"\S{40,}\n", key)
    listed = run("key", "list").out
    assert key[:12] in listed
    assert key.strip() not in listed
    assert all(word in listed for word in ("client", "shop", "https://shop.example"))


def test_a_revoked_key_is_listed_as_such(run: Run) -> None:
    run("init")
    prefix = run("key", "create", "--scope", "admin").out[:12]
    assert run("key", "revoke", prefix).status == 0
    assert "revoked" in run("key", "list").out
    refused(run("key", "revoke", prefix), prefix)


def test_a_key_that_cannot_be_is_refused(run: Run) -> None:
    run("init")
    refused(run("key", "create", "--scope", "client", "--origin", "shop"), "origin")


def test_an_experiment_is_written_from_a_file_or_from_stdin(run: Run, tmp_path: Path) -> None:
    run("init")
    path = tmp_path / "document.json"
    path.write_text(json.dumps(spring_mailing()))
    assert run("experiment", "apply", str(path)).out == f"{KEY}: draft\n"
    changed = json.dumps(spring_mailing(name="Another name"))
    assert run("experiment", "apply", "-", stdin=changed).out == f"{KEY}: draft\n"


def test_an_experiment_goes_through_its_states(started: Run) -> None:
    for name, state in (("pause", "paused"), ("resume", "running"), ("stop", "stopped"), ("archive", "archived")):
        assert started("experiment", name, KEY).out == f"{KEY}: {state}\n"
    refused(started("experiment", "start", KEY), "archived")


def test_an_unknown_experiment_is_refused(run: Run) -> None:
    run("init")
    for arguments in (("experiment", "start"), ("report",), ("reallocate",)):
        refused(run(*arguments, "unheard-of"), "unheard-of")
    refused(run("report", "unheard-of", "--link"), "unheard-of")


def test_a_document_that_cannot_work_is_refused_problem_by_problem_and_not_stored(run: Run) -> None:
    run("init")
    document = spring_mailing(control_share=2, currency="rubles")
    said = run("experiment", "apply", "-", stdin=json.dumps(document))
    assert said.status == 1
    assert {line.split(":")[1].strip() for line in said.err.splitlines()} >= {"control_share", "currency"}
    refused(run("report", KEY), KEY)


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"key": NaN}', '{"key": 1e999}', '{"key": "\\ud800"}', '{"key": 1, "key": 1}', "[" * 100_000, "\ud800"],
    ids=["empty", "half", "nan", "infinity", "half a pair", "twice", "deep", "not utf-8"],
)
def test_a_text_that_is_not_strict_json_is_refused(run: Run, text: str) -> None:
    run("init")
    said = run("experiment", "apply", "-", stdin=text)
    refused(said, "")
    assert "body" not in said.err


@pytest.mark.parametrize("text", ["[]", "1", "null", '"x"', "true", str(2**70)])
def test_json_that_is_no_object_is_refused(run: Run, text: str) -> None:
    run("init")
    refused(run("experiment", "apply", "-", stdin=text), "")


def test_reallocating_says_what_became_of_it(started: Run) -> None:
    assert re.fullmatch(rf"{KEY}: epoch 1 unchanged\n", started("reallocate", KEY).out)
    assert re.fullmatch(rf"{KEY}: epoch 1 unchanged\n", started("reallocate").out)
    started("experiment", "pause", KEY)
    refused(started("reallocate", KEY), "paused")
    assert started("reallocate") == Said(0, "", "")


def test_the_report_is_shown_in_every_format(started: Run) -> None:
    assert "spring" in started("report", KEY).out.lower()
    report: dict[str, Any] = json.loads(started("report", KEY, "--format", "json").out)
    assert report["experiment"] == KEY
    assert started("report", KEY, "--format", "csv").out.startswith("segment,arm")
    page = started("report", KEY, "--format", "html").out
    assert page.startswith("<!doctype html>")
    # It is a file that stands alone.
    assert not re.search(r"(?:src|href)=.(?!data:|#)", page)


def test_a_link_opens_this_report_for_as_long_as_links_last(
    started: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BESPOKE_PORT", "8123")
    address, text = started("report", KEY, "--link").out.strip().split("?link=")
    assert address == f"http://127.0.0.1:8123/experiments/{KEY}"
    keys = keyring(Path("bespoke.db.secret").read_text().strip().encode())
    expires_ms = read_link(text, KEY, now_ms=0, keyring=keys)
    assert read_link(text, KEY, now_ms=expires_ms - 1, keyring=keys) == expires_ms


def test_verifying_a_sound_database_says_so(started: Run) -> None:
    assert started("verify").status == 0


def test_verifying_names_what_differs(started: Run) -> None:
    tamper_with("UPDATE ledger SET body = replace(body, 'started', 'finished')")
    said = started("verify")
    assert said.status == 1
    assert KEY in said.err


def tamper_with(statement: str) -> None:
    """Change the database behind everybody's back."""
    from pysqlite3 import dbapi2

    connection = dbapi2.connect("bespoke.db")
    tamper(connection, statement)
    connection.commit()
    connection.close()


def test_a_campaign_that_there_is_not_is_refused_by_name(run: Run) -> None:
    refused(run("demo", "--campaign", "criteo"), "'criteo' must be one of hillstrom")


def test_a_user_is_made_listed_and_removed(run: Run) -> None:
    run("init")
    create = ("user", "create", "Ann@Shop.example", "--role", "editor", "--password-stdin")
    made = run(*create, stdin="a long password\r\n")
    assert (made.status, made.out) == (0, "ann@shop.example: editor\n")
    assert re.fullmatch(r"ann@shop\.example  editor  \S+Z\n", run("user", "list").out)
    again = ("user", "password", "ann@shop.example", "--password-stdin")
    assert run(*again, stdin="another password").status == 0
    assert run("user", "remove", "ann@shop.example").status == 0
    assert run("user", "list").out == ""
    assert "audit log is whole" in run("verify").out


@pytest.mark.parametrize(
    ("email", "password", "saying"),
    [
        ("ann@shop.example", "eleven char", "password: must have 12 to 1000 characters, it has 11"),
        ("ann@shop.example", "x" * 1001, "it has 1001"),
        ("ann@shop.example", "", "it has 0"),
        ("ann@shop.example", "ANN@shop.example", "password: it must not be the e-mail itself"),
        ("ann@shop.example", "half a pair \ud800", "password: it must be UTF-8 text"),
        ("ann", "a long enough password", "e-mail: 'ann' must be like ann@shop.example"),
        ("bob@shop.example", "a long enough password", "user 'bob@shop.example' exists already"),
    ],
)
def test_a_user_who_cannot_be_is_refused(run: Run, email: str, password: str, saying: str) -> None:
    run("init")
    run("user", "create", "bob@shop.example", "--role", "viewer", "--password-stdin", stdin="a long enough password")
    refused(run("user", "create", email, "--role", "viewer", "--password-stdin", stdin=password), saying)
    assert run("user", "list").out.count("\n") == 1


def test_a_user_who_is_not_there_cannot_be_changed(run: Run) -> None:
    run("init")
    saying = "e-mail: 'ann@shop.example' is of no user; `bespoke user list` lists them"
    refused(run("user", "remove", "ann@shop.example"), saying)
    refused(run("user", "password", "ann@shop.example", "--password-stdin", stdin="another password"), saying)


def test_weights_are_frozen_finished_and_let_go_by_command(started: Run) -> None:
    frozen = started("experiment", "freeze", "spring-mailing", "--reason", "A holiday.")
    assert frozen.out == "spring-mailing: running\n"
    refused = started("reallocate", "spring-mailing")
    assert (refused.status, "frozen" in refused.err) == (1, True)
    assert started("experiment", "finish", "spring-mailing").status == 0
    assert started("experiment", "unfreeze", "spring-mailing").status == 0
    assert started("experiment", "unfreeze", "spring-mailing").err.endswith("is not frozen\n")
    assert "reason: '' must not be empty" in started("experiment", "pause", "spring-mailing", "--reason", "").err
    assert started("verify").status == 0
