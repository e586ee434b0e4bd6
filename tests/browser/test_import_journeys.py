"""A file's way in a real browser: upload, columns, plan, apply, report, mail, and the rejected rows once more."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdp.models import User
from imports.models import Import
from profiles.models import AttributeDefinition, Profile
from tests.browser.journeys import SHAPES, check, download, tab_to, work
from tests.profile_factory import make_profile

pytestmark = pytest.mark.browser

Go = Callable[..., Any]
ADD = "/admin/imports/import/add/"
FORMULA = "=cmd|' /C calc'!A0"
UGLY = f"""\
Customer ID,First name,Last name,E-mail,Birth date,Country,plan
C-9001,Ann,Nowak,ann.nowak@example.com,1990-02-28,Poland,pro
C-9002,Bob,Lee,bob.lee.example.com,1980-01-02,Germany,free
C-9003,Eve,O'Neil,eve@example.com,31/02/1990,Germany,free
C-9004,Short,Row
C-9005,"{FORMULA}",Formula,formula@example.com,1999-12-31,Germany,team
C-9001,Ann,Nowak,ANN.NOWAK@example.com,,,
C-9006,Max,Blocked,test@test.com,,,
"""


@pytest.fixture
def dana(make_user: Callable[..., User]) -> User:
    """The data admin."""
    return make_user("dana", "data admin")


@pytest.fixture
def ugly(tmp_path: Path) -> Path:
    path = tmp_path / "shop customers.csv"
    path.write_text(UGLY, encoding="utf-8")
    return path


def upload(visit: Any, path: Path) -> None:
    visit.page.get_by_label("File", exact=True).set_input_files(path)
    visit.page.get_by_role("button", name="Upload file").click()


def apply(visit: Any, rows: int) -> None:
    """From the plan to the report, as the page follows it by itself."""
    visit.page.get_by_role("button", name=f"Apply {rows} row").click()
    visit.page.get_by_role("heading", name="Applying the plan").wait_for()
    work()
    visit.page.get_by_role("heading", name="What happened").wait_for()


def plan(visit: Any) -> None:
    visit.page.get_by_role("button", name="Plan the import").click()
    visit.page.get_by_role("heading", name="Planning every row, nothing is changed yet").wait_for()
    work()
    visit.page.get_by_role("heading", name="What will happen").wait_for()


def focused(page: Any, heading: str) -> bool:
    """Whether the focus is on this heading once the page has loaded anew, and screen readers hear of the end."""
    page.get_by_role("heading", name=heading).wait_for()
    page.get_by_role("status").get_by_text("Done").wait_for(state="attached")
    return bool(page.evaluate("document.activeElement.textContent") == heading)


def targets(page: Any) -> list[str]:
    """Where each column goes, in the order of the file."""
    boxes = page.locator("select[data-target]")
    chosen = boxes.evaluate_all("boxes => boxes.map(box => [box.dataset.target, box.value])")
    return [to for _, to in sorted(chosen, key=lambda entry: int(entry[0]))]


def rejected(page: Any) -> list[list[str]]:
    """How often, column and values of each reason for which rows are rejected."""
    reasons = page.locator("ul.rejected > li")
    return [reason.locator(".times, .of, .cell").all_inner_texts() for reason in reasons.all()]


def correct(path: Path) -> None:
    """What a person does with the file of rejected rows."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    head, *rows = rows
    assert head[:3] == ["rejected_line", "rejected_column", "rejected_because"]
    for row in rows:
        by_id = {
            "C-9002": (6, "bob.lee@example.com"),
            "C-9003": (7, "1990-03-31"),
        }
        if row[3] in by_id:
            position, value = by_id[row[3]]
            row[position] = value
        row += [""] * (len(head) - len(row))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])


