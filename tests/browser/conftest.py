"""A real Chromium on a live server: pages open as somebody, and whatever the browser refused is collected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from django.test import Client
from playwright.sync_api import Browser, Page, Request

from cdp.models import User
from tests.browser.sites import Platform, Recorder, Site, SitePages, running

SHAPES: Sequence[tuple[int, Literal["light", "dark"]]] = ((1280, "light"), (390, "dark"))
# A report of what it has no objection to takes as long again; its own fetching of style sheets would count as a
# refused request.
AXE_OPTIONS = {"resultTypes": ["violations"], "preload": False}


@dataclass
class Visit:
    """A page of the live server, and what went wrong on it."""

    page: Page
    address: str
    problems: list[str] = field(default_factory=list)

    def open(self, path: str) -> Visit:
        self.page.goto(self.address + path)
        return self

    def check_shapes(self) -> None:
        """``check`` on a desk in light colors and on a phone in dark ones, without loading the page again."""
        for width, scheme in SHAPES:
            self.page.set_viewport_size({"width": width, "height": 900})
            # Without motion, so that no button is on its way from one color to the other.
            self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            self.check()

    def check(self) -> None:
        """No refused style or script, no failed request, nothing axe objects to, no sideways scrolling."""
        from axe_playwright_python.sync_playwright import Axe

        assert self.problems == [], self.page.url
        found = Axe().run(self.page, options=AXE_OPTIONS).response["violations"]
        said = [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in found
            for node in one["nodes"]
        ]
        assert said == [], self.page.url
        wider = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wider == 0, f"{self.page.url} scrolls sideways by {wider} px"


def _note_failure(visit: Visit, request: Request) -> None:
    """What the page could not load; a request is also aborted by leaving the page, which is nobody's fault."""
    if request.failure != "net::ERR_ABORTED":
        visit.problems.append(f"{request.url} {request.failure}")


@pytest.fixture
def visit(chromium: Browser, live_server: Any, transactional_db: None) -> Iterator[Callable[..., Visit]]:
    """``visit(ada, "/admin/")`` opens a page as ada; ``width``, ``dark`` and ``js`` as the browser has them."""
    contexts = []

    def go(user: User | None, path: str, *, width: int = 1280, dark: bool = False, js: bool = True) -> Visit:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=js,
        )
        contexts.append(context)
        if user is not None:
            client = Client()
            client.force_login(user)
            cookie = client.cookies["sessionid"].value
            context.add_cookies([{"name": "sessionid", "value": cookie, "url": live_server.url}])
        page = context.new_page()
        visit = Visit(page, live_server.url)
        page.on("pageerror", lambda error: visit.problems.append(str(error)))
        page.on(
            "console",
            lambda message: (
                visit.problems.append(message.text) if message.type in ("error", "warning") else None
            ),
        )
        page.on("requestfailed", lambda request: _note_failure(visit, request))
        return visit.open(path)

    yield go
    for context in contexts:
        context.close()


@pytest.fixture
def platform() -> Iterator[Recorder]:
    """A server in the product's place, which writes down what a page sends."""
    recorder = Recorder()
    with running(Platform, recorder) as server:
        recorder.address = server.address
        yield recorder


@pytest.fixture
def site() -> Iterator[Site]:
    """Pages of a shop, of another origin than the platform."""
    pages = Site()
    with running(SitePages, pages, "localhost") as server:
        pages.address = server.address
        yield pages
