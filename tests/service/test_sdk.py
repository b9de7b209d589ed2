"""The browser's script as it is served: small, at addresses that caches may trust, with types that tell the truth."""

import gzip
import hashlib
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

from flask.testing import FlaskClient

from tests.service.processes import REPOSITORY

_NODE = Path(sys.executable).with_name("node")
_TSC = REPOSITORY / "tests" / "clients" / "web" / "node_modules" / "typescript" / "bin" / "tsc"


def test_the_script_is_at_most_four_kilobytes_packed(client: FlaskClient) -> None:
    response = client.get("/sdk.js", headers={"Accept-Encoding": "br, gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert len(response.data) <= 4000
    assert gzip.decompress(response.data) == client.get("/sdk.js").data


def test_the_script_is_for_every_page_and_asked_for_again_when_it_has_changed(client: FlaskClient) -> None:
    first = client.get("/sdk.js")
    assert first.headers["Access-Control-Allow-Origin"] == "*"
    assert first.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert first.headers["Cache-Control"] == "public, max-age=300"
    again = client.get("/sdk.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    packed = client.get("/sdk.js", headers={"Accept-Encoding": "gzip", "If-None-Match": first.headers["ETag"]})
    assert packed.status_code == 200


def test_a_pinned_script_is_kept_for_ever_and_has_the_digest_that_is_shown(client: FlaskClient) -> None:
    addresses = client.get("/sdk.json").json
    assert addresses is not None
    pinned = client.get(addresses["src"])
    assert pinned.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert pinned.headers["Access-Control-Allow-Origin"] == "*"
    assert addresses["integrity"] == "sha384-" + b64encode(hashlib.sha384(pinned.data).digest()).decode()
    assert pinned.data == client.get("/sdk.js").data


def test_there_is_no_script_of_another_version(client: FlaskClient) -> None:
    response = client.get("/sdk/0000000000000000.js")
    assert (response.status_code, response.json["code"]) == (404, "not_found")
    assert "immutable" not in response.headers["Cache-Control"]


def test_the_script_holds_neither_comments_nor_a_way_to_run_texts(client: FlaskClient) -> None:
    lines = client.get("/sdk.js").text.splitlines()
    assert not [line for line in lines if line.startswith(("//", " ")) or not line]
    assert not [line for line in lines if "innerHTML" in line or "eval(" in line or "document.write" in line]


RIGHT = """
(window.bespoke ||= []).push((bespoke) => bespoke.consent("measure"));
bespoke.identify("ann");
bespoke.assign("spring-mailing", { womens: true }).then(({ arm, role, propensity, message, segment, cause }) => {
  const chance: number | null = propensity;
  const name: string | null = role === "control" ? null : arm;
  return [chance, name, message?.["subject"], segment, cause === "fallback"];
});
const counted: Promise<boolean> = bespoke.expose("spring-mailing");
const kept: boolean = bespoke.track("Order Completed", { revenue: 59.9 });
document.addEventListener("bespoke:assigned", (event) => { event.preventDefault(); event.detail.arm?.trim(); });
"""
WRONG = {
    "a level that is none": 'bespoke.consent("all");',
    "no experiment": "bespoke.assign();",
    "attributes that are no object": 'bespoke.assign("spring-mailing", "womens");',
    "an assignment that is used before it is there": 'bespoke.assign("spring-mailing").arm;',
    "an arm that may be missing": 'bespoke.assign("spring-mailing").then(({ arm }) => arm.trim());',
    "a member that is not there": 'bespoke.assign("spring-mailing").then(({ token }) => token);',
    "a visitor by number": "bespoke.identify(5);",
    "a list that waits for names": '(window.bespoke ||= []).push("track");',
    "a cause that is none": 'bespoke.assign("x").then(({ cause }) => cause === "random");',
}


def type_errors(folder: Path, program: str, types: str) -> str:
    """What TypeScript finds wrong with a program that uses the script."""
    (folder / "sdk.d.ts").write_text(types)
    (folder / "program.ts").write_text(program)
    command = [_NODE, _TSC, "--noEmit", "--strict", "--lib", "es2022,dom", "--types", "", "sdk.d.ts", "program.ts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def test_a_program_that_uses_the_script_as_it_is_meant_has_the_right_types(client: FlaskClient, tmp_path: Path) -> None:
    assert type_errors(tmp_path, RIGHT, client.get("/sdk.d.ts").text) == ""


def test_a_program_that_uses_the_script_wrongly_is_told_so(client: FlaskClient, tmp_path: Path) -> None:
    program = "\n".join(WRONG.values())
    found = type_errors(tmp_path, program, client.get("/sdk.d.ts").text)
    lines = {int(line.partition("(")[2].partition(",")[0]) for line in found.splitlines() if line.startswith("program")}
    assert {name for number, name in enumerate(WRONG, start=1) if number not in lines} == set()
