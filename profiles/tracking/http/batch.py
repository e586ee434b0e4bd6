"""A parsed body → its items, each read, or refused with a reason; and the write key it names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from profiles.identity.field_names import is_customer_id
from profiles.tracking.http.body import parse_exactly
from profiles.tracking.http.responses import RequestRefused
from profiles.tracking.parse import sanitize
from profiles.tracking.parse.item_types import ItemProblem, RefusedItem
from profiles.tracking.parse.items import read_item
from profiles.tracking.parse.message_ids import message_text_of
from profiles.tracking.parse.truncate import truncate

if TYPE_CHECKING:
    import datetime

    from profiles.tracking.http.body import ParsedBody
    from profiles.tracking.parse.item_types import BatchEntry

MAX_ITEMS = 2500
MAX_ITEM_BYTES = 32 * 1024
# A larger context of a batch is not kept with each of its items when these are too large with it.
_MAX_KEPT_CONTEXT = 8 * 1024
_IDS = ("userId", "anonymousId", "previousId", "groupId", "messageId")


class ExactItems:
    """The items of a body with all digits of their whole numbers; the body is parsed again for the first of them."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._items: list[Any] | None = None

    def get(self, index: int, otherwise: Any) -> Any:
        if self._items is None:
            parsed = parse_exactly(self.data)
            items = _items_of(parsed)[0] if isinstance(parsed, dict) else parsed
            self._items = items if isinstance(items, list) else []
        return self._items[index] if index < len(self._items) else otherwise


@dataclass(frozen=True, slots=True)
class RequestBatch:
    """A parsed body: its items as sent, what it gives for all of them, and the write key in it, if any."""

    items: list[Any]
    write_key: str
    kind: str | None
    sent_at: Any = None
    context: dict[str, Any] | None = None
    context_bytes: int = 0
    has_fit_texts: bool = False
    is_small: bool = False
    exact: ExactItems | None = None


def open_batch(parsed: ParsedBody, *, kind: str | None) -> RequestBatch:
    """The items of a body: an object with a ``batch``, a bare list, or one item by itself.

    ``kind`` is the path's; items of a batch that name a type of their own keep it. Raises RequestRefused.
    """
    about: dict[str, Any] = {}
    if isinstance(parsed.value, list):
        items = parsed.value
    elif isinstance(parsed.value, dict):
        items, about = _items_of(parsed.value)
    else:
        raise RequestRefused(400, "not_an_object", "The body is neither a JSON object nor a list of them.")
    if len(items) > MAX_ITEMS:
        message = f"The batch has {len(items):,} items; the limit is {MAX_ITEMS:,}. Send smaller batches."
        raise RequestRefused(413, "too_many_items", message)
    context, size = _context_of(about)
    first = items[0] if items and isinstance(items[0], dict) else {}
    key = _key_in(about) or _key_in(first) or ""
    return RequestBatch(
        items,
        write_key=key if isinstance(key, str) else "",
        kind=kind,
        sent_at=about.get("sentAt"),
        context=context,
        context_bytes=size,
        has_fit_texts=parsed.has_fit_texts,
        is_small=parsed.size + size <= MAX_ITEM_BYTES,
        exact=ExactItems(parsed.rounded) if parsed.rounded else None,
    )


def read_entries(batch: RequestBatch, *, received_at: datetime.datetime) -> Iterator[BatchEntry]:
    """Each item read, or refused with its reason; in order."""
    sent_at = _sent_at(batch)
    for index, raw in enumerate(batch.items):
        changes: list[ItemProblem] = []
        prepared = _prepared(raw, index, batch, changes)
        if isinstance(prepared, RefusedItem):
            yield prepared
            continue
        kind = _kind_of(raw, batch)
        entry = read_item(_whole(prepared, batch, sent_at), index=index, received_at=received_at, kind=kind)
        yield replace(entry, problems=(*changes, *entry.problems)) if changes else entry


def _sent_at(batch: RequestBatch) -> Any:
    return sanitize.clean(batch.sent_at) if not isinstance(batch.sent_at, list | dict) else None


def _whole(raw: Any, batch: RequestBatch, sent_at: Any) -> Any:
    """The item with what its batch gives for all, so that a rejected one is kept whole and replayed by the same clock."""
    if not isinstance(raw, dict):
        return raw
    if sent_at is not None and not raw.get("sentAt"):
        raw["sentAt"] = sent_at
    if batch.context:
        own = raw.get("context")
        if own is None or isinstance(own, dict):
            raw["context"] = {**batch.context, **(own or {})}
    return raw


