"""Random rules, as JSON: every kind of condition, with the values that ``world`` gives to people."""

from __future__ import annotations

import datetime
from typing import Any

from hypothesis import strategies as st

from tests.segments.world import EVENTS, FIRST_ID, NOW, NUMBERS, PAGES, TAGS, TEXTS
from tests.segments.world_records import CHANNELS, IMPORTS, PURPOSES, SEGMENTS, TIERS

texts = st.sampled_from([*TEXTS, "z", "nothing like it"])
numbers = st.sampled_from([*(value for value in NUMBERS if not isinstance(value, str)), 0.5, 25])
spans = st.sampled_from([{"hours": 1}, {"hours": 24}, {"days": 1}, {"days": 2}, {"days": 7}, {"minutes": 60}])


def _iso(hours: int) -> str:
    return (NOW - datetime.timedelta(hours=hours)).isoformat().replace("+00:00", "Z")


def _text_ops(values: Any) -> Any:
    single = st.sampled_from(["eq", "ne", "contains", "not_contains", "starts", "ends"])
    return st.one_of(
        st.fixed_dictionaries({"op": single, "value": values}),
        st.fixed_dictionaries(
            {"op": st.sampled_from(["in", "not_in"]), "value": st.lists(values, min_size=1, max_size=3)}
        ),
        st.fixed_dictionaries({"op": single, "value": values, "exactly": st.just(value=True)}),
    )


def _number_ops() -> Any:
    single = st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"])
    return st.one_of(
        st.fixed_dictionaries({"op": single, "value": numbers}),
        st.fixed_dictionaries(
            {"op": st.sampled_from(["in", "not_in"]), "value": st.lists(numbers, min_size=1, max_size=3)}
        ),
        st.lists(numbers, min_size=2, max_size=2).map(lambda pair: {"op": "between", "value": sorted(pair)}),
    )


_days = st.integers(1, 9).map(lambda days: {"days": days})
_date_ops = st.one_of(
    st.fixed_dictionaries({"op": st.sampled_from(["in_last", "in_next"]), "value": _days}),
    st.fixed_dictionaries(
        {"op": st.just("anniversary"), "value": st.integers(0, 20).map(lambda days: {"days": days})}
    ),
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte", "before", "after"]),
            "value": st.integers(-3, 3).map(
                lambda days: (NOW.date() + datetime.timedelta(days=days)).isoformat()
            ),
        }
    ),
)
_time_ops = st.one_of(
    st.fixed_dictionaries({"op": st.sampled_from(["in_last", "in_next"]), "value": spans}),
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["before", "after", "gte", "lte"]),
            "value": st.sampled_from([0, 24, 48]).map(_iso),
        }
    ),
)


def _attribute(name: str, ops: Any) -> Any:
    compared = ops.map(lambda rest: {"attribute": name, **rest})
    return st.one_of(compared, st.just({"attribute": name, "op": "exists"}))


