"""The identifier types that ship, and the two orders of priority an administrator chooses from. Pure data."""

from typing import Any

CUSTOMER, EMAIL, PHONE, BROWSER = "customer_id", "email", "phone", "anonymous_id"
# Values of these types are also the attributes by which people are reached.
CONTACTS = (EMAIL, PHONE)

# Phone is contact-only: families share one.
BUILTIN_TYPES: dict[str, dict[str, Any]] = {
    CUSTOMER: {
        "label": "Customer id",
        "strength": "hard",
        "is_main": True,
        "priority": 1,
        "normalizer": "exact",
        "max_per_profile": 1,
    },
    EMAIL: {"label": "E-mail", "strength": "hard", "is_main": True, "priority": 2, "normalizer": "email"},
    PHONE: {"label": "Phone", "strength": "hard", "is_unique": False, "priority": 5, "normalizer": "phone"},
    BROWSER: {"label": "Browser id", "strength": "soft", "priority": 9, "normalizer": "exact"},
}
# ``{preset: {type: the fields it sets}}``
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "customer_id_first": {"customer_id": {"priority": 1}, "email": {"priority": 2}},
    "email_first": {"email": {"priority": 1}, "customer_id": {"priority": 2}},
}