def _items_of(parsed: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    if "batch" not in parsed:
        return [parsed], {"writeKey": _key_in(parsed)}
    items = parsed["batch"]
    if not isinstance(items, list):
        raise RequestRefused(400, "invalid_batch", "“batch” is not a list of items.")
    return items, parsed


def _key_in(part: dict[str, Any]) -> Any:
    return part.get("writeKey") or part.get("writekey")


def _context_of(about: dict[str, Any]) -> tuple[dict[str, Any] | None, int]:
    """A batch's own context, sanitized, with its size: it counts for every item it is merged into."""
    context = about.get("context")
    if not isinstance(context, dict) or not context:
        return None, 0
    try:
        sanitize.clean(context, depth=sanitize.MAX_DEPTH - 1)
    except (sanitize.TooDeep, RecursionError) as error:
        raise RequestRefused(400, "too_deep", "The batch's context nests more than 40 levels.") from error
    return context, len(orjson.dumps(context))


def _prepared(raw: Any, index: int, batch: RequestBatch, changes: list[ItemProblem]) -> Any:
    """The item sanitized and without its write key, or a RefusedItem. What sanitizing takes out is added to ``changes``."""
    if isinstance(raw, dict):
        raw.pop("writeKey", None)
        raw.pop("writekey", None)
        if batch.is_small and batch.has_fit_texts and sanitize.is_fit(raw):
            return raw
    # Measured before it is walked through: a million keys are not.
    size = _size(raw)
    if size is None or size + batch.context_bytes <= MAX_ITEM_BYTES:
        try:
            if not (batch.has_fit_texts and isinstance(raw, dict) and sanitize.is_fit(raw)):
                raw = _sanitized(raw, index, batch, changes)
        except sanitize.TooDeep:
            message = f"This item nests more than {sanitize.MAX_DEPTH} levels of lists and objects."
            return _refused(raw, index, batch, "too_deep", message)
        size = size if size is not None else len(orjson.dumps(raw))
    if size + batch.context_bytes > MAX_ITEM_BYTES:
        return _too_large(raw, index, batch, size)
    return raw


def _sanitized(raw: Any, index: int, batch: RequestBatch, changes: list[ItemProblem]) -> Any:
    """Raises TooDeep."""
    found = sanitize.changes(raw)
    if any(problem["code"] == "number_too_large" for problem in found):
        if batch.exact is not None:
            raw = batch.exact.get(index, raw)
        if isinstance(raw, dict):
            raw.pop("writeKey", None)
            raw.pop("writekey", None)
            _keep_digits_of_ids(raw)
        found = sanitize.changes(raw)
    changes += found
    return sanitize.clean(raw)


def _keep_digits_of_ids(item: dict[str, Any]) -> None:
    """Ids that are numbers of more than 64 bits become text."""
    context, traits = item.get("context"), item.get("traits")
    external = context.get("externalIds") if isinstance(context, dict) else None
    places: list[tuple[Any, str]] = [(item, name) for name in (*_IDS, *filter(is_customer_id, item))]
    if isinstance(traits, dict):
        places += [(traits, name) for name in filter(is_customer_id, traits)]
    if isinstance(external, list):
        places += [(entry, "id") for entry in external if isinstance(entry, dict)]
    for holder, name in places:
        if type(holder.get(name)) is int:
            holder[name] = str(holder[name])


def _size(raw: Any) -> int | None:
    """Bytes of the item as compact JSON; None while something is in it that only sanitizing makes JSON."""
    try:
        return len(orjson.dumps(raw))
    except TypeError:
        return None


def _too_large(raw: Any, index: int, batch: RequestBatch, size: int) -> RefusedItem:
    """With as much of the item as is kept, and what its batch gives for all, so that it can be corrected and replayed."""
    total = size + batch.context_bytes
    problems: list[ItemProblem] = [
        _problem("", "too_large", f"The item has {total:,} bytes; the limit is {MAX_ITEM_BYTES:,}.")
    ]
    if batch.context_bytes > _MAX_KEPT_CONTEXT:
        message = f"The batch's context has {batch.context_bytes:,} bytes, which count for every item; it is not kept here."
        problems.append(_problem("/context", "too_large", message))
        batch = replace(batch, context=None)
    kept, cuts = truncate(_whole(raw, batch, _sent_at(batch)))
    message = "This item is over 32 KB. Send less in its properties."
    return replace(_refused(raw, index, batch, "too_large", message), raw=kept, problems=(*problems, *cuts))


def _problem(pointer: str, code: str, message: str) -> ItemProblem:
    return {"pointer": pointer, "value": None, "message": message, "code": code}


def _refused(raw: Any, index: int, batch: RequestBatch, code: str, message: str) -> RefusedItem:
    """Without the item itself, which is what is too much of it."""
    item = raw if isinstance(raw, dict) else {}
    kind, name = (_short(item.get(part)) for part in ("type", "event"))
    kind = _kind_of(raw, batch) or kind
    message_id = message_text_of(item.get("messageId"))
    return RefusedItem(index, code, message, None, kind[:20], name, str(sanitize.clean(message_id)))


def _short(value: Any) -> str:
    return str(sanitize.clean(value))[:255] if isinstance(value, str | int) else ""


def _kind_of(raw: Any, batch: RequestBatch) -> str | None:
    """The path's kind; in a batch sent to a single call's address the item's own goes first."""
    if batch.kind is None or len(batch.items) == 1:
        return batch.kind
    return None if isinstance(raw, dict) and raw.get("type") else batch.kind
