"""Exports in a real browser: a filtered list as JSON Lines, found again under Exports, imported unchanged."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdp.actors import Actor
from cdp.models import User
from profiles.bulk.exports import start_export
from tests.browser.journeys import SHAPES, check, download, work
from tests.profile_factory import make_profile

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Go = Callable[..., Any]


def look(seen: Any, name: str) -> None:
    """A picture of the page, where somebody wants to see it."""
    if folder := os.environ.get("LOOK"):
        width = seen.page.viewport_size["width"]
        seen.page.screenshot(path=f"{folder}/{name}-{width}.png", full_page=True)


@pytest.mark.parametrize(("width", "dark"), SHAPES)
def test_a_filtered_list_leaves_and_comes_back(
    visit: Go, mira: User, ada: User, tmp_path: Path, width: int, dark: bool
) -> None:
    for number in range(4):
        make_profile(
            first_name=f"Ann {number}", country="PL", email=f"ann{number}@mail.example", tags=["vip", "=1"]
        )
    make_profile(first_name="Bob", country="DE", email="bob@mail.example")
    seen = visit(mira, "/admin/profiles/profile/exports/", width=width, dark=dark)
    page = seen.page
    check(seen, heading="No exports yet")
    look(seen, "empty")
    seen.open("/admin/profiles/profile/?country=PL")
    page.get_by_role("checkbox", name="Tick Ann 0").check()
    page.get_by_role("checkbox", name="Select all 4 matching").check()
    page.get_by_role("button", name="Export…").click()
    check(seen, heading="Export 4 people")
    page.get_by_label("Format").select_option("JSON Lines")
    page.get_by_text("Columns", exact=True).click()
    page.get_by_role("checkbox", name="Phone").uncheck()
    look(seen, "confirm")
    check(seen, heading="Export 4 people")
    file = download(seen, page.get_by_role("button", name="Export 4 people"), tmp_path)
    assert file.name == "people.jsonl"
    people = [json.loads(line) for line in file.read_text().splitlines()]
    assert [person["first_name"] for person in people] == [f"Ann {number}" for number in range(4)]
    assert (people[0]["tags"], "phone" in people[0]) == (["=1", "vip"], False)

    job = start_export(
        profile_ids=[person["id"] for person in people],
        filters="country=PL&tag=vip",
        actor=Actor.of_user(mira),
    )
    seen.open("/admin/profiles/profile/exports/")
    check(seen, heading="Exports")
    look(seen, "list")
    page.get_by_role("link", name="Export 4 people").first.click()
    check(seen, heading="Export 4 people")
    look(seen, "running")
    work()
    seen.open(f"/admin/profiles/profile/export/{job.pk}/")
    check(seen, heading="Export 4 people")
    page.get_by_text("Country is Poland and Tag is vip").wait_for()
    look(seen, "done")
    assert download(seen, page.get_by_role("link", name="Download CSV"), tmp_path).name == "people.csv"

    imports = visit(ada, "/admin/imports/import/add/", width=width, dark=dark)
    imports.page.get_by_label("File").set_input_files(str(file))
    look(imports, "upload")
    imports.page.get_by_role("button", name="Upload file").click()
    check(imports, heading="How the file is read")
    imports.page.get_by_text("JSON Lines", exact=False).first.wait_for()
    imports.page.locator("#reading summary").click()
    look(imports, "columns")
    imports.page.get_by_role("button", name="Plan the import").last.click()
    work()
    imports.page.reload()
    imports.page.get_by_text("kept as they were").first.wait_for()
    look(imports, "plan")
