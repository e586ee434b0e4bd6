"""cdp.js in a real Chromium, on a page of another origin than the platform, which writes down what it gets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.sites import (
    KEY,
    READY,
    WAITING,
    Recorder,
    Site,
    delivered,
    snippet,
    wait_for,
)

pytestmark = pytest.mark.browser

STORED = "() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"


@pytest.fixture
def browser_of(chromium: Browser) -> Iterator[BrowserContext]:
    """One visitor's browser."""
    context = chromium.new_context(locale="de-AT", timezone_id="Europe/Vienna")
    yield context
    context.close()


@pytest.fixture
def opened(browser_of: BrowserContext, platform: Recorder, site: Site) -> Callable[..., Page]:
    """``opened("<form …>", consent="required")``: a page with the snippet, loaded; errors on it fail the test."""

    def go(
        body: str = "", *, path: str = "/shop", query: str = "", ready: str = READY, **options: str
    ) -> Page:
        page = browser_of.new_page()
        page.on("pageerror", lambda error: pytest.fail(f"the page broke: {error}"))
        options.setdefault("page", "off")
        site.put(path, body, snippet(platform.address, **options))
        page.goto(site.address + path + query)
        page.wait_for_function(ready)
        return page

    return go


def said(page: Page, what: str) -> list[Any]:
    """What the snippet noted for the overlay under that word."""
    return page.evaluate(
        "(word) => { const found = []; cdp.debug((what, about) => what === word && found.push(about ?? null));"
        " cdp.debug(() => {}); return JSON.parse(JSON.stringify(found)) }",
        what,
    )


# --- What a batch holds ---------------------------------------------------------------------------------


def test_a_batch_is_a_simple_request_with_everything_in_it(
    opened: Any, platform: Recorder, site: Site
) -> None:
    page = opened(page="on", query="?utm_source=news&utm_campaign=spring&secret=1#part")
    page.evaluate("cdp.track('Product Viewed', {sku: 'A-1'}, {externalIds: [{type: 'card', id: '7'}]})")
    page.evaluate("cdp.update({plan: 'gold'}); cdp.group(9, {name: 'Acme'}); cdp.alias('42')")
    page.evaluate("cdp.page('Checkout', {step: 2}); cdp.page({step: 3}); cdp.identify({first_name: 'Ann'})")
    page.evaluate("cdp.consent({channel: 'email', purpose: 'newsletter', state: 'granted'})")
    delivered(page)

    assert platform.preflights == 0
    call = platform.calls[0]
    assert call.path == "/v1/batch"
    assert call.headers["content-type"] == "text/plain;charset=UTF-8"
    assert "cookie" not in call.headers
    assert call.body["writeKey"] == KEY
    about = call.body["context"]
    assert about["library"] == {"name": "cdp.js", "version": page.evaluate("cdp.version")}
    assert (about["locale"], about["timezone"]) == ("de-AT", "Europe/Vienna")
    assert about["screen"] == {"width": 1280, "height": 720}
    assert "Chrome" in about["userAgent"]

    items = platform.items()
    assert [item["type"] for item in items] == [
        "page", "track", "update", "group", "alias", "page", "page", "identify", "consent",
    ]  # fmt: skip
    viewed, tracked, updated, grouped, aliased, checkout, third, _, agreed = items
    assert viewed["context"]["page"] == {
        "path": "/shop",
        "referrer": "",
        "title": "/shop",
        "url": f"{site.address}/shop",
    }
    assert viewed["context"]["campaign"] == {"source": "news", "name": "spring"}
    assert "secret" not in json.dumps(items)
    assert (tracked["event"], tracked["properties"]) == ("Product Viewed", {"sku": "A-1"})
    assert tracked["context"]["externalIds"] == [{"type": "card", "id": "7"}]
    assert updated["traits"] == {"plan": "gold"}
    assert (grouped["groupId"], grouped["traits"]) == (9, {"name": "Acme"})
    assert (aliased["userId"], aliased["previousId"]) == ("42", page.evaluate("cdp.anonymousId()"))
    assert (checkout["name"], checkout["properties"], third["properties"]) == (
        "Checkout",
        {"step": 2},
        {"step": 3},
    )
    assert (agreed["channel"], agreed["purpose"], agreed["state"]) == ("email", "newsletter", "granted")
    assert len({item["messageId"] for item in items}) == len(items)
    assert {item["anonymousId"] for item in items} == {page.evaluate("cdp.anonymousId()")}


