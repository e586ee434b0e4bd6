"""Pages by keyset: every row once, forwards and backwards, whatever comes and goes meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp.api.pagination import _beyond, read_cursor, write_cursor
from cdp.api.problems import BadParameter
from profiles.models import Note, Profile
from tests.api.caller import Caller
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def follow(api: Caller, path: str, way: str) -> list[list[int]]:
    pages = []
    while path:
        data = api.get(path.replace("http://testserver", "")).data
        pages.append([row["id"] for row in data["results"]])
        path = data[way] or ""
    return pages


def test_forwards_and_backwards_give_the_same_pages(api: Caller) -> None:
    ids = [make_profile(first_name="P").pk for _ in range(7)][::-1]
    forwards = follow(api, "profiles/?page_size=3", "next")
    assert forwards == [ids[0:3], ids[3:6], ids[6:7]]
    first = api.get("profiles/?page_size=3").data
    assert first["previous"] is None
    second = api.get(first["next"].replace("http://testserver", "")).data
    third = api.get(second["next"].replace("http://testserver", "")).data
    assert third["next"] is None
    assert follow(api, third["previous"], "previous") == [ids[3:6], ids[0:3]]
    back = api.get(third["previous"].replace("http://testserver", "")).data
    assert [
        row["id"] for row in api.get(back["next"].replace("http://testserver", "")).data["results"]
    ] == ids[6:7]
    assert "count" not in first
    assert api.get("profiles/?page_size=3&count=exact").data["count"] == 7


def test_nobody_is_skipped_or_listed_twice_while_profiles_come_and_go(api: Caller) -> None:
    ids = [make_profile(first_name="P").pk for _ in range(6)][::-1]
    page = api.get("profiles/?page_size=2").data
    make_profile(first_name="New")
    api.delete(f"profiles/{ids[2]}/")
    rest = follow(api, page["next"], "next")
    assert [row["id"] for row in page["results"]] + [pk for one in rest for pk in one] == [
        ids[0],
        ids[1],
        *ids[3:],
    ]


def test_empty_list(api: Caller) -> None:
    assert api.get("profiles/").data == {"next": None, "previous": None, "results": []}
    assert api.get("profiles/?count=exact").data["count"] == 0


def test_links_keep_the_filters(api: Caller) -> None:
    for _ in range(3):
        make_profile(first_name="P", tags=["a&b", "c"])
    make_profile(first_name="Q")
    found = follow(api, "profiles/?page_size=2&tag=a%26b&tag=c", "next")
    assert [len(page) for page in found] == [2, 1]


@pytest.mark.parametrize("cursor", ["x", "e30:1tXyz:abc", "", "%00", "W10"])
def test_cursor_of_another_list_or_of_nobody(api: Caller, cursor: str) -> None:
    make_profile(first_name="P")
    expected = 200 if cursor == "" else 400
    assert api.get(f"profiles/?cursor={cursor}").status_code == expected
    foreign = write_cursor(("-created_at", "-id"), ["2026-01-01", 1], is_back=False)
    assert api.get(f"profiles/?cursor={foreign}").status_code == 400
    wrong = write_cursor(("-id",), ["abc"], is_back=False)
    assert api.get(f"profiles/?cursor={wrong}").status_code == 400
    short = write_cursor(("-id",), [], is_back=True)
    assert api.get(f"profiles/?cursor={short}").status_code == 400


@given(st.text(max_size=80))
def test_any_text_is_no_cursor(text: str) -> None:
    with pytest.raises(BadParameter):
        read_cursor(text, ("-id",))


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=12),
    st.sampled_from([("-created_at", "-id"), ("created_at", "id"), ("-created_at", "id")]),
)
def test_keyset_of_two_columns_is_the_order_of_the_database(
    hours: list[int], ordering: tuple[str, ...]
) -> None:
    """Ties in the first column are where keysets go wrong."""
    import datetime

    Note.objects.all().delete()
    person = Profile.objects.first() or make_profile(first_name="P")
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    rows = Note.objects.bulk_create(
        Note(profile=person, text="x", created_at=start + datetime.timedelta(hours=hour)) for hour in hours
    )
    expected = list(Note.objects.order_by(*ordering).values_list("pk", flat=True))
    walked: list[int] = []
    last: Any = None
    while len(walked) < len(rows):
        found = Note.objects.order_by(*ordering)
        if last is not None:
            found = found.filter(_beyond(Note, list(ordering), [last.created_at.isoformat(), last.pk]))
        last = found.first()
        assert last is not None
        walked.append(last.pk)
    assert walked == expected
