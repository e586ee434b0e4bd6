"""SDKs of browsers, as they are published, on a page of another origin; nothing leaves for anybody else."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from profiles.identity.lookup import find_profile
from profiles.models import Event
from profiles.tracking.sources.sources import NewSource
from tests.browser.sites import Quiet, Site, running, wait_for
from tests.sdk.arrived import check_arrival
from tests.sdk.relay import CUT, REFUSE, Relay

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("sdk")]

# What a page of a shop says, in the SDKs' own words: the same methods in all of them.
CALLS = """
sdk.page("Shop", "Product", {n: 0});
sdk.track("Product Viewed", {n: 1, sku: "A-1", price: 19.9, tags: ["a", "ü"], nested: {deep: [1, null]}});
sdk.identify("u-1", {n: 2, firstName: "Zoë", email: "zoe@example.com"});
sdk.track("Added to Cart", {n: 3, sku: "A-1", quantity: 2});
sdk.group("g-1", {n: 4, plan: "team"});
SCREEN
sdk.alias("u-2", "u-1");
sdk.track("Order Completed", {n: 6, order_id: "o-1"});
"""
SCREEN = 'sdk.screen("Settings", {n: 5});'

# The stub everybody copies: calls wait in a list until the script is there.
SNIPPET = """
var analytics = window.analytics = []; analytics._writeKey = KEY; analytics._cdn = HOST;
analytics._loadOptions = OPTIONS;
["track", "identify", "page", "group", "alias", "screen"].forEach(function (name) {
  analytics[name] = function () { analytics.push([name].concat([].slice.call(arguments))); };
});
var sdk = analytics;
"""
PACKAGE = """
var analytics = AnalyticsNext.AnalyticsBrowser.load({writeKey: KEY, cdnURL: HOST}, OPTIONS);
var sdk = analytics;
"""
CUSTOMER_IO = """
var analytics = AnalyticsNext.AnalyticsBrowser.load({writeKey: KEY, cdnURL: HOST + "/customerio"}, OPTIONS);
var sdk = analytics;
"""
RUDDER = """
var sdk = new rudderanalytics.RudderAnalytics();
sdk.load(KEY, HOST, {configUrl: HOST, logLevel: "ERROR", storage: {cookie: {samesite: "Lax"}}});
"""
UMD = "/npm/@segment/analytics-next/dist/umd"
CUSTOMER_IO_UMD = "/npm/@customerio/cdp-analytics-browser/dist/umd"
BUNDLED = "/npm/@rudderstack/analytics-js/dist/npm/modern/bundled/umd"


class _Files(Quiet):
    """The site's pages, and under /npm the packages as they were installed."""

    def do_GET(self) -> None:
        site, packages = self.server.owner
        path = urlsplit(self.path).path
        if path.startswith("/npm/"):
            return self.answer(200, (packages / path[5:]).read_bytes(), Content_Type="text/javascript")
        found = site.pages.get(path)
        if found is None:
            return self.answer(204 if path == "/favicon.ico" else 404)
        return self.answer(200, found.encode(), Content_Type="text/html; charset=utf-8")


@pytest.fixture
def site(npm_sdks: Path) -> Iterator[Site]:
    pages = Site()
    with running(_Files, (pages, npm_sdks)) as server:
        pages.address = server.address
        yield pages


class Surfing:
    """Pages of the site in a browser; every address anything was asked of is in ``asked``."""

    def __init__(self, page: Page, site: Site, relay: Relay, key: str) -> None:
        self.page, self.site, self.relay, self.key = page, site, relay, key
        self.asked: list[str] = []
        self.problems: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    def open(self, start: str, script: str, *, options: dict[str, Any] | None = None) -> None:
        """A page that starts the SDK with ``start`` before or after its ``script``, and then makes the calls."""
        words = {"KEY": self.key, "HOST": self.relay.address, "OPTIONS": options or {}}
        for name, value in words.items():
            start = start.replace(name, json.dumps(value))
        calls = CALLS.replace("SCREEN", "" if start.startswith("\nvar sdk") else SCREEN)
        tag = f'<script src="{script}"></script>'
        inline = f"<script>{start}{calls}</script>"
        is_stub = script.endswith("standalone.js")
        path = self.site.put("/shop", "<h1>Shop</h1>", inline + tag if is_stub else tag + inline)
        self.page.goto(path + "?utm_source=letter")

    def check(self, count: int) -> None:
        wait_for(self.page, lambda: len(self.relay.sent()) >= count and not self.relay.faults)
        hosts = {urlsplit(url).netloc for url in self.asked if url.startswith("http")}
        assert hosts == {urlsplit(self.site.address).netloc, urlsplit(self.relay.address).netloc}
        assert self.problems == []