def test_calls_made_before_it_loads_are_kept_in_order(opened: Any, platform: Recorder) -> None:
    page = opened(
        "<script>window.cdp = window.cdp || []; cdp.push(['track', 'First']); cdp.push(['nonsense']);"
        "cdp.push(['ready', (cdp) => cdp.track('Second')])</script>"
    )
    delivered(page)
    assert [item["event"] for item in platform.items()] == ["First", "Second"]
    assert len(said(page, "error")) == 1


def test_a_mistake_in_a_call_does_not_break_the_page(opened: Any, platform: Recorder) -> None:
    page = opened()
    assert (
        page.evaluate("(() => { const a = {}; a.a = a; return cdp.track('Loop', a) ?? 'nothing' })()")
        == "nothing"
    )
    page.evaluate("cdp.track('After')")
    delivered(page)
    assert [item["event"] for item in platform.items()] == ["After"]


def test_a_strict_policy_of_the_page_lets_it_work(opened: Any, platform: Recorder, site: Site) -> None:
    site.policy = f"default-src 'none'; script-src {platform.address}; connect-src {platform.address}"
    page = opened(page="on")
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.evaluate("cdp.debug()")
    page.locator("cdp-debug h2").wait_for()
    page.evaluate("cdp.flush()")
    wait_for(page, lambda: page.evaluate(WAITING) == 0)
    assert [item["type"] for item in platform.items()] == ["page"]
    assert refused == []


# --- Nothing is lost ------------------------------------------------------------------------------------


def test_offline_calls_wait_and_keep_their_ids(
    opened: Any, browser_of: BrowserContext, platform: Recorder
) -> None:
    page = opened()
    browser_of.set_offline(True)
    sent = page.evaluate("['One', 'Two'].map((name) => cdp.track(name))")
    page.evaluate("cdp.flush()")
    wait_for(page, lambda: said(page, "failed"))
    assert page.evaluate(WAITING) == 2
    assert platform.calls == []
    browser_of.set_offline(False)
    page.wait_for_function(f"({WAITING})() === 0")
    assert [item["messageId"] for item in platform.items()] == sent


@pytest.mark.parametrize("status", [500, 503, 429, 401])
def test_what_may_go_well_later_is_sent_again_with_the_same_id(
    opened: Any, platform: Recorder, status: int
) -> None:
    page = opened()
    platform.answers = [(status, {}, {"code": "x", "message": "Not now."})]
    sent = page.evaluate("cdp.track('Bought')")
    wait_for(page, lambda: platform.named("track", 200))
    page.wait_for_function(f"({WAITING})() === 0")
    assert [item["messageId"] for item in platform.items(status, 200)] == [sent, sent]


def test_retry_after_is_obeyed_by_the_next_page_too(opened: Any, platform: Recorder) -> None:
    page = opened()
    platform.answers = [(429, {"Retry_After": "3000"}, {})]
    page.evaluate("cdp.track('Bought'); cdp.flush()")
    wait_for(page, lambda: said(page, "failed"))
    page.reload()
    page.wait_for_function(READY)
    page.evaluate("cdp.flush(), new Promise((done) => navigator.locks.request('cdp', done))")
    assert len(platform.calls) == 1
    assert 2990e3 < page.evaluate("localStorage.cdp_wait - Date.now()") < 3001e3
    page.evaluate("localStorage.cdp_wait = Date.now() - 1")
    delivered(page)
    assert [call.status for call in platform.calls] == [429, 200]


