"""A file of pairs from the upload to the undo, as somebody with a browser sees it; wide, narrow and dark."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdp.jobs import run_to_end
from cdp.models import User
from profiles.editing.additions import set_lock
from profiles.models import Merge, MergeBatch
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/admin/profiles/mergebatch/"


def shoot(seen: Any, name: str) -> None:
    if folder := os.environ.get("SHOTS"):
        seen.page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def test_a_file_of_pairs(
    visit: Callable[..., Any], make_user: Callable[..., User], by_staff: dict[str, Any], tmp_path: Path
) -> None:
    dan = make_user("dan", "data admin")
    people = [
        make_profile(first_name="Ann", last_name=f"No {n}", city="Oslo" if n % 2 else "Rome")
        for n in range(14)
    ]
    set_lock(profile_id=people[3].pk, is_locked=True, **by_staff)
    file = tmp_path / "pairs.csv"
    file.write_text(
        "winner,loser\nnobody@example.com,#1\n"
        + "".join(f"#{a.pk},#{b.pk}\n" for a, b in zip(people[::2], people[1::2], strict=True))
    )
    seen = visit(dan, LIST)
    seen.check()
    seen.page.get_by_role("link", name="Merge the pairs of a file").first.click()
    seen.check()
    seen.page.set_input_files("#file", str(file))
    seen.page.get_by_role("button", name="Upload and check").click()
    seen.page.get_by_text("“nobody@example.com” matches nobody.").wait_for()
    shoot(seen, "batch-problems")
    seen.problems.clear()  # the answer's 400 is meant
    seen.check()
    seen.page.get_by_label("Leave out the lines that cannot be read").check()
    seen.page.set_input_files("#file", str(file))
    seen.page.get_by_role("button", name="Upload and check").click()
    seen.page.get_by_text("1 line matches nobody and is left out.").wait_for()
    seen.page.get_by_text("nothing has been merged yet").wait_for()
    shoot(seen, "batch-ready")
    seen.check()
    seen.page.get_by_role("button", name="Merge 6 pairs").click()
    seen.page.get_by_role("heading", name="Merging", exact=True).wait_for()
    seen.check()
    batch = MergeBatch.objects.get()
    assert batch.job is not None
    run_to_end(batch.job)
    assert Merge.objects.active().count() == 6
    for width, dark in ((1280, True), (360, False)):
        report = visit(dan, f"{LIST}{batch.pk}/change/", width=width, dark=dark)
        report.page.get_by_role("heading", name="What happened").wait_for()
        shoot(report, f"batch-done-{width}")
        report.check()
        visit(dan, LIST, width=width, dark=dark).check()
    report.page.get_by_role("link", name="Undo all…").click()
    report.check()
    report.page.get_by_role("button", name="Undo 6 merges").click()
    report.page.get_by_role("heading", name="Undoing, the latest merge first").wait_for()
    batch.refresh_from_db()
    assert batch.undo_job is not None
    run_to_end(batch.undo_job)
    assert not Merge.objects.active().exists()
