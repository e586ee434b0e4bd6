"""Tracking while the broker or the database is away: nothing that was sent is lost."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from playwright.sync_api import Browser

from cdp.actors import Actor
from cdp.invariants import violations
from profiles.models import Event, Receipt
from profiles.tracking.sources.sources import create_source
from tests.browser.sites import READY, WAITING, Site, SitePages, running, snippet, wait_for
from tests.faults.harness import Bench, served, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]


@pytest.fixture
def address(bench: Bench, tmp_path: Path) -> Iterator[str]:
    """The address of a product on the bench's servers."""
    bench.ready(beat=False)
    bench.manage("collectstatic", "--noinput", "--verbosity", "0")
    with served(bench, tmp_path / "web.log") as address:
        wait_until(lambda: ask(address, "/healthz")[0] == 200, what="the door answers")
        yield address


def ask(
    address: str, path: str, body: dict[str, Any] | None = None, **headers: str
) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of an answer, whatever it is."""
    data = None if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(address + path, data, named)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


def track(name: str) -> dict[str, Any]:
    return {"anonymousId": "b1", "event": name, "messageId": f"m-{name}"}


def test_tracking_needs_no_broker(bench: Bench, address: str) -> None:
    key = create_source(name="Shop", kind="server", actor=Actor.system()).write_key
    with bench.redis.client() as client:
        client.config_set("maxmemory", "1")
        full = ask(address, "/v1/track", track("full"), X_Write_Key=key)
        client.config_set("maxmemory", "256mb")
    bench.redis.kill()
    away = ask(address, "/v1/identify", {"userId": "u1", "messageId": "m-away"}, X_Write_Key=key)
    assert (full[0], away[0]) == (200, 200), (full, away)
    assert Receipt.objects.filter(message_id__in=["m-full", "m-away"], outcome="applied").count() == 2


def test_what_was_sent_while_the_database_was_away_arrives_once_it_is_back(
    bench: Bench, address: str, chromium: Browser
) -> None:
    made = create_source(name="Site", kind="web", actor=Actor.system())
    server = create_source(name="Server", kind="server", actor=Actor.system()).write_key
    site, context = Site(), chromium.new_context()
    with running(SitePages, site, "localhost") as pages:
        site.address = pages.address
        page = context.new_page()
        site.put("/shop", "", snippet(address, made.write_key, page="off"))
        page.goto(site.address + "/shop")
        page.wait_for_function(READY)
        page.evaluate("cdp.track('Before')")
        wait_for(page, lambda: page.evaluate(WAITING) == 0)

        connection.close()
        bench.postgres.stop("immediate")
        status, headers, text = ask(address, "/v1/track", track("refused"), X_Write_Key=server)
        problem = json.loads(text)
        assert (status, problem["code"]) == (503, "unavailable")
        assert int(headers["Retry-After"]) > 0
        status, headers, text = ask(
            address, "/admin/profiles/profile/", Cookie="sessionid=of-somebody-signed-in"
        )
        assert status == 503
        assert "Traceback" not in text
        assert "psycopg" not in text
        assert "connection" not in text
        page.evaluate("cdp.track('During', {n: 1}); cdp.identify('u-7', {city: 'Oslo'}); cdp.flush()")
        page.wait_for_timeout(1500)
        assert page.evaluate(WAITING) == 2
        # Somebody who leaves and comes back while it lasts.
        page.goto(site.address + "/shop")
        page.wait_for_function(READY)
        assert page.evaluate(WAITING) == 2

        bench.postgres.restart()
        page.wait_for_function(f"({WAITING})() === 0", timeout=60_000)
        status, _, text = ask(address, "/v1/track", track("refused"), X_Write_Key=server)
        assert (status, json.loads(text)["accepted"]) == (200, 1)
    context.close()

    events = Event.objects.filter(source=made.source).select_related("name").order_by("occurred_at", "id")
    assert [event.name.name for event in events] == ["Before", "During", "identify"]
    assert len({event.profile_id for event in events}) == 1
    during = events[1]
    assert during.received_at > during.occurred_at
    assert Event.objects.filter(name__name="refused").count() == 1
    assert violations() == []