def test_what_can_never_be_read_is_not_sent_for_ever(opened: Any, platform: Recorder) -> None:
    page = opened()
    platform.answers = [(400, {}, {"success": False, "code": "invalid_json", "message": "Not JSON."})]
    page.evaluate("cdp.track('Odd')")
    delivered(page)
    wait_for(page, lambda: said(page, "answered"))
    assert said(page, "answered")[0]["code"] == "invalid_json"
    assert len(platform.calls) == 1


def test_leaving_the_page_sends_what_waits(opened: Any, platform: Recorder, site: Site) -> None:
    page = opened()
    site.put("/next", "Next")
    page.evaluate("cdp.track('Clicked'); location.href = '/next'")
    page.wait_for_url("**/next")
    wait_for(page, lambda: platform.named("track"))
    assert platform.preflights == 0
    # Nobody saw the answer: the next page with the snippet repeats it, with the id that makes it one.
    page = opened(path="/again")
    page.wait_for_function(f"({WAITING})() === 0")
    assert {item["messageId"] for item in platform.items()} == {platform.items()[0]["messageId"]}


def test_a_hidden_page_sends_at_most_what_a_browser_carries(opened: Any, platform: Recorder) -> None:
    page = opened()
    page.evaluate("for (let i = 0; i < 12; i++) cdp.track('Large', {text: 'ä'.repeat(5000)})")
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => true});"
        "document.dispatchEvent(new Event('visibilitychange', {bubbles: true}))"
    )
    page.wait_for_function(f"({WAITING})() === 0")
    assert len(platform.calls) >= 3
    assert max(call.bytes for call in platform.calls) <= 64 * 1024
    assert len({item["messageId"] for item in platform.items()}) == 12


def test_a_browser_without_keepalive_uses_a_beacon(opened: Any, platform: Recorder) -> None:
    page = opened()
    page.evaluate(
        "delete Request.prototype.keepalive; cdp.track('Bye'); window.dispatchEvent(new Event('pagehide'))"
    )
    wait_for(page, lambda: platform.named("track"))
    assert platform.calls[0].headers["content-type"] == "text/plain;charset=UTF-8"
    assert platform.preflights == 0


def test_the_queue_is_bounded_and_identify_goes_last(
    opened: Any, browser_of: BrowserContext, platform: Recorder
) -> None:
    page = opened()
    browser_of.set_offline(True)
    page.evaluate("cdp.identify('42'); for (let i = 0; i < 1005; i++) cdp.track('Tick', {i})")
    assert page.evaluate(WAITING) == 1000
    assert [json.loads(text)["properties"]["i"] for text in said(page, "dropped")] == [0, 1, 2, 3, 4, 5]
    page.evaluate("for (let i = 0; i < 40; i++) cdp.track('Large', {text: 'x'.repeat(40000)})")
    assert page.evaluate("Object.values(localStorage).join('').length") <= 1_010_000
    browser_of.set_offline(False)
    page.evaluate("dispatchEvent(new Event('online'))")
    page.wait_for_function(f"({WAITING})() === 0")
    assert [item["userId"] for item in platform.named("identify")] == ["42"]


def test_one_enormous_call_does_not_push_out_the_others(
    opened: Any, browser_of: BrowserContext, platform: Recorder
) -> None:
    page = opened()
    browser_of.set_offline(True)
    page.evaluate("for (let i = 0; i < 20; i++) cdp.track('Tick', {i})")
    assert page.evaluate("cdp.track('Enormous', {text: 'x'.repeat(2e6)}) === undefined")
    page.evaluate("cdp.track('Tick', {i: 20})")
    (dropped,) = [json.loads(text)["event"] for text in said(page, "dropped")]
    assert dropped == "Enormous"
    browser_of.set_offline(False)
    page.evaluate("dispatchEvent(new Event('online'))")
    page.wait_for_function(f"({WAITING})() === 0")
    assert [item["properties"]["i"] for item in platform.named("track")] == list(range(21))