windows = st.one_of(
    spans,
    st.sampled_from([{"days": [1, 7]}, {"hours": [24, 48]}]),
    st.just({"after": _iso(48)}),
    st.just({"after": _iso(48), "before": _iso(24)}),
    st.just({"before": _iso(1)}),
)
_filters = st.one_of(
    _number_ops().map(lambda rest: {"property": "price", **rest}),
    st.sampled_from(["eq", "ne", "contains"]).flatmap(
        lambda op: texts.map(lambda text: {"property": "color", "op": op, "value": text})
    ),
    st.sampled_from(["A", "B", "ł"]).map(
        lambda sku: {"property": "products.*.sku", "op": "eq", "value": sku}
    ),
    st.sampled_from([5, 20]).map(lambda price: {"property": "products.price", "op": "gt", "value": price}),
    st.booleans().map(lambda gift: {"property": "gift", "op": "eq", "value": gift}),
    st.sampled_from([1, 24, 25]).flatmap(
        lambda hours: st.sampled_from(["in_next", "in_last"]).map(
            lambda op: {"property": "leaves_at", "op": op, "value": {"hours": hours}}
        )
    ),
    st.sampled_from(["in_next", "in_last"]).map(
        lambda op: {"property": "leaves_at", "type": "date", "op": op, "value": {"days": 1}}
    ),
    st.sampled_from(["price", "color", "products.sku"]).map(lambda name: {"property": name, "op": "exists"}),
)
_counts = st.one_of(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["gte", "gt", "lte", "lt", "eq", "ne"]), "value": st.integers(0, 3)}
    ),
    st.sampled_from([[0, 1], [1, 2], [2, 2]]).map(lambda pair: {"op": "between", "value": pair}),
)
_event_parts = {"within": windows, "where": st.lists(_filters, min_size=1, max_size=2)}
_names = st.sampled_from([*EVENTS, *EVENTS, "*", "Never Seen"])
_pages = st.fixed_dictionaries(
    {"event": st.sampled_from([*PAGES, "*"]), "kind": st.sampled_from(["page", "screen"])}
)
_named = st.one_of(*[st.fixed_dictionaries({"event": _names})] * 3, _pages)


def _with(required: Any, **optional: Any) -> Any:
    """The dictionary with some of the others."""
    rest = st.fixed_dictionaries({}, optional=optional)
    return st.tuples(required, rest).map(lambda pair: {**pair[0], **pair[1]})


single_events = _with(_named, **_event_parts)
events = _with(_named, **_event_parts, count=_counts, since=single_events)
_limits = st.sampled_from([{"minutes": 10}, {"hours": 1}, {"hours": 24}, {"days": 9}, {"days": 30}])


def _steps(steps: list[dict[str, Any]], is_missing: bool) -> list[dict[str, Any]]:
    return [*steps[:-1], {**steps[-1], "not": True}] if is_missing else steps


def _without_window(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key != "within"}


sequences = _with(
    st.builds(
        lambda steps, is_missing, limit: {"sequence": _steps(steps, is_missing), "no_longer_than": limit},
        # Few with filters, so that some people meet them.
        st.lists(st.one_of(_named, _named, single_events.map(_without_window)), min_size=2, max_size=4),
        st.booleans(),
        _limits,
    ),
    within=windows,
)
carts = st.fixed_dictionaries(
    {"cart": st.sampled_from(["open", "superseded", "ordered", "any"])},
    optional={
        "idle": _limits,
        "started": windows,
        "contains": st.lists(_filters, min_size=1, max_size=2),
    },
)
visits = st.fixed_dictionaries(
    {"visits": _counts},
    optional={"within": windows, "longer_than": st.sampled_from([{"minutes": 10}, {"minutes": 29}])},
)
splits = st.builds(
    lambda first, size, salt: {"split": {"of": 10, "from": first, "to": min(first + size, 10), "salt": salt}},
    st.integers(0, 9),
    st.integers(1, 10),
    st.sampled_from(["spring", "autumn"]),
)


def _pasted(name: str, spellings: list[str], nonsense: str) -> Any:
    numbers = st.integers(0, 70)
    values = st.lists(
        st.tuples(st.sampled_from(spellings), numbers).map(lambda pair: pair[0].format(pair[1])),
        min_size=1,
        max_size=40,
    )
    return values.map(lambda found: {"ids": name, "values": [*found, nonsense]})


ids = st.one_of(
    _pasted("customer_id", ["C-{}", " C-{} ", "c-{}"], "null"),
    _pasted("email", ["p{}@example.com", " P{}@Example.COM"], "nobody"),
    _pasted("phone", ["+48 600 00{:04}", "004860000{:04}"], "no phone"),
    st.lists(
        st.integers(FIRST_ID, FIRST_ID + 70).flatmap(lambda pk: st.sampled_from([pk, str(pk), f"#{pk}"])),
        min_size=1,
        max_size=20,
    ).map(lambda values: {"ids": "id", "values": [*values, "nobody"]}),
)


