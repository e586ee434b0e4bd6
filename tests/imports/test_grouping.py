"""Who is who inside one file."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imports.grouping import ANOTHER_ROW, Grouping, Key, Member, Verdict

CUSTOMER, EMAIL, CARD = 1, 2, 3
LIMITS = {CUSTOMER: 1}


def group(
    *rows: tuple[int | None, dict[int, str]],
    held: dict[int, int] | None = None,
    strict: bool = False,
    root_at: int = -1,
) -> list[Verdict]:
    """Rows are (profile, {type: value}); lines count from 1. ``held``: profile → customer ids it has."""
    grouping = Grouping(
        LIMITS, lambda root, kind: (held or {}).get(root, 0) if kind == CUSTOMER else 0, is_strict=strict
    )
    for line, (root, values) in enumerate(rows, 1):
        keys = [Key(position, kind, values[kind]) for position, kind in enumerate(sorted(values))]
        grouping.add(Member(line, root, keys, root_at))
    return list(grouping.verdicts())


def heads(verdicts: list[Verdict]) -> list[int]:
    return [verdict.head for verdict in verdicts]


def test_the_same_identifier_is_the_same_person() -> None:
    assert heads(group((None, {EMAIL: "a"}), (None, {EMAIL: "b"}), (None, {EMAIL: "a"}))) == [1, 2, 1]


def test_through_further_rows() -> None:
    rows = [(None, {EMAIL: "a"}), (None, {CARD: "x"}), (None, {EMAIL: "a", CARD: "x"})]
    assert heads(group(*rows)) == [1, 1, 1]


def test_family_with_one_address_stays_two_people() -> None:
    first, second = group((None, {CUSTOMER: "1", EMAIL: "a"}), (None, {CUSTOMER: "2", EMAIL: "a"}))
    assert (first.head, second.head) == (1, 2)
    assert (first.clashes, second.clashes) == ({}, {1: ANOTHER_ROW})


def test_a_known_person_takes_in_rows_that_share_a_new_identifier() -> None:
    assert heads(group((None, {EMAIL: "a"}), (7, {EMAIL: "a"}))) == [1, 1]
    _, second = group((7, {EMAIL: "a"}), (8, {EMAIL: "a"}))
    assert (second.head, second.clashes) == (2, {0: 7})


def test_what_the_known_person_has_already_counts() -> None:
    rows = [(7, {EMAIL: "a"}), (None, {CUSTOMER: "2", EMAIL: "a"})]
    assert heads(group(*rows, held={7: 0})) == [1, 1]
    assert heads(group(*rows, held={7: 1})) == [1, 2]


def test_strict_imports_hold_the_row_that_clashes() -> None:
    rows = [(None, {CUSTOMER: "1", EMAIL: "a"}), (None, {CUSTOMER: "2", EMAIL: "a"}), (None, {CUSTOMER: "2"})]
    verdicts = group(*rows, strict=True)
    assert [verdict.is_conflict for verdict in verdicts] == [False, True, False]


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
    verdicts = group(*rows, root_at=1)
    assert [(verdict.head, verdict.root) for verdict in verdicts] == [(1, 7), (2, None), (2, None)]


@given(st.lists(row, max_size=12), st.booleans(), st.integers(-1, 2))
def test_nobody_is_two_people_and_no_identifier_is_given_twice(
    rows: list[tuple[int | None, dict[int, str]]], strict: bool, root_at: int
) -> None:
    verdicts = group(*rows, held={7: 1}, strict=strict, root_at=root_at)
    assert [verdict.line for verdict in verdicts] == list(range(1, len(rows) + 1))
    people: dict[int, list[int]] = {}
    owners: dict[tuple[int, str], int] = {}
    for verdict in verdicts:
        if verdict.is_conflict:
            assert strict
            continue
        assert verdict.head <= verdict.line
        assert verdicts[verdict.head - 1].head == verdict.head
        people.setdefault(verdict.head, []).append(verdict.line)
        for position, kind in enumerate(sorted(rows[verdict.line - 1][1])):
            if position not in verdict.clashes:
                pair = (kind, rows[verdict.line - 1][1][kind])
                assert owners.setdefault(pair, verdict.head) == verdict.head
    for lines in people.values():
        roots = {verdicts[line - 1].root for line in lines} - {None}
        customers = {
            rows[line - 1][1][CUSTOMER]
            for line in lines
            if CUSTOMER in rows[line - 1][1] and 0 not in verdicts[line - 1].clashes  # the first position
        }
        assert len(roots) <= 1
        assert len(customers) + (1 if 7 in roots else 0) <= 1