def test_a_page_may_say_which_browser_it_is(opened: Any, platform: Recorder) -> None:
    page = opened(cookie="")
    page.evaluate("cdp.track('One')")
    assert page.evaluate("cdp.anonymousId('of-the-shop')") == "of-the-shop"
    page.evaluate("cdp.track('Two'); cdp.screen('Home', {n: 1})")
    assert page.evaluate("cdp.anonymousId()") == "of-the-shop"
    assert "cdp_id=of-the-shop" in page.evaluate("document.cookie")
    delivered(page)
    one, two = platform.named("track")
    assert one["anonymousId"] != two["anonymousId"] == "of-the-shop"
    (screen,) = platform.named("screen")
    assert (screen["name"], screen["properties"]) == ("Home", {"n": 1})


def test_two_tabs_lose_nothing(opened: Any, platform: Recorder) -> None:
    one, two = opened(), opened(path="/other")
    for page in (one, two, one, two):
        page.evaluate("for (let i = 0; i < 25; i++) cdp.track('Tick'); cdp.flush()")
    for page in (one, two):
        delivered(page)
    items = platform.items()
    # On a machine too slow for the tabs' turns both may send a call: it has its messageId, and counts once.
    assert len({item["messageId"] for item in items}) == 100
    assert len({item["anonymousId"] for item in items}) == 1


def test_a_browser_without_storage_still_sends(
    browser_of: BrowserContext, opened: Any, platform: Recorder
) -> None:
    browser_of.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new Error('no') }})"
    )
    page = opened()
    page.evaluate("cdp.identify('42', {email: 'ann@example.com'}); cdp.track('Bought')")
    wait_for(page, lambda: platform.named("track"))
    assert [item["type"] for item in platform.items()] == ["identify", "track"]
    assert len({item["anonymousId"] for item in platform.items()}) == 1


# --- One browser, two people ----------------------------------------------------------------------------


def test_only_ids_stay_in_the_browser(opened: Any, platform: Recorder) -> None:
    page = opened()
    page.evaluate("cdp.identify('user-4711', {email: 'Ann@Example.com', first_name: 'Ann'})")
    delivered(page)
    kept = page.evaluate(STORED)
    state = json.loads(json.loads(kept)[0]["cdp"])
    assert state["i"] == page.evaluate("cdp.anonymousId()")
    assert isinstance(state["u"], int)
    assert isinstance(state["m"], int)
    for secret in ("@", "ann", "4711"):
        assert secret not in kept.lower().replace(state["i"], "")


@pytest.mark.parametrize(
    ("first", "second", "is_other"),
    [
        ("'1'", "'1'", False),
        ("'1'", "'2'", True),
        ("1", "'1'", False),
        ("{email: 'a@x.example'}", "{email: ' A@X.example'}", False),
        ("{email: 'a@x.example'}", "{email: 'b@x.example'}", True),
        ("{email: 'a@x.example'}", "'1'", False),
        ("{email: 'a@x.example'}", "'1', {email: 'a@x.example'}", False),
        ("{email: 'a@x.example'}", "'1', {'E-Mail': 'b@x.example'}", True),
        ("'1', {email: 'a@x.example'}", "'1', {email: 'b@x.example'}", False),
        ("'1', {email: 'a@x.example'}", "'2', {email: 'a@x.example'}", True),
        ("'1', {email: 'a@x.example'}", "{first_name: 'Ann'}", False),
    ],
)
def test_another_person_gets_another_id(
    opened: Any, platform: Recorder, first: str, second: str, is_other: bool
) -> None:
    page = opened()
    page.evaluate(f"cdp.track('Before'); cdp.identify({first}); cdp.identify({second}); cdp.track('After')")
    delivered(page)
    before, one, two, after = (item["anonymousId"] for item in platform.items())
    assert before == one
    assert two == after
    assert (one != two) is is_other
    # The second is the known one from now on.
    page.evaluate(f"cdp.identify({second})")
    delivered(page)
    assert platform.items()[-1]["anonymousId"] == after