@pytest.fixture
def surf(
    chromium: Browser, site: Site, relay: Relay, web_source: NewSource
) -> Iterator[Callable[..., Surfing]]:
    contexts = []

    def go(*, clock: datetime.timedelta | None = None) -> Surfing:
        context = chromium.new_context(locale="de-DE")
        contexts.append(context)
        if clock is not None:
            context.clock.install(time=datetime.datetime.now(datetime.UTC) + clock)
        return Surfing(context.new_page(), site, relay, web_source.write_key)

    yield go
    for context in contexts:
        context.close()


WAYS = {
    "segment-snippet": (SNIPPET, f"{UMD}/standalone.js", 8),
    "segment-package": (PACKAGE, f"{UMD}/index.js", 8),
    "customerio": (CUSTOMER_IO, f"{CUSTOMER_IO_UMD}/index.js", 8),
    "rudder": (RUDDER, f"{BUNDLED}/index.js", 7),  # it has no screen()
}


@pytest.mark.parametrize("way", WAYS)
def test_a_page_delivers(surf: Callable[..., Surfing], relay: Relay, web_source: NewSource, way: str) -> None:
    start, script, count = WAYS[way]
    surfing = surf()
    surfing.open(start, script)
    surfing.check(count)
    events = check_arrival(relay, web_source.source.pk)
    assert sorted(row.properties["n"] for row in events.values() if "n" in row.properties) == sorted(
        {0, 1, 2, 3, 4, 5, 6} - ({5} if way == "rudder" else set())
    )
    viewed = next(row for row in events.values() if row.name.name == "Product Viewed")
    assert viewed.properties["nested"] == {"deep": [1, None]}
    assert viewed.context["page"]["path"] == "/shop"
    assert viewed.context["campaign"]["source"] == "letter"
    assert viewed.context["locale"] == "de-DE"
    zoe = find_profile("customer_id:u-1").root
    assert (zoe.first_name, zoe.email) == ("Zoë", "zoe@example.com")
    if way != "rudder":  # that one sends everything at once, so its alias may be the first to arrive
        assert viewed in Event.objects.of_profiles(zoe.pk)


@pytest.mark.parametrize("way", WAYS)
def test_calls_that_failed_are_sent_again_once(
    surf: Callable[..., Surfing], relay: Relay, web_source: NewSource, way: str
) -> None:
    # Customer.io's client takes every answer for a yes; what got none it sends again.
    faults = [CUT, CUT] if way == "customerio" else [REFUSE, CUT]
    relay.faults.extend(faults)
    start, script, count = WAYS[way]
    surfing = surf()
    surfing.open(start, script)
    surfing.check(count)
    wait_for(surfing.page, lambda: len({item["messageId"] for item in relay.reached()}) == count)
    wait_for(surfing.page, lambda: len(relay.passed) >= count + 2)
    check_arrival(relay, web_source.source.pk)


def test_a_batch_leaves_with_the_page(
    surf: Callable[..., Surfing], relay: Relay, web_source: NewSource
) -> None:
    """What waits for a fuller batch is sent when the visitor goes."""
    batching = {"strategy": "batching", "config": {"size": 100, "timeout": 60_000}}
    surfing = surf()
    surfing.open(
        PACKAGE, f"{UMD}/index.js", options={"integrations": {"Segment.io": {"deliveryStrategy": batching}}}
    )
    surfing.page.wait_for_function("analytics.instance && analytics.instance.initialized")
    surfing.page.evaluate("analytics.track('Last look', {n: 7}).then(() => 0)")  # it is in the batch
    assert relay.passed == []
    surfing.page.goto(surfing.site.put("/next", "Next"))
    surfing.check(9)
    check_arrival(relay, web_source.source.pk)


def test_a_browsers_wrong_clock_is_corrected(
    surf: Callable[..., Surfing], relay: Relay, web_source: NewSource
) -> None:
    before = datetime.datetime.now(datetime.UTC)
    surfing = surf(clock=datetime.timedelta(hours=3))
    start, script, count = WAYS["segment-package"]
    surfing.open(start, script)
    surfing.check(count)
    events = check_arrival(relay, web_source.source.pk, by_clock=False)
    for row in events.values():
        assert before <= row.occurred_at <= datetime.datetime.now(datetime.UTC)
        assert row.envelope["marks"] == ["skewed"]
