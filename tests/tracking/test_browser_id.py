"""A visitor learns which id their browser has, and support finds the person by it."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from django.test import Client

from profiles.search.search import search
from profiles.tracking.snippet.views import FOLDER
from tests.tracking.calls import holder, identify, make_sender, track

pytestmark = pytest.mark.django_db
ID = "3f6c2b1e-8f2d-4c55-9c0a-111111111111"


def test_the_page_shows_the_cookie_that_a_site_shares() -> None:
    client = Client()
    client.cookies["cdp_id"] = ID
    response = client.get("/browser-id/")
    page = response.content.decode()
    assert (response.status_code, f'<code id="cdp-id">{ID}</code>' in page) == (200, True)
    assert "no-store" in response["Cache-Control"]
    assert "sessionid" not in response.cookies
    assert client.post("/browser-id/").status_code == 405


@pytest.mark.parametrize("cookie", [None, "", "0", "<b>", "a" * 300, "x y"])
def test_without_one_it_says_what_to_do(cookie: str | None) -> None:
    client = Client()
    if cookie is not None:
        client.cookies["cdp_id"] = cookie
    page = client.get("/browser-id/").content.decode()
    assert "This page cannot see an id." in page
    assert 'id="cdp-id"' not in page


def test_support_finds_the_person_by_it() -> None:
    sender = make_sender("web")
    track(sender, anonymousId=ID)
    visitor = holder("anonymous_id", ID)
    assert visitor is not None
    assert visitor.pk in search(ID).by_root
    identify(sender, anonymousId=ID, userId="42")
    known = holder("customer_id", "42")
    assert known is not None
    assert known.pk in search(ID).by_root


def test_the_script_for_pages_of_the_site() -> None:
    response = Client().get("/cdp-id.js")
    assert (response.status_code, response["Access-Control-Allow-Origin"]) == (200, "*")
    assert b'getElementById("cdp-id")' in response.content
    node = shutil.which("node")
    if node is None:
        pytest.skip("There is no node to run the script; the browser tests do.")
    program = """
        const place = {textContent: "", style: {}, getAttribute: () => null};
        const run = (stored, cookie) => {
          globalThis.window = globalThis;
          globalThis.cdp = undefined;
          globalThis.localStorage = {getItem: (key) => stored[key] ?? null};
          globalThis.document = {getElementById: () => place, cookie};
          globalThis.addEventListener = () => {};
          (0, eval)(require("fs").readFileSync(process.argv[1], "utf8"));
          return place.textContent;
        };
        console.log(JSON.stringify([
          run({cdp: '{"i":"b-1"}'}, ""),
          run({cdp: '{"c":0}'}, "cdp_id=0"),
          run({}, "a=1; cdp_id=b-2"),
          run({ajs_anonymous_id: '"b-3"'}, ""),
          run({}, "ajs_anonymous_id=%22b-4%22"),
          run({cdp: "broken"}, ""),
        ]));
    """
    done = subprocess.run(
        [node, "-e", program, str(FOLDER / "cdp-id.js")], capture_output=True, text=True, check=True
    )
    none = "none is stored in this browser"
    assert done.stdout.strip() == f'["b-1","{none}","b-2","b-3","b-4","{none}"]'