def test_reset_starts_anew(opened: Any, platform: Recorder) -> None:
    page = opened()
    page.evaluate("cdp.identify('1'); cdp.reset(); cdp.track('After'); cdp.identify('2')")
    delivered(page)
    ann, after, ben = (item["anonymousId"] for item in platform.items())
    assert ann != after == ben


def test_the_page_may_say_who_is_logged_in(opened: Any, platform: Recorder) -> None:
    options = {"user_id": "42", "user_hash": "abc"}
    page = opened(**options)
    delivered(page)
    (item,) = platform.items()
    assert (item["type"], item["userId"], item["context"]["userHash"]) == ("identify", "42", "abc")
    # Known by now: not said again on the next page.
    page = opened(**options)
    page.evaluate("cdp.track('Next')")
    delivered(page)
    assert [item["type"] for item in platform.items()] == ["identify", "track"]


def test_the_cookie_outlives_the_storage(
    opened: Any, browser_of: BrowserContext, platform: Recorder, site: Site
) -> None:
    page = opened(cookie="")
    page.evaluate("cdp.track('One')")
    first = page.evaluate("cdp.anonymousId()")
    (cookie,) = browser_of.cookies()
    assert (cookie["name"], cookie["value"], cookie["sameSite"]) == ("cdp_id", first, "Lax")
    assert cookie["expires"] > 0
    page.evaluate("localStorage.clear()")
    assert page.evaluate("cdp.anonymousId()") == first
    # What the site's server set wins, with the day it writes beside it.
    browser_of.add_cookies([{"name": "cdp_id", "value": "from-the-server.20000", "url": site.address}])
    page.evaluate("cdp.track('Two')")
    assert page.evaluate("cdp.anonymousId()") == "from-the-server"
    page.evaluate("cdp.identify('1'); cdp.identify('2')")
    assert page.evaluate("cdp.anonymousId()") not in (first, "from-the-server")
    assert browser_of.cookies()[0]["value"] == page.evaluate("cdp.anonymousId()")
    # A “no” stays where the server sees it; a “yes” begins anew.
    page.evaluate("cdp.consent('withdrawn'); cdp.track('Never')")
    assert browser_of.cookies()[0]["value"] == "0"
    page.evaluate("cdp.consent('granted')")
    assert browser_of.cookies()[0]["value"] == page.evaluate("cdp.anonymousId()") != "0"


# --- Consent --------------------------------------------------------------------------------------------


def test_before_consent_nothing_is_kept_or_sent(opened: Any, platform: Recorder) -> None:
    page = opened(consent="required", cookie="", page="on", path="/consent")
    page.evaluate("cdp.identify({email: 'ann@example.com'}); cdp.track('Viewed'); cdp.flush()")
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    assert json.loads(page.evaluate(STORED)) == [{}, {}, ""]
    pending = page.evaluate("cdp.anonymousId()")
    for _ in range(150):
        page.evaluate("cdp.track('Tick')")
    assert json.loads(said(page, "dropped")[-1])["event"] == "Tick"
    assert platform.calls == []

    page.evaluate("cdp.consent('granted')")
    delivered(page)
    kinds = [item["type"] for item in platform.items()]
    assert len(kinds) == 100
    assert kinds.count("identify") == 1
    assert {item["anonymousId"] for item in platform.items()} == {pending}
    assert "cdp_id=" + pending in json.loads(page.evaluate(STORED))[2]

    # The next page remembers the yes; a no deletes everything and ends it.
    page = opened(consent="required", cookie="", path="/consent")
    page.evaluate("cdp.track('Second')")
    delivered(page)
    assert platform.items()[-1]["event"] == "Second"
    page.evaluate("cdp.track('Waiting'); cdp.consent('withdrawn'); cdp.track('Never')")
    assert json.loads(page.evaluate(STORED)) == [{}, {}, ""]
    page.evaluate("cdp.consent('granted'); cdp.track('Third')")
    delivered(page)
    assert [item["event"] for item in platform.named("track")[-2:]] == ["Second", "Third"]


