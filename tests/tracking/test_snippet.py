"""The snippet's files, the addresses it is served at, and its parts for Django sites."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import json
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import Context, Engine
from django.test import Client, RequestFactory

from profiles.models import Source
from profiles.tracking.snippet import build
from profiles.tracking.snippet.cdp_site import middleware as site
from profiles.tracking.snippet.cdp_site.signing import sign_user as sign_on_site
from profiles.tracking.sources.user_hash import is_signed, sign_user

WEB = "profiles.tracking.snippet.cdp_site"
MIDDLEWARE = f"{WEB}.middleware.AnonymousId"
ID = "3f6c2b1e-8f2d-4c55-9c0a-111111111111"


# --- The files ------------------------------------------------------------------------------------------


def test_the_minified_twin_is_up_to_date() -> None:
    kept = json.loads(build.BUILT.read_text())["sha256"]
    found = {path.name: build.digest(path) for path in (build.SOURCE, build.MINIFIED)}
    assert found == kept, "run make snippet"


def test_the_snippet_is_small_and_alone() -> None:
    text = build.MINIFIED.read_bytes()
    assert build.gzipped_size(text) <= build.MAX_BYTES == 3072
    assert b"import " not in text
    assert b"require(" not in text
    assert b"eval(" not in text
    # ES2019 and later: optional catch binding, optional chaining, nullish coalescing, private fields.
    assert not re.search(rb"catch\s*\{|\?\.[A-Za-z_\[(]|\?\?|#[a-z]+[=(;]", text)


@pytest.mark.parametrize("name", ["cdp.js", "cdp.min.js", "cdp-debug.js"])
def test_the_scripts_are_javascript(name: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("There is no node to read the script; the browser tests run it.")
    done = subprocess.run([node, "--check", str(build.FOLDER / name)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- The addresses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "file"), [("/cdp.js", "cdp.min.js"), ("/cdp-debug.js", "cdp-debug.js")])
def test_a_script_is_served_to_every_page(client: Client, path: str, file: str) -> None:
    plain = client.get(path)
    assert plain.status_code == 200
    assert plain.content == (build.FOLDER / file).read_bytes()
    assert plain["Content-Type"] == "text/javascript; charset=utf-8"
    assert plain["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert plain["Access-Control-Allow-Origin"] == "*"
    assert plain["X-Content-Type-Options"] == "nosniff"
    assert plain["Cache-Control"] == "public, max-age=3600, stale-while-revalidate=604800"
    assert plain["Vary"] == "Accept-Encoding"
    assert not plain.cookies

    zipped = client.get(path, headers={"Accept-Encoding": "gzip, br"})
    assert zipped["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.content) == plain.content
    assert zipped["ETag"] != plain["ETag"]

    known = client.get(path, headers={"If-None-Match": plain["ETag"]})
    assert (known.status_code, known.content) == (304, b"")
    assert known["Cache-Control"] == plain["Cache-Control"]
    assert client.get(path, headers={"If-None-Match": '"old"'}).status_code == 200


def test_other_methods_of_a_script(client: Client) -> None:
    head = client.head("/cdp.js")
    assert (head.status_code, head.content) == (200, b"")
    refused = client.post("/cdp.js")
    assert (refused.status_code, refused["Allow"]) == (405, "GET, HEAD, OPTIONS")


# --- Signatures -----------------------------------------------------------------------------------------


def test_the_site_signs_as_the_platform_checks() -> None:
    source = Source(hash_secret="s3cret")
    signed = sign_on_site("s3cret", 42)
    assert signed == sign_user(source, "42") == hmac.new(b"s3cret", b"42", hashlib.sha256).hexdigest()
    assert is_signed(source, "42", signed)
    assert not is_signed(source, "43", signed)
    assert not is_signed(source, "42", sign_on_site("other", 42))


# --- Template tags --------------------------------------------------------------------------------------


@pytest.fixture
def site_settings(settings: Any) -> Any:
    settings.CDP_URL = "https://cdp.example.com/"
    settings.CDP_WRITE_KEY = 'k"<1>'
    settings.CDP_HASH_SECRET = "s3cret"
    return settings


def render(text: str, **context: Any) -> str:
    engine = Engine(libraries={"cdp_site": f"{WEB}.templatetags.cdp_site"})
    return engine.from_string("{% load cdp_site %}" + text).render(Context(context))


def test_the_tag_renders_the_script_and_escapes(site_settings: Any) -> None:
    assert render("{% cdp_snippet %}") == (
        '<script async src="https://cdp.example.com/cdp.js" data-key="k&quot;&lt;1&gt;"></script>'
    )
    signed = sign_on_site("s3cret", 'a"b')
    known = render("{% cdp_snippet user_id=who %}", who='a"b')
    assert f' data-user-id="a&quot;b" data-user-hash="{signed}"></script>' in known
    assert render("{% cdp_user who %}", who=None) == ""
    site_settings.CDP_HASH_SECRET = ""
    assert render("{% cdp_user 7 %}") == ' data-user-id="7"'


def test_the_tag_says_what_the_settings_say(site_settings: Any) -> None:
    site_settings.CDP_CONSENT_REQUIRED = site_settings.CDP_HONOR_GPC = True
    site_settings.CDP_COOKIE_DOMAIN = ".example.com"
    site_settings.MIDDLEWARE = [MIDDLEWARE]
    tag = render("{% cdp_snippet page=False nonce='n0' %}")
    for part in (
        'nonce="n0"',
        'data-consent="required"',
        'data-gpc="honor"',
        'data-cookie=".example.com"',
        'data-page="off"',
    ):
        assert part in tag
    site_settings.CDP_URL = ""
    with pytest.raises(ImproperlyConfigured, match="Set CDP_URL in the site's settings"):
        render("{% cdp_snippet %}")


# --- The cookie -----------------------------------------------------------------------------------------


def visit(
    cookie: str | None = None, *, secure: bool = True, answer: HttpResponse | None = None, **headers: str
) -> tuple[Any, HttpRequest]:
    """A page opened with that cookie: (the Set-Cookie or None, the request as its view saw it)."""
    request = RequestFactory().get("/", secure=secure, headers=headers)
    if cookie is not None:
        request.COOKIES["cdp_id"] = cookie
    response = site.AnonymousId(lambda _: answer or HttpResponse("<p>"))(request)
    return response.cookies.get("cdp_id"), request


def test_a_new_visitor_gets_a_long_lived_cookie() -> None:
    cookie, request = visit()
    value, day = cookie.value.split(".")
    assert value == request.cdp_anonymous_id
    assert re.fullmatch(r"[0-9a-f-]{36}", value)
    assert int(day) > 20_000
    assert (cookie["max-age"], cookie["samesite"], cookie["path"]) == (400 * 86_400, "Lax", "/")
    assert cookie["secure"]
    assert not cookie["httponly"]
    # The same day it is left alone; an older one, and one the snippet wrote, are renewed as they are.
    assert visit(cookie.value)[0] is None
    assert visit(f"{value}.20000")[0].value == cookie.value
    assert visit(value)[0].value == cookie.value
    assert not visit(secure=False)[0]["secure"]


def test_consent_decides_who_makes_the_cookie(settings: Any) -> None:
    settings.CDP_CONSENT_REQUIRED = True
    cookie, request = visit()
    assert (cookie, request.cdp_anonymous_id) == (None, None)
    # What the snippet wrote after the visitor agreed lives on.
    cookie, request = visit(ID)
    assert cookie.value.startswith(ID + ".")
    assert request.cdp_anonymous_id == ID


def test_a_no_is_kept(settings: Any) -> None:
    cookie, request = visit("0")
    assert (cookie, request.cdp_anonymous_id) == (None, None)
    assert visit(**{"Sec-GPC": "1"})[0] is not None
    settings.CDP_HONOR_GPC = True
    assert visit(**{"Sec-GPC": "1"})[0] is None
    assert visit(DNT="1")[0] is None
    assert visit()[0] is not None


def test_only_pages_set_it_and_caches_are_told() -> None:
    assert visit(answer=JsonResponse({}))[0] is None
    assert visit(answer=HttpResponse("<p>", status=404))[0] is None
    assert visit(answer=HttpResponse("<p>", headers={"Cache-Control": "public, max-age=60"}))[0] is None
    page = HttpResponse("<p>")
    assert visit(answer=page)[0] is not None
    assert page["Vary"] == "Cookie"
    # Junk in its place is replaced, never echoed.
    assert "x y" not in visit('x y;"')[0].value


def test_the_cookie_of_an_async_site() -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.cdp_anonymous_id)

    request = RequestFactory().get("/")
    # A thread of its own: the browser tests leave a running event loop in this one.
    with ThreadPoolExecutor(1) as pool:
        response: HttpResponse = pool.submit(asyncio.run, site.AnonymousId(view)(request)).result()
    assert response.cookies["cdp_id"].value.startswith(response.content.decode())
