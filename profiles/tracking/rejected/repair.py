"""An item as staff typed it, or repairs for many items → the corrected items. Pure."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cdp.errors import Invalid
from profiles.tracking.parse.truncate import KEPT_BYTES

MAX_REPAIRS = 10
# As long as an item may be when it is sent.
MAX_BYTES = 32 * 1024
# Of the text somebody typed, with its blanks.
_MAX_TEXT = 4 * KEPT_BYTES

RENAME, SET, NUMBER = "rename", "set", "number"
LABELS = {
    RENAME: "Rename a property",
    SET: "Set a property that is missing",
    NUMBER: "Read a text as a number",
}
_TRAITS = frozenset({"identify", "update", "group"})
_CURRENCY = re.compile(r"^(?:[A-Z]{3}|[€$£¥₺₽₴₹]|zł)?\s*(.*?)\s*(?:[A-Z]{3}|[€$£¥₺₽₴₹]|zł)?$")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_ENGLISH = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+\.\d+|[+-]?\d{1,3}(?:,\d{3}){2,}")
_EUROPEAN = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+,\d+|[+-]?\d{1,3}(?:\.\d{3}){2,}")
# “1,234” may be a thousand or one and a bit: left alone.
_COMMA = re.compile(r"[+-]?\d+,(?:\d{1,2}|\d{4,})")


@dataclass(frozen=True, slots=True)
class Repair:
    """One change: ``rename`` the property ``name`` to ``value``, ``set`` it to ``value``, read it as ``number``.

    A name with a slash in front (``/user_id``) is a field of the item itself, beside its properties.
    """

    do: str
    name: str
    value: Any = None

    def as_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"do": self.do, "name": self.name}
        return data if self.do == NUMBER else {**data, "value": self.value}


# --- One item as text -----------------------------------------------------------------------------------


def read_payload(text: str) -> dict[str, Any]:
    """The item somebody typed. Raises Invalid with ``line`` and ``column`` where the text stops being JSON."""
    if (size := _bytes(text)) > _MAX_TEXT:
        raise _too_large(size)
    try:
        payload = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        reason = error.msg[:1].lower() + error.msg[1:]
        message = f"Line {error.lineno}, column {error.colno}: this is not JSON, {reason}."
        raise _wrong(message, line=error.lineno, column=error.colno) from error
    except RecursionError as error:
        raise _wrong("This is nested too deeply.") from error
    except ValueError as error:
        raise _wrong(str(error)) from error
    return check_payload(payload)


def check_payload(payload: Any) -> dict[str, Any]:
    """An item is an object of at most 32 KB, written without blanks; anything else is Invalid."""
    if (size := measure(payload)) > MAX_BYTES:
        raise _too_large(size)
    if not isinstance(payload, dict):
        raise _wrong("An item is a JSON object, written in curly brackets.")
    return payload


def measure(payload: Any) -> int:
    """Bytes of an item written without blanks, as it is measured when it is sent."""
    return _bytes(json.dumps(payload, ensure_ascii=False, separators=(",", ":")))


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _too_large(size: int) -> Invalid:
    return _wrong(f"An item has at most {MAX_BYTES:,} bytes; this one has {size:,}.")


def pretty(payload: Any) -> str:
    """An item laid out for editing."""
    return json.dumps(payload, ensure_ascii=False, indent=2)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a value JSON knows. Write a number, or null.")


def _wrong(message: str, **where: int) -> Invalid:
    return Invalid([{"pointer": "/payload", "field": "payload", "value": None, "message": message, **where}])


# --- Many items at once ---------------------------------------------------------------------------------


def read_repairs(raw: Any) -> list[Repair]:
    """Repairs as sent: ``[{"do": "rename", "name": "product_sku", "value": "sku"}]``. Raises Invalid."""
    if not isinstance(raw, list):
        raise _bad("", None, "repairs is a list.")
    if len(raw) > MAX_REPAIRS:
        raise _bad("", None, f"At most {MAX_REPAIRS} repairs at once; these are {len(raw)}.")
    return [_read(index, repair) for index, repair in enumerate(raw)]


def _read(index: int, raw: Any) -> Repair:
    at = f"/{index}"
    if not isinstance(raw, dict) or raw.get("do") not in LABELS:
        raise _bad(f"{at}/do", None, f"A repair is one of {', '.join(LABELS)}.")
    name, value = raw.get("name"), raw.get("value")
    if not isinstance(name, str) or not name.strip().strip("/") or len(name) > 255:
        raise _bad(f"{at}/name", name, "Name the property that is to be repaired.")
    name = name.strip()
    if raw["do"] == RENAME:
        if not isinstance(value, str) or not value.strip().strip("/") or len(value) > 255:
            raise _bad(f"{at}/value", value, f"Say what “{name}” is to be called.")
        value = value.strip()
        if value.strip("/") == name.strip("/") and value.startswith("/") == name.startswith("/"):
            raise _bad(f"{at}/value", value, f"“{name}” is called that already.")
    if raw["do"] == SET and value in (None, ""):
        raise _bad(f"{at}/value", value, f"Say what “{name}” is to be set to.")
    return Repair(raw["do"], name, None if raw["do"] == NUMBER else value)


def _bad(pointer: str, value: Any, message: str) -> Invalid:
    quoted = value[:100] if isinstance(value, str) else None
    return Invalid(
        [{"pointer": f"/repairs{pointer}", "field": "repairs", "value": quoted, "message": message}]
    )


def repaired(payload: Any, repairs: Sequence[Repair], *, kind: str = "") -> Any:
    """A copy of the item with the repairs made where they apply; what they do not apply to stays as it was.

    ``kind`` says what the item is where it does not say so itself: identify, track …
    """
    if not isinstance(payload, dict) or not repairs:
        return payload
    item = copy.deepcopy(payload)
    for repair in repairs:
        _apply(item, repair, kind)
    return item


def changes_any(payloads: Iterable[tuple[Any, str]], repairs: Sequence[Repair]) -> int:
    """How many of the (item, kind) the repairs would change."""
    return sum(repaired(payload, repairs, kind=kind) != payload for payload, kind in payloads)


def _apply(item: dict[str, Any], repair: Repair, kind: str) -> None:
    container = _container_of(item, repair.name, kind, make=repair.do == SET)
    name = repair.name.removeprefix("/")
    if container is None:
        return
    if repair.do == SET:
        if container.get(name) in (None, ""):
            container[name] = repair.value
    elif name not in container:
        return
    elif repair.do == NUMBER:
        container[name] = as_number(container[name])
    else:
        target = _container_of(item, repair.value, kind, make=True)
        new = repair.value.removeprefix("/")
        # What already has the right name stays; the wrong spelling beside it is kept too, nothing is lost.
        if target is not None and target.get(new) in (None, ""):
            target[new] = container.pop(name)


def _container_of(item: dict[str, Any], name: str, kind: str, *, make: bool) -> dict[str, Any] | None:
    """The object a property lives in; None when there is none."""
    if name.startswith("/"):
        return item
    sent_kind = item.get("type")
    container_name = (
        "traits" if (sent_kind if isinstance(sent_kind, str) else kind) in _TRAITS else "properties"
    )
    container = item.get(container_name)
    if container is None and make:
        container = item[container_name] = {}
    return container if isinstance(container, dict) else None


def as_number(value: Any) -> Any:
    """“12,50”, “€ 1,234.00” as a number; what is none, or could be two, stays as it is."""
    if not isinstance(value, str):
        return value
    match = _CURRENCY.match(value.strip())
    text = re.sub(r"[\s\u00a0\u202f]", "", match[1] if match else value)
    if _ENGLISH.fullmatch(text):
        text = text.replace(",", "")
    elif _EUROPEAN.fullmatch(text) or _COMMA.fullmatch(text):
        text = text.replace(".", "").replace(",", ".")
    if not _NUMBER.fullmatch(text) or len(text) > 30:
        return value
    return float(text) if "." in text else int(text)
