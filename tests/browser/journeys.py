"""What the journeys have in common: work between two pages, downloads, the keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cdp.jobs import run_to_end
from cdp.models import Job
from tests.browser.conftest import Visit

SHAPES = [(1280, False), (390, True)]  # width, dark


def work() -> None:
    """What a worker would do by now: the open job, to its end."""
    run_to_end(Job.objects.filter(state="queued").get())


def check(visit: Visit, *, heading: str, shapes: bool = False) -> None:
    """The page with this heading is there, in order for everybody, and nothing was refused on the way.

    ``shapes``: on a desk and on a phone.
    """
    visit.page.get_by_role("heading", name=heading).first.wait_for()
    # The browser calls a navigation that became a download, and a poll it left behind, aborted.
    visit.problems[:] = [problem for problem in visit.problems if "ERR_ABORTED" not in problem]
    if shapes:
        visit.check_shapes()
    else:
        visit.check()


def download(visit: Visit, locator: Any, folder: Path) -> Path:
    """The file behind a link or button, under the name the server gave it."""
    with visit.page.expect_download() as caught:
        locator.click()
    path = folder / caught.value.suggested_filename
    caught.value.save_as(path)
    return path


_FOCUSED = """() => {
    const element = document.activeElement, style = getComputedStyle(element);
    const isSeen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
    return [(element.getAttribute("aria-label") || element.textContent).trim(), isSeen, element.outerHTML];
}"""


def tab_to(visit: Visit, name: str, *, stops: int = 150) -> None:
    """Press Tab until the control with this name has the focus; each stop on the way must be seen."""
    for _ in range(stops):
        visit.page.keyboard.press("Tab")
        found, is_seen, markup = visit.page.evaluate(_FOCUSED)
        assert is_seen or markup.startswith("<body"), f"no visible focus: {markup[:200]}"
        if found == name:
            return
    raise AssertionError(f"{name} is not reached by {stops} × Tab on {visit.page.url}")
