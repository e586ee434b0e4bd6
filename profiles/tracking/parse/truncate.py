"""An item over the size limit → as much of it as is kept for correction, and what was cut. Pure.

Ids and times come first, then other values, then lists and objects, which share what room is left; a
text gets at most half of it, so that one of a megabyte does not push out everything behind it. Where something is cut
a mark is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from profiles.tracking.parse.item_types import ItemProblem
from profiles.tracking.parse.sanitize import MAX_DEPTH, clean

# Of compact JSON. PostgreSQL compresses what it keeps beyond 2 KB of a row.
KEPT_BYTES = 256 * 1024
CUT, PART = "cut", "large_part"
# For the marks of lists and objects that are open when the room ends, 40 at most.
_RESERVE = 4096
_SHORT = 1000
_LEAST = 64
_MAX_NAME = 255
_MAX_CUTS_LISTED = 20
_PARTS_LISTED = 3
_FIRST = (
    "type event name messageId userId anonymousId previousId groupId timestamp originalTimestamp sentAt email phone"
).split()
_CONTAINERS_FIRST = ("externalIds", "traits", "context")
_CONTAINERS = (dict, list)


def truncate(raw: Any, *, limit: int = KEPT_BYTES) -> tuple[Any, list[ItemProblem]]:
    """The item, clean and in at most ``limit`` bytes of JSON, with what was cut from it (code ``cut``) first and
    its largest parts (code ``large_part``) after. Neither it nor anything in it is changed.

    Costs no more than ``limit``, however large the item is.
    """
    cutter = _Cutter(limit - _RESERVE)
    kept = clean(cutter.copy(raw, "", MAX_DEPTH))
    return kept, [*cutter.cuts, *_largest(kept)]


def size_of(value: Any) -> int:
    """Bytes of a clean value as compact JSON."""
    return len(orjson.dumps(value, default=str))


class _Cutter:
    """``room`` is how many bytes may still be kept."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.cuts: list[ItemProblem] = []

    def copy(self, value: Any, pointer: str, depth: int) -> Any:
        if isinstance(value, str):
            return self._text(value, pointer)
        if not isinstance(value, _CONTAINERS):
            value = clean(value)
            self.room -= size_of(value)
            return value
        if not depth:
            self._record_cut(pointer, f"Cut: it nests more than {MAX_DEPTH} levels of lists and objects.")
            return self._text("… cut: nested too deeply", pointer)
        self.room -= 2
        if isinstance(value, dict):
            return self._object(value, pointer, depth - 1)
        return self._list(value, pointer, depth - 1)

    def _object(self, value: dict[str, Any], pointer: str, depth: int) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        kept_count, containers = 0, sum(isinstance(inner, _CONTAINERS) for inner in value.values())
        for name in _in_order(value):
            if self.room < _LEAST:
                break
            kept_count += 1
            kept_name = clean(name[:_MAX_NAME])
            self.room -= size_of(kept_name) + 2
            inside = f"{pointer}/{kept_name.replace('~', '~0').replace('/', '~1')}"
            if len(name) > _MAX_NAME:
                self._record_cut(
                    inside, f"This name has {len(name):,} characters; the first {_MAX_NAME} are kept."
                )
            inner = value[name]
            if isinstance(inner, _CONTAINERS):
                inner, containers = self._share(inner, inside, depth, containers), containers - 1
            else:
                inner = self.copy(inner, inside, depth)
            kept.setdefault(kept_name, inner)
        if left := len(value) - kept_count:
            kept["…"] = f"{left:,} more were cut"
            self._record_cut(pointer, f"{len(value):,} names; {kept_count:,} are kept.")
        return kept

    def _share(self, value: Any, pointer: str, depth: int, containers: int) -> Any:
        """One of so many lists and objects of an object: what it leaves of its share is for the others."""
        rest = self.room - max(self.room // containers, min(self.room, _SHORT))
        self.room -= rest
        kept = self.copy(value, pointer, depth)
        self.room += rest
        return kept

    def _list(self, value: list[Any], pointer: str, depth: int) -> list[Any]:
        kept: list[Any] = []
        for position, inner in enumerate(value):
            if self.room < _LEAST:
                break
            self.room -= 1
            kept.append(self.copy(inner, f"{pointer}/{position}", depth))
        if left := len(value) - len(kept):
            self._record_cut(pointer, f"{len(value):,} entries; the first {len(kept):,} are kept.")
            kept.append(f"… {left:,} more were cut")
        return kept

    def _text(self, value: str, pointer: str) -> str:
        most = max(self.room // 2, min(self.room, _SHORT), 0)
        text = clean(value[:most])
        cost = size_of(text)
        if len(value) > most or cost > most:
            while cost > most and text:
                text = text[: min(len(text) - 1, len(text) * most // cost)]
                cost = size_of(text)
            self._record_cut(pointer, f"{len(value):,} characters; the first {len(text):,} are kept.")
            text += f"… {len(value) - len(text):,} more characters were cut"
            cost = size_of(text)
        self.room -= cost
        return str(text)

    def _record_cut(self, pointer: str, message: str) -> None:
        if len(self.cuts) < _MAX_CUTS_LISTED:
            self.cuts.append({"pointer": pointer, "value": None, "message": message, "code": CUT})


def _in_order(value: dict[str, Any]) -> Iterator[str]:
    containers = [name for name in _CONTAINERS_FIRST if name in value]
    first = [name for name in _FIRST if name in value]
    known = {*first, *containers}
    yield from first
    for name, inner in value.items():
        if not isinstance(inner, _CONTAINERS) and name not in known:
            yield name
    yield from containers
    for name, inner in value.items():
        if isinstance(inner, _CONTAINERS) and name not in known:
            yield name


def _largest(kept: Any) -> list[ItemProblem]:
    """What to look at first when the item is to be made smaller."""
    if not isinstance(kept, dict):
        return []
    sizes = []
    for name, part in kept.items():
        inner = part.items() if isinstance(part, dict) else [("", part)]
        for key, value in inner:
            path = "/".join(step.replace("~", "~0").replace("/", "~1") for step in (name, key) if step)
            sizes.append((size_of(value), f"/{path}"))
    largest = sorted(sizes, key=lambda entry: (-entry[0], entry[1]))[:_PARTS_LISTED]
    return [
        {"pointer": path, "value": None, "message": f"{size:,} bytes.", "code": PART}
        for size, path in largest
        if size > _SHORT
    ]