def test_a_no_counts_where_nobody_asked(opened: Any, platform: Recorder) -> None:
    page = opened(page="on")
    delivered(page)
    page.evaluate("cdp.consent('withdrawn'); cdp.track('Never')")
    assert json.loads(page.evaluate(STORED))[0] == {"cdp": '{"c":0}'}
    page = opened(page="on", path="/second")
    page.evaluate("cdp.identify('1'); cdp.flush()")
    assert json.loads(page.evaluate(STORED))[0] == {"cdp": '{"c":0}'}
    assert len(platform.items()) == 1


@pytest.mark.parametrize("word", ["true", "'yes'", "'YES'", "'granted'", "'Granted'"])
def test_every_yes_means_yes(opened: Any, platform: Recorder, word: str) -> None:
    page = opened(consent="required")
    page.evaluate(f"cdp.track('Waiting'); cdp.consent({word})")
    delivered(page)
    assert [item["event"] for item in platform.named("track")] == ["Waiting"]


@pytest.mark.parametrize("word", ["false", "'no'", "'denied'", "'Withdrawn'"])
def test_every_no_means_no(opened: Any, platform: Recorder, word: str) -> None:
    page = opened(consent="required")
    page.evaluate(f"cdp.consent('granted'); cdp.track('Waiting'); cdp.consent({word}); cdp.track('Never')")
    assert json.loads(page.evaluate(STORED)) == [{}, {}, ""]
    assert platform.named("track") == []


@pytest.mark.parametrize(
    "word", ["'maybe'", "undefined", "null", "{}", "1", "''", "{marketing: true}", "'not granted'"]
)
def test_what_is_neither_changes_nothing(opened: Any, platform: Recorder, word: str) -> None:
    page = opened()
    page.evaluate("cdp.identify('42')")
    delivered(page)
    before = page.evaluate(STORED)
    page.evaluate(f"cdp.consent({word})")
    assert page.evaluate(STORED) == before
    assert said(page, "error")
    # While somebody looks, it throws.
    thrown = "(() => { cdp.debug(() => {}); try { cdp.consent(%s) } catch (error) { return error.name } })()"
    assert page.evaluate(thrown % word) == "TypeError"
    assert page.evaluate("cdp.push(['consent', 'maybe'], ['track', 'Still'])") is None
    delivered(page)
    assert [item["event"] for item in platform.named("track")] == ["Still"]


def test_a_consent_for_messages_goes_as_it_is_said(opened: Any, platform: Recorder) -> None:
    page = opened()
    for state in ("false", "'no'", "'unsubscribed'", "true"):
        page.evaluate(
            "(state) => cdp.consent({channel: 'email', purpose: 'news', state: eval(state)})", state
        )
    delivered(page)
    states = [item["state"] for item in platform.items() if item["type"] == "consent"]
    assert states == [False, "no", "unsubscribed", True]


def test_a_no_in_one_tab_counts_in_the_other(opened: Any, platform: Recorder) -> None:
    one, two = opened(consent="required"), opened(consent="required", path="/other")
    two.evaluate("cdp.track('Before')")
    one.evaluate("cdp.consent('granted')")
    wait_for(two, lambda: platform.named("track"))
    one.evaluate("cdp.consent('withdrawn')")
    two.wait_for_function("localStorage.length === 0")
    two.evaluate("cdp.track('After'); cdp.flush()")
    assert json.loads(two.evaluate(STORED)) == [{}, {}, ""]
    assert len(platform.items()) == 1