def _was(name: str, ops: Any) -> Any:
    return ops.map(lambda rest: {"was": name, **rest})


_how = {"how": st.sampled_from(["created", "any"])}
_asked = st.fixed_dictionaries(
    {"channel": st.sampled_from(sorted(CHANNELS))}, optional={"purpose": st.sampled_from(PURPOSES)}
)
_within = {"within": windows}
_visits = st.sampled_from(["first_seen_at", "last_seen_at"])
records = st.one_of(
    st.fixed_dictionaries(
        {"consent": _asked}, optional={"state": st.sampled_from(["granted", "withdrawn", "none"])}
    ),
    st.fixed_dictionaries({"reachable": _asked}),
    st.fixed_dictionaries({"source": st.sampled_from(["web", "api", "import"])}, optional=_how),
    st.fixed_dictionaries({"import": st.sampled_from(IMPORTS)}, optional=_how),
    _visits.flatmap(lambda name: _time_ops.map(lambda rest: {"profile": name, **rest})),
    _time_ops.map(lambda rest: {"profile": "created_at", **rest}),
    _visits.map(lambda name: {"profile": name, "op": "exists"}),
    st.fixed_dictionaries({"duplicate": st.just(value=True)}, optional={"tier": st.sampled_from(TIERS)}),
    _was("city", _text_ops(texts)),
    _was("points", _number_ops()),
    _was("colors", _text_ops(st.sampled_from(["red", "grun"]))).filter(lambda node: not node.get("exactly")),
    _was("renews_on", st.just({"op": "exists"})),
    st.fixed_dictionaries({"changed": st.sampled_from(["city", "plan", "colors"])}, optional=_within),
    st.fixed_dictionaries({"segment": st.sampled_from(SEGMENTS)}),
    *(
        st.fixed_dictionaries({key: st.sampled_from(SEGMENTS)}, optional=_within)
        for key in ("was_in", "entered", "left")
    ),
)

conditions = st.one_of(
    *[records] * 6,
    _attribute("city", _text_ops(texts)),
    _attribute("plan", _text_ops(texts)),
    st.sampled_from(["eq", "ne"]).flatmap(
        lambda op: st.sampled_from(["PL", "DE"]).map(
            lambda code: {"attribute": "country", "op": op, "value": code}
        )
    ),
    _attribute("points", _number_ops()),
    st.booleans().map(lambda value: {"attribute": "is_member", "op": "eq", "value": value}),
    _attribute("renews_on", _date_ops),
    _attribute("birth_date", _date_ops),
    _attribute("called_at", _time_ops),
    _attribute("colors", _text_ops(st.sampled_from(["red", "grun", "blue"]))).filter(
        lambda node: not node.get("exactly")
    ),
    st.sampled_from(TAGS).map(lambda name: {"tag": name}),
    st.sampled_from(["recognized", "anonymous"]).map(lambda kind: {"type": kind}),
    st.sampled_from(["exists", "verified", "identifies"]).flatmap(
        lambda op: st.sampled_from(["email", "phone", "customer_id"]).map(
            lambda name: {"identifier": name, "op": op}
        )
    ),
    events,
    events,
    events,
    sequences,
    sequences,
    carts,
    carts,
    visits,
    splits,
    ids,
)


def _groups(parts: Any) -> Any:
    lists = st.lists(parts, min_size=1, max_size=3)
    return st.one_of(
        st.sampled_from(["all", "any", "none"]).flatmap(lambda kind: lists.map(lambda inner: {kind: inner})),
        parts.map(lambda part: {"not": part}),
        parts.map(lambda part: {**part, "off": True}),
    )


nodes = st.recursive(conditions, _groups, max_leaves=6)
rules = st.lists(nodes, min_size=1, max_size=4).flatmap(
    lambda parts: st.sampled_from(["all", "any", "none"]).map(lambda kind: {"version": 1, kind: parts})
)
