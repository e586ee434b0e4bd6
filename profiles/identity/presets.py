"""The identifier types that ship, and the two orders of priority an administrator chooses from. Pure data."""

from typing import Any

# Phone is contact-only: families share one.
BUILTIN_TYPES: dict[str, dict[str, Any]] = {
    "customer_id": {
        "label": "Customer id",
        "strength": "hard",
        "is_main": True,
        "priority": 1,
        "normalizer": "exact",
        "max_per_profile": 1,
    },
    "email": {"label": "E-mail", "strength": "hard", "is_main": True, "priority": 2, "normalizer": "email"},
    "phone": {"label": "Phone", "strength": "hard", "is_unique": False, "priority": 5, "normalizer": "phone"},
    "anonymous_id": {"label": "Browser id", "strength": "soft", "priority": 9, "normalizer": "exact"},
}
# ``{preset: {type: the fields it sets}}``
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "customer_id_first": {"customer_id": {"priority": 1}, "email": {"priority": 2}},
    "email_first": {"email": {"priority": 1}, "customer_id": {"priority": 2}},
}