def test_a_browser_that_asks_not_to_be_tracked(
    opened: Any, browser_of: BrowserContext, platform: Recorder
) -> None:
    browser_of.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {get: () => true})")
    page = opened(gpc="honor", page="on")
    assert json.loads(page.evaluate(STORED)) == [{}, {}, ""]
    page.evaluate("cdp.consent('granted')")
    delivered(page)
    assert [item["type"] for item in platform.items()] == ["page"]


# --- Forms ----------------------------------------------------------------------------------------------

FORM = """<form data-cdp-form="Newsletter" action="/subscribe" method="post" id="form">
<input type="email" name="mail" data-cdp-field="email" required>
<input name="first" data-cdp-field="first_name"><input name="not_annotated" value="private">
<input name="empty" data-cdp-field="city">
<input type="password" name="pw" data-cdp-field="pw" value="hunter2">
<input name="shown" autocomplete="current-password" data-cdp-field="shown" value="hunter2">
<input name="card" autocomplete="cc-number" data-cdp-field="card" value="4111111111111111">
<input type="hidden" name="csrfmiddlewaretoken" data-cdp-field="csrf" value="hunter2">
<input type="hidden" name="campaign" data-cdp-field value="spring">
<input type="checkbox" name="terms" data-cdp-field="terms" checked>
<input type="radio" name="plan" value="a" data-cdp-field="plan"><input type="radio" name="plan" value="b" data-cdp-field="plan" checked>
<select name="topics" data-cdp-field="topics" multiple><option selected>cats<option>dogs<option selected>owls</select>
<input type="file" name="photo" data-cdp-field="photo">
<input name="off" data-cdp-field="off" value="x" disabled>
<button name="go" value="weekly">Weekly</button><button name="go" value="daily">Daily</button></form>"""


def test_a_tagged_form_says_what_was_annotated_and_goes_its_way(
    opened: Any, platform: Recorder, site: Site
) -> None:
    page = opened(FORM)
    anonymous = page.evaluate("cdp.anonymousId()")
    page.fill("[name=first]", "Ann")
    page.click("text=Daily")  # Without the e-mail the browser holds it back.
    page.fill("[name=mail]", "ann@example.com")
    page.click("text=Daily")
    page.wait_for_url("**/subscribe")
    (posted,) = map(parse_qs, site.posted)
    assert (posted["go"], posted["pw"], posted["card"]) == (["daily"], ["hunter2"], ["4111111111111111"])

    wait_for(page, lambda: platform.named("identify"))
    event, known = platform.items()[:2]
    assert (event["type"], event["event"]) == ("track", "form.submit")
    fields = {
        "email": "ann@example.com",
        "first_name": "Ann",
        "campaign": "spring",
        "terms": True,
        "plan": "b",
        "topics": ["cats", "owls"],
    }
    assert event["properties"] == {
        "form": "Newsletter",
        "fields": fields,
        "button": {"name": "go", "value": "daily"},
    }
    assert (known["type"], known["traits"], known["anonymousId"]) == ("identify", fields, anonymous)
    assert "hunter2" not in json.dumps([call.body for call in platform.calls])
    assert "4111" not in json.dumps([call.body for call in platform.calls])


def test_secrets_are_told_in_the_overlay(opened: Any) -> None:
    page = opened(
        FORM + "<script>form.addEventListener('submit', (event) => event.preventDefault())</script>"
    )
    page.fill("[name=mail]", "ann@example.com")
    page.click("text=Weekly")
    assert said(page, "skipped") == ["pw", "shown", "card", "csrf", "photo"]


def test_forms_that_came_later_and_forms_a_script_sends(opened: Any, platform: Recorder) -> None:
    page = opened()
    page.evaluate(
        """() => {
        const form = document.createElement("form");
        form.innerHTML = '<input name="mail" data-cdp-field="Email"><button>Go</button>';
        form.setAttribute("data-cdp-form", "Late");
        form.addEventListener("submit", (event) => { event.preventDefault(); event.stopPropagation(); form.reset(); });
        document.body.append(form);
    }"""
    )
    page.fill("[name=mail]", "ann@example.com")
    page.keyboard.press("Enter")
    delivered(page)
    event, known = platform.items()
    assert event["properties"]["fields"] == known["traits"] == {"Email": "ann@example.com"}