@pytest.mark.parametrize(("width", "dark"), SHAPES)
def test_an_ugly_file_becomes_people(
    visit: Go,
    dana: User,
    ugly: Path,
    tmp_path: Path,
    live_server: Any,
    settings: Any,
    width: int,
    dark: bool,
) -> None:
    settings.CDP_URL = live_server.url  # what links in mails begin with
    seen = visit(dana, "/admin/imports/import/", width=width, dark=dark)
    page = seen.page
    check(seen, heading="No imports yet")
    page.get_by_role("link", name="Import a file").first.click()
    check(seen, heading="What happens next")
    workbook = tmp_path / "people.csv"
    workbook.write_bytes(b"PK\x03\x04....xl/workbook.xml")
    upload(seen, workbook)
    page.get_by_text("This is an Excel workbook (.xlsx), not a CSV file.").wait_for()
    seen.problems.clear()  # the console tells of the answer 400
    check(seen, heading="Import a file")

    upload(seen, ugly)
    check(seen, heading="Before you go on")
    chosen = targets(page)
    assert chosen[:6] == ["customer_id", "first_name", "last_name", "email", "birth_date", "country"]
    name = page.get_by_label("Name of the new attribute for plan")
    assert not name.is_visible()
    page.get_by_label("Where plan goes").select_option(label="New attribute…")
    name.fill("email")
    page.get_by_label("A cell that cannot be read").select_option(label="Reject the whole row")
    page.get_by_role("button", name="Plan the import").click()
    page.get_by_text("“email” is a name of the system.").wait_for()
    seen.problems.clear()
    check(seen, heading="Before you go on")
    page.get_by_label("Name of the new attribute for plan").fill("plan")
    page.get_by_role("button", name="Plan the import").click()
    check(seen, heading="Planning every row, nothing is changed yet")
    work()
    check(seen, heading="What will happen")
    assert AttributeDefinition.objects.get().name == "plan"
    assert not Profile.objects.exists()
    assert rejected(page) == [
        ["1 ×", "E-mail", "bob.lee.example.com"],
        ["1 ×", "Birth date", "31/02/1990"],
        ["1 ×", "Whole row", "3 cells"],
    ]

    page.get_by_text("“test@test.com” is a placeholder that identifies nobody; it was ignored.").wait_for()
    page.get_by_role("button", name="Apply 3 rows").click()
    check(seen, heading="Applying the plan")
    work()
    check(seen, heading="What happened")
    corrected = download(seen, page.get_by_role("link", name="Download rejected rows"), tmp_path)
    assert corrected.name == "shop_customers-rejected.csv"

    seen.open("/admin/cdp/mail/")
    check(seen, heading="Mailbox")
    page.get_by_role("link", name="Import of shop customers.csv: done, 7 rows").click()
    page.get_by_text("line 4, Birth date: Not a date.").wait_for()
    check(seen, heading="Import of shop customers.csv: done, 7 rows")
    page.locator(".mail-text").get_by_role("link").click()
    check(seen, heading="What happened")

    correct(corrected)
    seen.open(ADD)
    upload(seen, corrected)
    check(seen, heading="Before you go on")
    chosen = targets(page)
    assert chosen[:4] == ["ignore", "ignore", "ignore", "customer_id"]
    assert chosen[-1] == "attributes.plan"
    plan(seen)
    assert rejected(page) == []
    apply(seen, 3)
    check(seen, heading="What happened")
    page.get_by_role("link", name="Show them").click()
    check(seen, heading="People")
    assert page.locator("table.people tbody tr").count() == 3

    for query, name in (
        ("bob.lee@", "Bob Lee"),
        ("C-9003", "Eve O'Neil"),
        ("max blo", "Max Blocked"),
        ("=cmd", FORMULA),
    ):
        seen.open("/admin/profiles/profile/")
        page.get_by_role("search", name="People", exact=True).get_by_role("searchbox").fill(query)
        page.keyboard.press("Enter")
        page.get_by_text("1 person matches").wait_for()
        page.locator("table.people").get_by_role("link", name=name).wait_for()
    assert Profile.objects.count() == 6
    seen.open("/admin/imports/import/")
    check(seen, heading="Imports")


@pytest.mark.parametrize(("width", "dark"), SHAPES)
def test_changes_are_seen_before_they_are_made(
    visit: Go, dana: User, tmp_path: Path, width: int, dark: bool
) -> None:
    ann = make_profile(email="ann@example.com", first_name="Anne", city="Ulm")
    path = tmp_path / "people.csv"
    path.write_text("email,first_name,city,country\nann@example.com,Ann,Bonn,DE\n")
    seen = visit(dana, ADD, width=width, dark=dark)
    page = seen.page
    upload(seen, path)
    page.get_by_role("heading", name="For the whole file").click()
    page.get_by_label("When a person already has a value").select_option(
        label="Replace it with the value in the file"
    )
    page.get_by_text("Give a column its own rule").click()
    page.get_by_label("first_name", exact=True).select_option(label="Keep it; fill only what is empty")
    plan(seen)
    check(seen, heading="Some of the changes")
    rows = page.locator("table.changes tbody tr").all()
    assert sorted(row.locator("td").all_inner_texts()[2:] for row in rows) == [
        ["City", "Ulm", "Bonn"],
        ["Country", "empty", "Germany"],
    ]
    ann.refresh_from_db()
    assert ann.city == "Ulm"
    apply(seen, 1)
    ann.refresh_from_db()
    assert (ann.first_name, ann.city, ann.country) == ("Anne", "Bonn", "DE")


