"""The standard script tag of other tools, in a real Chromium: its stub's calls arrive, in order, once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page

from tests.browser.sites import (
    KEY,
    WAITING,
    Recorder,
    Site,
    delivered,
    wait_for,
)

pytestmark = pytest.mark.browser

# Written after the documented behavior of the stub: methods put themselves into a list, the newer one with where the
# page was, and load() adds the script.
STUB = """
!function () {
  var key = "analytics", list = window[key] = window[key] || [];
  list.invoked = true;
  list.methods = ["trackSubmit", "trackClick", "trackLink", "trackForm", "pageview", "identify", "reset", "group",
    "track", "ready", "alias", "debug", "page", "screen", "once", "off", "on", "addSourceMiddleware",
    "addIntegrationMiddleware", "setAnonymousId", "addDestinationMiddleware", "register"];
  list.factory = function (method) {
    return function () {
      if (window[key].initialized) return window[key][method].apply(window[key], arguments);
      var parts = Array.prototype.slice.call(arguments);
      if (BUFFERS_PAGE && ["track", "screen", "alias", "group", "page", "identify"].indexOf(method) > -1)
        parts.push({__t: "bpc", c: undefined, p: location.pathname, u: location.href, s: location.search,
          t: document.title, r: document.referrer});
      parts.unshift(method);
      list.push(parts);
      return list;
    };
  };
  for (var i = 0; i < list.methods.length; i++) list[list.methods[i]] = list.factory(list.methods[i]);
  list.load = function (writeKey, options) {
    var script = document.createElement("script");
    script.async = true;
    script.setAttribute("data-global-segment-analytics-key", key);
    script.src = HOST + "/analytics.js/v1/" + writeKey + "/analytics.min.js";
    var first = document.getElementsByTagName("script")[0];
    first.parentNode.insertBefore(script, first);
    list._loadOptions = options;
  };
  list._writeKey = KEY;
}();
"""


@pytest.fixture
def opened(chromium: Browser, platform: Recorder, site: Site) -> Iterator[Callable[..., Page]]:
    """``opened("analytics.page();")``: a page with the standard tag, loaded; errors on it fail the test."""
    context = chromium.new_context()

    def go(calls: str, *, buffers_page: bool = True, options: str = "undefined") -> Page:
        stub = STUB.replace("HOST", json.dumps(platform.address)).replace("KEY", json.dumps(KEY))
        stub = stub.replace("BUFFERS_PAGE", json.dumps(buffers_page))
        page = context.new_page()
        page.on("pageerror", lambda error: pytest.fail(f"the page broke: {error}"))
        load = f"analytics.load({json.dumps(KEY)}, {options});"
        site.put("/shop", "<a id=out href='/next'>out</a>", f"<script>{stub}{load}{calls}</script>")
        site.put("/next", "Next")
        page.goto(site.address + "/shop?utm_source=letter&token=s3cret")
        return page

    yield go
    context.close()


def settled(page: Page) -> None:
    page.wait_for_function("window.analytics.initialized === true")
    delivered(page)


@pytest.mark.parametrize("buffers_page", [True, False])
def test_what_the_stub_kept_arrives_in_order(
    opened: Callable[..., Page], platform: Recorder, buffers_page: bool
) -> None:
    page = opened(
        "var told = window.told = [];"
        "analytics.setAnonymousId('of-the-shop');"
        "analytics.page();"
        "analytics.identify('u-1', {email: 'zoe@example.com', plan: 'pro'}, function () { told.push('identified'); });"
        "analytics.track('Added to Cart', {sku: 'A-1'}, {context: {shop: 'north'}, integrations: {All: true}});"
        "analytics.page('Shop', 'Product', {n: 1});"
        "analytics.group('g-1', {size: 3});"
        "analytics.screen('Home');"
        "analytics.alias('u-2', 'u-1');"
        "analytics.ready(function () { told.push('ready'); });"
        "analytics.on('track', function (event, properties) { told.push([event, properties]); });"
        "analytics.addSourceMiddleware(function () {});",
        buffers_page=buffers_page,
    )
    settled(page)
    items = platform.items()
    assert [item["type"] for item in items] == [
        "page",
        "identify",
        "track",
        "page",
        "group",
        "screen",
        "alias",
    ]
    assert {item["anonymousId"] for item in items} == {"of-the-shop"}
    assert {call.body["writeKey"] for call in platform.calls} == {KEY}
    _, identify, track, named, group, screen, alias = items
    assert (identify["userId"], identify["traits"]) == ("u-1", {"email": "zoe@example.com", "plan": "pro"})
    assert (track["event"], track["properties"]) == ("Added to Cart", {"sku": "A-1"})
    assert (track["context"]["shop"], track["context"]["integrations"]) == ("north", {"All": True})
    assert (named["name"], named["properties"]) == ("Product", {"category": "Shop", "n": 1})
    assert (group["groupId"], group["traits"]) == ("g-1", {"size": 3})
    assert screen["name"] == "Home"
    assert (alias["userId"], alias["previousId"]) == ("u-2", "u-1")
    for item in items:
        assert item["context"]["page"]["path"] == "/shop"
        assert "__t" not in json.dumps(item)
        assert "s3cret" not in json.dumps(item)
    page.wait_for_function("told.length >= 2")
    assert sorted(told for told in page.evaluate("told") if isinstance(told, str)) == ["identified", "ready"]


def test_afterwards_pages_call_it_as_before(opened: Callable[..., Page], platform: Recorder) -> None:
    page = opened("var kept = window.kept = analytics.track;")
    settled(page)
    assert page.evaluate(
        "(async () => {"
        " const seen = []; analytics.on('track', (event) => seen.push('on ' + event));"
        " analytics.once('identify', () => seen.push('once'));"
        " await analytics.identify({plan: 'free'}); await analytics.identify('u-1', {plan: 'pro'});"
        " const context = await analytics.track('One', {n: 1}, () => seen.push('called'));"
        " kept('Two'); analytics.push(['track', 'Three']);"
        " await new Promise((go) => setTimeout(go, 20));"
        " const user = analytics.user();"
        " return [seen, user.id(), user.traits(), user.anonymousId() === cdp.anonymousId(),"
        "  context.event.type, analytics.group().id()]; })()"
    ) == [
        ["once", "on One", "on Two", "on Three", "called"],
        "u-1",
        {"plan": "pro"},
        True,
        "track",
        None,
    ]
    delivered(page)
    assert [item["event"] for item in platform.named("track")] == ["One", "Two", "Three"]
    before = page.evaluate("cdp.anonymousId()")
    page.evaluate("analytics.reset()")
    assert page.evaluate("[analytics.user().id(), cdp.anonymousId()]") != [None, before]
    assert page.evaluate("analytics.user().id()") is None


def test_a_link_is_tracked_and_followed(opened: Callable[..., Page], platform: Recorder) -> None:
    page = opened("")
    settled(page)
    page.evaluate(
        "analytics.trackLink(document.querySelectorAll('a'), 'Left', (link) => ({to: link.getAttribute('href')}))"
    )
    page.click("#out")
    page.wait_for_url("**/next")
    wait_for(page, lambda: platform.named("track"))  # it may arrive behind the next page
    assert [(item["event"], item["properties"]) for item in platform.named("track")] == [
        ("Left", {"to": "/next"})
    ]


def test_options_of_load(opened: Callable[..., Page], platform: Recorder) -> None:
    settled(opened("", options="{initialPageview: true}"))
    assert [item["type"] for item in platform.items()] == ["page"]
    off = opened("analytics.track('One');", options="{disable: true}")
    off.wait_for_timeout(300)
    assert off.evaluate("[!!window.cdp, analytics.length]") == [False, 1]
    assert len(platform.items()) == 1


def test_an_included_snippet_is_used_and_nothing_is_sent_twice(
    opened: Callable[..., Page], platform: Recorder
) -> None:
    page = opened("analytics.track('One');")
    settled(page)
    page.evaluate(
        "(src) => new Promise((go) => document.head.append(Object.assign(document.createElement('script'),"
        " {src, onload: go})))",
        f"{platform.address}/analytics.js/v1/{KEY}/analytics.min.js",
    )
    page.evaluate("analytics.track('Two')")
    delivered(page)
    assert page.evaluate(WAITING) == 0
    assert [item["event"] for item in platform.named("track")] == ["One", "Two"]


def test_the_calls_of_the_migrating_guide(opened: Callable[..., Page], platform: Recorder) -> None:
    """Those in its boxes for pages, run as they stand there."""
    boxes = re.findall(r"```js\n(.*?)```", (settings.BASE_DIR / "docs" / "migrating.md").read_text(), re.S)
    assert len(boxes) >= 3
    page = opened("")
    settled(page)
    for box in boxes:
        page.evaluate(box)
    delivered(page)
    calls = [call for box in boxes for call in re.findall(r"cdp\.(\w+)\(", box)]
    assert [item["type"] for item in platform.items()] == calls
    assert (
        page.evaluate(
            "(() => { const wrong = []; cdp.debug((what, about) => what === 'error' && wrong.push(String(about)));"
            " return wrong; })()"
        )
        == []
    )
