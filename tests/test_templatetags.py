"""Times, numbers and bars as templates say them."""

from __future__ import annotations

import datetime
import re
from xml.etree import ElementTree as ET

import pytest
from django.template import Context, Template
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from cdp.templatetags.cdp import (
    ago,
    ago_by_hour,
    badge_class,
    breakable,
    duration,
    label,
    number,
    sentence,
    split_bar,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0, "0 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (90000, "1 d 1 h"),
        (-3, "0 s"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (1204881, "1,204,881"), (-5, "-5"), (2.25, "2.2"), (61204.4, "61,204"), ("<b>", "<b>")],
)
def test_number(value: object, text: str) -> None:
    assert number(value) == text


def test_ids_take_no_separators() -> None:
    page = Template("{% load cdp %}{{ n|plain }} {{ n|number }} {{ text|number }}")
    assert page.render(Context({"n": 48211, "text": "<b>"})) == "48211 48,211 &lt;b&gt;"


@pytest.mark.parametrize(
    ("back", "text"),
    [
        ({"seconds": 3}, "just now"),
        ({"seconds": 40}, "40 s ago"),
        ({"minutes": 4}, "4 min ago"),
        ({"hours": 5}, "5 h ago"),
        ({"days": 1}, "yesterday"),
        ({"days": 3}, "3 days ago"),
    ],
)
def test_ago(back: dict[str, int], text: str) -> None:
    at = timezone.now() - datetime.timedelta(**back)
    html = ago(at)
    assert f">{text}</time>" in html
    assert f'datetime="{at.isoformat(timespec="seconds")}"' in html
    assert at.strftime("%H:%M:%S UTC") in html


def test_what_is_known_to_the_hour_is_told_by_it() -> None:
    now = timezone.now()
    assert ago_by_hour(now.replace(minute=0, second=0, microsecond=0)) == "this hour"
    earlier = now - datetime.timedelta(hours=3)
    assert ago_by_hour(earlier) == ago(earlier)
    assert ago_by_hour(None) == ""


def test_ago_of_long_ago_and_of_the_future() -> None:
    assert ">1 Mar 2019</time>" in ago(datetime.datetime(2019, 3, 1, tzinfo=datetime.UTC))
    assert "ago" not in ago(timezone.now() + datetime.timedelta(days=2))
    assert ago(None) == ""


def test_states_have_a_color_and_unknown_ones_none() -> None:
    assert (badge_class("failed"), badge_class("done"), badge_class("?")) == ("bad", "ok", "mute")


def test_problems_as_sentences() -> None:
    assert label("duplicate_in_file") == "Duplicate in file"
    assert sentence({"line": 4, "message": "Not a date."}) == "line 4: Not a date."
    assert sentence({"detail": "Gone."}) == "Gone."
    assert sentence("Gone.") == "Gone."


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=5))
def test_parts_of_a_bar_fill_it(counts: list[int]) -> None:
    html = split_bar(*(part for count in counts for part in ("<Part>", count, "new")))
    svg = ET.fromstring(re.match(r"<svg.*?</svg>", html)[0])
    widths = [float(rect.attrib["width"].rstrip("%")) for rect in svg]
    assert sum(widths) == pytest.approx(100 if any(counts) else 0, abs=0.01)
    assert "style" not in html
    assert "<Part>" not in html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("ann@example.com", "ann@example.com"),
        ("clara.fischer@example.com", "clara.<wbr>fischer<wbr>@example.<wbr>com"),
        ("<b>&nobody@example.com", "&lt;b&gt;&amp;nobody<wbr>@example.<wbr>com"),
        ("a" * 30, "a" * 30),
    ],
)
def test_long_values_wrap_at_their_signs(text: str, html: str) -> None:
    assert breakable(text) == html
