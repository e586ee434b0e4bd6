"""Ids of rows out of addresses and forms: whatever is sent, no error and no row that nobody asked for."""

from hypothesis import given
from hypothesis import strategies as st

from cdp.ids import row_id, row_ids


@given(st.text() | st.none())
def test_any_text_is_an_id_or_none(text: str | None) -> None:
    number = row_id(text)
    assert 0 <= number < 2**63
    assert number == 0 or (text is not None and number == int(text))


@given(st.lists(st.integers(1, 10**18 - 1)))
def test_ids_once_each_in_their_order(ids: list[int]) -> None:
    assert row_ids([*map(str, ids), "", "x", "-1", "²", "9" * 30]) == list(dict.fromkeys(ids))