def test_what_a_page_refuses_does_not_count_when_it_says_so(opened: Any, platform: Recorder) -> None:
    page = opened(
        '<form data-cdp-form="Strict" data-cdp-cancelled="ignore" novalidate>'
        '<input name="mail" data-cdp-field="email" required><button>Go</button></form>'
        "<script>let isRefused = true; document.forms[0].addEventListener('submit', (event) => {"
        "if (isRefused) event.preventDefault(); }); </script>"
    )
    page.click("button")  # Empty: invalid, though the form has no validation of its own.
    page.fill("[name=mail]", "ann@")
    page.click("button")
    page.evaluate("new Promise((done) => setTimeout(done))")
    assert page.evaluate(WAITING) == 0
    page.evaluate("isRefused = false")
    page.fill("[name=mail]", "ann@example.com")
    page.click("button")
    wait_for(page, lambda: platform.named("identify"))
    assert platform.named("identify")[0]["traits"] == {"email": "ann@example.com"}


def test_forms_that_identify_by_id_and_forms_about_somebody_else(opened: Any, platform: Recorder) -> None:
    stay = "<script>addEventListener('submit', (event) => event.preventDefault())</script>"
    page = opened(
        '<form data-cdp-form="Login"><input data-cdp-field="number" data-cdp-identify value="C-9"><button>In</button></form>'
        '<form data-cdp-form="Tell a friend" data-cdp-identify="off"><input data-cdp-field="email" value="ben@example.com">'
        "<button>Tell</button></form><form><input name=q data-cdp-field=q value=x><button>Untagged</button></form>"
        + stay
    )
    for button in ("In", "Tell", "Untagged"):
        page.click(f"text={button}")
    delivered(page)
    items = platform.items()
    assert [item["type"] for item in items] == ["track", "identify", "track"]
    assert items[1]["userId"] == "C-9"
    assert items[2]["properties"]["form"] == "Tell a friend"
    assert len({item["anonymousId"] for item in items}) == 1


def test_the_second_persons_form_is_the_second_persons(opened: Any, platform: Recorder) -> None:
    page = opened(
        FORM + "<script>form.addEventListener('submit', (event) => event.preventDefault())</script>"
    )
    for mail in ("ann@example.com", "ben@example.com"):
        page.fill("[name=mail]", mail)
        page.click("text=Weekly")
    delivered(page)
    ann_form, ann, ben_form, ben = (item["anonymousId"] for item in platform.items())
    assert ann_form == ann != ben_form == ben


# --- The overlay ----------------------------------------------------------------------------------------


def test_the_overlay_says_what_was_sent_and_what_looks_wrong(opened: Any, platform: Recorder) -> None:
    page = opened(query="#cdp-debug")
    overlay = page.locator("cdp-debug")
    panel = overlay.locator("section")
    panel.get_by_text("Nothing was sent yet").wait_for()
    sent = page.evaluate("cdp.track('Added to Cart', {product_sku: 'A'})")
    platform.answers = [
        (
            200,
            {},
            {
                "success": True,
                "errors": [{"messageId": sent, "code": "schema", "message": "sku is missing."}],
            },
        )
    ]
    page.evaluate("cdp.update({mail: 'ann@example.com'})")
    page.click("cdp-debug >> text=Send now")
    overlay.get_by_text("sku is missing.").wait_for()
    text = panel.inner_text()
    assert "A cart event without cart_id" in text
    assert "“product_sku” is called “sku”" in text
    assert "An e-mail in update() identifies nobody" in text
    assert page.evaluate("cdp.anonymousId()") in text
    assert "0 waiting" in text
    page.click("cdp-debug >> text=Close")
    assert overlay.count() == 0
