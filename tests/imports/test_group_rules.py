"""Which rows of one file are about the same profile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imports.group_rules import ANOTHER_ROW, GroupedRow, LinkedRow, RowGrouping, RowIdentifier

CUSTOMER, EMAIL, CARD = 1, 2, 3
LIMITS = {CUSTOMER: 1}


def group(
    *rows: tuple[int | None, dict[int, str]],
    stored: dict[int, int] | None = None,
    strict: bool = False,
    root_position: int = -1,
) -> list[GroupedRow]:
    """Rows are (profile, {type: value}); lines count from 1. ``stored``: profile → customer ids it has."""
    grouping = RowGrouping(
        LIMITS,
        lambda root, type_id: (stored or {}).get(root, 0) if type_id == CUSTOMER else 0,
        is_strict=strict,
    )
    for line_no, (root, values) in enumerate(rows, 1):
        identifiers = [
            RowIdentifier(position, type_id, values[type_id])
            for position, type_id in enumerate(sorted(values))
        ]
        grouping.add(LinkedRow(line_no, root, identifiers, root_position))
    return list(grouping.grouped_rows())


def heads(grouped: list[GroupedRow]) -> list[int]:
    return [row.head for row in grouped]


def test_the_same_identifier_is_the_same_profile() -> None:
    assert heads(group((None, {EMAIL: "a"}), (None, {EMAIL: "b"}), (None, {EMAIL: "a"}))) == [1, 2, 1]


def test_through_further_rows() -> None:
    rows = [(None, {EMAIL: "a"}), (None, {CARD: "x"}), (None, {EMAIL: "a", CARD: "x"})]
    assert heads(group(*rows)) == [1, 1, 1]


def test_family_with_one_address_stays_two_profiles() -> None:
    first, second = group((None, {CUSTOMER: "1", EMAIL: "a"}), (None, {CUSTOMER: "2", EMAIL: "a"}))
    assert (first.head, second.head) == (1, 2)
    assert (first.clashes, second.clashes) == ({}, {1: ANOTHER_ROW})


def test_a_known_profile_takes_in_rows_that_share_a_new_identifier() -> None:
    assert heads(group((None, {EMAIL: "a"}), (7, {EMAIL: "a"}))) == [1, 1]
    _, second = group((7, {EMAIL: "a"}), (8, {EMAIL: "a"}))
    assert (second.head, second.clashes) == (2, {0: 7})


def test_what_the_known_profile_has_already_counts() -> None:
    rows = [(7, {EMAIL: "a"}), (None, {CUSTOMER: "2", EMAIL: "a"})]
    assert heads(group(*rows, stored={7: 0})) == [1, 1]
    assert heads(group(*rows, stored={7: 1})) == [1, 2]


def test_strict_imports_leave_out_the_row_that_clashes() -> None:
    rows = [(None, {CUSTOMER: "1", EMAIL: "a"}), (None, {CUSTOMER: "2", EMAIL: "a"}), (None, {CUSTOMER: "2"})]
    grouped = group(*rows, strict=True)
    assert [row.is_conflict for row in grouped] == [False, True, False]


value = st.sampled_from("abcd")
row = st.tuples(
    st.none() | st.sampled_from([7, 8]),
    st.dictionaries(st.sampled_from([CUSTOMER, EMAIL, CARD]), value, max_size=3),
)


def test_a_stronger_new_identifier_counts_more_than_a_weaker_known_one() -> None:
    """An address everybody in the family uses belongs to #7; the file brings a customer id for each."""
    rows: list[tuple[int | None, dict[int, str]]] = [
        (7, {CUSTOMER: "1"}),
        (7, {CUSTOMER: "2"}),
        (None, {CUSTOMER: "2"}),
    ]
    grouped = group(*rows, root_position=1)
    assert [(row.head, row.root) for row in grouped] == [(1, 7), (2, None), (2, None)]


@given(st.lists(row, max_size=12), st.booleans(), st.integers(-1, 2))
def test_no_group_has_two_profiles_and_no_identifier_two_groups(
    rows: list[tuple[int | None, dict[int, str]]], strict: bool, root_position: int
) -> None:
    grouped = group(*rows, stored={7: 1}, strict=strict, root_position=root_position)
    assert [row.line_no for row in grouped] == list(range(1, len(rows) + 1))
    lines_by_head: dict[int, list[int]] = {}
    owners: dict[tuple[int, str], int] = {}
    for row in grouped:
        if row.is_conflict:
            assert strict
            continue
        assert row.head <= row.line_no
        assert grouped[row.head - 1].head == row.head
        lines_by_head.setdefault(row.head, []).append(row.line_no)
        for position, type_id in enumerate(sorted(rows[row.line_no - 1][1])):
            if position not in row.clashes:
                pair = (type_id, rows[row.line_no - 1][1][type_id])
                assert owners.setdefault(pair, row.head) == row.head
    for line_nos in lines_by_head.values():
        roots = {grouped[line_no - 1].root for line_no in line_nos} - {None}
        customers = {
            rows[line_no - 1][1][CUSTOMER]
            for line_no in line_nos
            if CUSTOMER in rows[line_no - 1][1]
            and 0 not in grouped[line_no - 1].clashes  # the first position
        }
        assert len(roots) <= 1
        assert len(customers) + (1 if 7 in roots else 0) <= 1