def test_the_keyboard_is_enough(visit: Go, dana: User, ugly: Path) -> None:
    seen = visit(dana, ADD)
    page = seen.page
    page.get_by_label("File", exact=True).set_input_files(ugly)  # the system's own dialog is not ours
    tab_to(seen, "Upload file")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Before you go on").wait_for()
    tab_to(seen, "Where plan goes")
    page.keyboard.press("End")  # the last choice: a new attribute
    tab_to(seen, "Name of the new attribute for plan", stops=1)
    page.keyboard.type("plan")
    tab_to(seen, "Next row")
    page.keyboard.press("Enter")
    page.get_by_text("Bob Lee").wait_for()
    tab_to(seen, "Plan the import")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Planning every row, nothing is changed yet").wait_for()
    work()
    assert focused(page, "What will happen")
    tab_to(seen, "Apply 4 rows")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Applying the plan").wait_for()
    work()
    assert focused(page, "What happened")
    tab_to(seen, "Download rejected rows")


def test_without_scripts(visit: Go, dana: User, ugly: Path) -> None:
    seen = visit(dana, ADD, width=390, js=False)
    page = seen.page
    upload(seen, ugly)
    page.get_by_label("Where plan goes").select_option("new")
    page.get_by_label("Name of the new attribute for plan").fill("plan")
    page.get_by_role("button", name="Plan the import").click()
    work()
    page.get_by_role("link", name="Reload to see how far it is").click()
    page.get_by_role("button", name="Apply 4 rows").click()
    work()
    page.get_by_role("link", name="Reload to see how far it is").click()
    page.get_by_role("heading", name="What happened").wait_for()


def test_a_broken_reading_is_corrected_on_the_page(visit: Go, dana: User, tmp_path: Path) -> None:
    path = tmp_path / "kunden.csv"
    path.write_bytes("Stand: heute\nVorname;E-Mail;Ort\nJörg;joerg@example.com;Łódź\n".encode("cp1250"))
    seen = visit(dana, ADD, width=390)
    page = seen.page
    upload(seen, path)
    check(seen, heading="How the file is read")
    page.get_by_label("Encoding").select_option(label="Windows-1250 (Central Europe)")
    page.get_by_role("combobox", name="Delimiter").select_option("semicolon")
    page.get_by_label("Header in line").fill("2")
    page.get_by_role("button", name="Read again").click()
    page.get_by_text("The file was read again. Look at the columns.").wait_for()
    check(seen, heading="How the file is read")
    assert page.locator(".sample td").all_text_contents() == ["Jörg", "joerg@example.com", "Łódź"]
    plan(seen)
    apply(seen, 1)
    assert Profile.objects.get().city == "Łódź"


def example_files() -> list[Path]:
    root = os.environ.get("CDP_CORPORA", "")
    return sorted(Path(root, "csvkit-examples", "examples").glob("*.csv")) if root else []


@pytest.mark.timeout(1200)
def test_public_example_files(visit: Go, dana: User) -> None:
    """Each is taken to a plan, or refused with a sentence; none ends in an error."""
    files = example_files()
    if not files:
        pytest.skip(
            "Set CDP_CORPORA to a folder with csvkit-examples/examples/*.csv (csvkit's own examples)."
        )
    seen = visit(dana, ADD)
    page, answers = seen.page, []
    page.on("response", lambda answer: answers.append((answer.status, answer.url)))
    ends = []
    for path in files:
        seen.open(ADD)
        upload(seen, path)
        page.get_by_role("button", name="Plan the import").or_(page.get_by_role("alert")).first.wait_for()
        if page.get_by_role("alert").count():
            ends.append((path.name, "refused", page.get_by_role("alert").inner_text()))
            continue
        page.get_by_role("button", name="Plan the import").click()
        page.locator(".steps li[aria-current]", has_text="Plan").or_(
            page.get_by_role("alert")
        ).first.wait_for()
        if page.get_by_role("alert").count():
            ends.append((path.name, "to be mapped", page.get_by_role("alert").inner_text()))
            continue
        work()
        import_ = Import.objects.latest("pk")
        seen.open(f"/admin/imports/import/{import_.pk}/change/")
        page.get_by_role("heading", level=1, name=import_.name).wait_for()
        ends.append((path.name, import_.state, import_.problem))
    assert not [answer for answer in answers if answer[0] >= 500]
    assert all(state == "planned" or sentence.endswith(".") for _, state, sentence in ends), ends
    assert {state for _, state, _ in ends} <= {"planned", "failed", "refused", "to be mapped"}
