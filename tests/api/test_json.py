"""Bodies that are not good JSON are a quick 400 that names the place; nothing of them is ever a 500."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp.api.json import BadBody, OrjsonRenderer, parse
from tests.api.caller import Caller, refusal

CORPORA = os.environ.get("CDP_CORPORA")


@pytest.mark.parametrize(
    ("raw", "pointer", "message"),
    [
        (
            b'{"first_name": "a\\u0000b"}',
            "/first_name",
            "A text contains the control character NUL (\\u0000), which cannot be stored.",
        ),
        (
            b'{"attributes": {"a\\u0000": 1}}',
            "/attributes",
            "A key contains the control character NUL (\\u0000), which cannot be stored.",
        ),
        (b'{"a": [1, {"b/c": 1, "b/c": 2}]}', "/a/1/b~1c", "The key “b/c” appears twice in one object."),
        (b'{"a": 123456789012345678901}', "/a", "This number is out of range."),
        (b'{"a": 9223372036854775808}', "/a", "This number is out of range."),
        (b'{"a": ' + b"9" * 5000 + b"}", None, "The body is not valid JSON: number is infinity"),
        (b'{"a": "\\ud800"}', None, "The body is not valid JSON: "),
        (
            b'{"a": 1e400}',
            None,
            "The body is not valid JSON: number is infinity when parsed as double, line 1, column ",
        ),
        (b'{"a": NaN}', None, "The body is not valid JSON: "),
        (b"[" * 100_000, None, "The body has more than 40,000 values. Send it in several requests."),
        (b"[" * 30_000 + b"]" * 30_000, None, "The body is nested deeper than 40 levels."),
        (b"[" * 900 + b"]" * 900, None, "The body is nested deeper than 40 levels."),
        (b"[" * 41 + b"]" * 41, "/0" * 40, "The body is nested deeper than 40 levels."),
        (b'{"a":1,' * 70_000, None, "The body has more than 40,000 values. Send it in several requests."),
        (b'{"a": "\xff"}', None, "The body is not UTF-8: byte 7 cannot be read."),
        (b"\xef\xbb\xbf{}", None, "The body starts with a byte order mark. Send plain UTF-8 without it."),
        ('{"a": 1}'.encode("utf-16"), None, "The body is not UTF-8: byte 0 cannot be read."),
        (b"  ", None, "The body is empty. Send a JSON object."),
        (b"{'a': 1}", None, "The body is not valid JSON: "),
    ],
    ids=lambda value: repr(value)[:30],
)
@pytest.mark.django_db
def test_bad_body_is_named(api: Caller, raw: bytes, pointer: str | None, message: str) -> None:
    answer = api.post("profiles/", raw)
    status, detail = refusal(answer)
    assert (status, detail[: len(message)]) == (400, message)
    assert answer.data["errors"] == ([] if pointer is None else [{"pointer": pointer, "message": detail}])


@pytest.mark.parametrize(
    "raw", [b'{"a": 1.5e308, "b": -0.0, "c": 9223372036854775807}', '{"a": "\\ud83d\\ude00 ż"}'.encode()]
)
def test_good_bodies_come_through(raw: bytes) -> None:
    import json

    assert parse(raw) == json.loads(raw)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        parse(raw)
    except BadBody as error:
        refused = str(error.detail)
        assert refused


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(_json)
def test_what_we_write_we_read(value: Any) -> None:
    if value is not None:
        assert parse(OrjsonRenderer().render(value)) == value


@pytest.mark.skipif(not CORPORA, reason="CDP_CORPORA names the folder of public corpora")
@pytest.mark.django_db
def test_json_test_suite(api: Caller) -> None:
    """y_ files parse, n_ files are refused, i_ files are either; through the whole door none is a 500."""
    files = sorted(Path(str(CORPORA), "json-test-suite", "test_parsing").glob("*.json"))
    assert len(files) > 250
    wrong = []
    for file in files:
        raw = file.read_bytes()
        try:
            parse(raw)
            is_good = True
        except BadBody:
            is_good = False
        # Ours on purpose: a doubled key and a NUL have no one meaning that can be kept.
        ours = (
            "duplicated" in file.name
            or "null_byte" in file.name
            or "u+0000" in file.name.lower()
            or "null_escape" in file.name
            or "escaped_null" in file.name
        )
        if (file.name.startswith("y_") and not is_good and not ours) or (
            file.name.startswith("n_") and is_good
        ):
            wrong.append(file.name)
        assert api.post("profiles/", raw).status_code in (201, 400), file.name
    assert wrong == []
