"""An item → the item without values of forms that are nobody's business: passwords, tokens, card numbers. Pure.

A form sent by GET puts all its fields into the address of the next page, from where SDKs send them with every call.
Names decide, as they do in the snippet.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from profiles.tracking.parse.item_text import item_problem, pointer_part
from profiles.tracking.parse.item_types import ItemProblem

REMOVED = "removed"
_SECRET = re.compile(
    r"passw|passphrase|pwd|csrf|xsrf|token|secret|authenticity|cv[cv]2?(?![a-z])|card.?n|cc.?num|\bcc-|one.?time"
    r"|\botp\b|api.?key|session.?id|\biban\b",
    re.IGNORECASE,
)
_NAMES = re.compile(r"[?&;#]([^=&;#?]+)=")
_PARAMETER = re.compile(r"([?&;#])([^=&;#?]+)=([^&;#]+)")
_ADDRESSES = ("url", "search", "referrer", "href")
FORM_EVENT = "form.submit"


@lru_cache(maxsize=8192)
def is_secret(name: str) -> bool:
    """Whether a field of a form is called so that its value must not be kept."""
    return _SECRET.search(name) is not None


def remove_secrets(item: dict[str, Any]) -> list[ItemProblem]:
    """Take them out of an item's addresses and form fields, in place; what was taken out, without its value."""
    problems: list[ItemProblem] = []
    context, properties = item.get("context"), item.get("properties")
    if type(context) is dict and type(page := context.get("page")) is dict:
        _clean_addresses(page, "/context/page", problems)
    if type(properties) is dict:
        _clean_addresses(properties, "/properties", problems)
        if item.get("event") == FORM_EVENT and type(fields := properties.get("fields")) is dict:
            for name in filter(is_secret, [*fields]):
                del fields[name]
                problems.append(_problem(f"/properties/fields/{pointer_part(name)}", name))
    return problems


def _clean_addresses(part: dict[str, Any], pointer: str, problems: list[ItemProblem]) -> None:
    for key in _ADDRESSES:
        address = part.get(key)
        # Nearly every address has no parameters, or none of such a name.
        if type(address) is not str or "=" not in address or not any(map(is_secret, _NAMES.findall(address))):
            continue
        names: list[str] = []

        def cleaned(match: re.Match[str], names: list[str] = names) -> str:
            if not is_secret(match[2]) or match[3] == REMOVED:
                return match[0]
            names.append(match[2])
            return f"{match[1]}{match[2]}={REMOVED}"

        part[key] = _PARAMETER.sub(cleaned, address)
        problems += [_problem(f"{pointer}/{key}", name) for name in names]


def _problem(pointer: str, name: str) -> ItemProblem:
    message = f"“{name[:60]}” looks like a password, token or card number, so its value was not kept."
    return item_problem("secret_removed", pointer, None, message)
