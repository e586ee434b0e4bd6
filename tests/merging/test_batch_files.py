"""Files of pairs: any identifier or #id; what names no profile is listed by line, column and value."""

from __future__ import annotations

from typing import Any

import pytest

from cdp.errors import Invalid
from profiles.merging.batches.pair_file import read_pairs
from profiles.merging.merge import merge_profiles
from profiles.models import IdentifierType
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def pairs_of(text: str) -> list[tuple[int | None, int, int]]:
    read = read_pairs(text.encode())
    assert read.problems == []
    return [(pair.line_no, pair.winner_id, pair.loser_id) for pair in read.pairs]


def test_cells_name_people_in_many_ways(by_staff: dict[str, Any]) -> None:
    ann = make_profile(email="ann@example.com", identifiers=[("customer_id", "C1")]).pk
    old = make_profile(identifiers=[("customer_id", "77")]).pk
    gone = make_profile(email="old@example.com").pk
    merge_profiles(winner_id=ann, loser_id=gone, **by_staff)
    expected = [(2, ann, old)]
    assert pairs_of(f"winner,loser\nANN@example.com,#{old}\n") == expected
    assert pairs_of(f"\ufeffLoser;name;Winner\r\n#{old};x;email: Ann@Example.com\r\n\r\n") == expected
    assert pairs_of("winner\tloser\nold@example.com\tcustomer_id:77") == expected
    assert pairs_of(f"#{gone},77") == [(1, ann, old)]


def test_what_resolves_to_nothing_is_named(by_staff: dict[str, Any]) -> None:
    IdentifierType.objects.create(name="loyalty_card", label="Card", is_unique=True)
    ann = make_profile(email="ann@example.com", identifiers=[("customer_id", "5")]).pk
    ben = make_profile(identifiers=[("loyalty_card", "5")]).pk
    read = read_pairs(
        f"winner,loser\nann@example.com,nobody@example.com\n#{ann},4711\n5,#{ben}\n#{ann}\n,#0\n"
        f"#{ann},ann@example.com\n#{ann},#{ben}\n".encode()
    )
    assert [(pair.line_no, pair.winner_id, pair.loser_id) for pair in read.pairs] == [(8, ann, ben)]
    assert [(p.line_no, p.column, p.value, p.message) for p in read.problems] == [
        (2, "loser", "nobody@example.com", "“nobody@example.com” matches nobody."),
        (
            3,
            "loser",
            "4711",
            "Nobody has the identifier “4711”. For the profile of this number write #4711.",
        ),
        (
            4,
            "winner",
            "5",
            f"“5” matches 2 people, #{ann} and #{ben}. Write its type in front: customer_id:5.",
        ),
        (5, "", f"#{ann}", "A line has two cells: who survives, and who is merged into them."),
        (6, "winner", "", "The cell is empty. Write an identifier, or # and the profile's number."),
        (6, "loser", "#0", "“#0” matches nobody."),
        (7, "", f"#{ann}, ann@example.com", f"Both are profile #{ann}: they are one person already."),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The file has no pairs. Write one per line: winner, loser."),
        (b"winner,loser\n\n", "The file has no pairs. Write one per line: winner, loser."),
        (b"winner,loser\n1,\xff\n", "Line 2 is not UTF-8. Save the file as “CSV UTF-8”."),
        (b"a\x00,b", "This is not a CSV file: it contains NUL characters."),
    ],
)
def test_what_is_no_table_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_pairs(content)
    assert refused.value.message == message


def test_thousands_of_lines_take_two_queries_a_page(
    by_staff: dict[str, Any], django_assert_num_queries: Any
) -> None:
    ann, ben = make_profile(email="ann@example.com").pk, make_profile().pk
    text = "".join(f"ann{'' if n % 2 else '+'}@example.com,#{ben}\n" for n in range(1, 300))
    with django_assert_num_queries(3):
        read = read_pairs(text.encode())
    assert len(read.pairs) + len(read.problems) == 299
    assert {(pair.winner_id, pair.loser_id) for pair in read.pairs} >= {(ann, ben)}
