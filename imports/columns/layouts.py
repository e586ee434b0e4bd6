"""Headers that only one tool's export has → what its other columns mean, where their names alone would mislead. Pure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

_NEWSLETTER = "consent.email.newsletter"


class Layout(NamedTuple):
    """`marks` are headers that together show the tool; `columns` are header → target; `constants` hold for every row."""

    tool: str
    marks: frozenset[str]
    columns: dict[str, str]
    without: frozenset[str] = frozenset()
    constants: tuple[tuple[str, str], ...] = ()


_MAILCHIMP = frozenset(("LEID", "EUID", "MEMBER_RATING"))
# The whole address is in one cell; CC and REGION are where an IP address points to.
_MAILCHIMP_COLUMNS = {"Address": "ignore", "CC": "ignore", "REGION": "ignore"}

LAYOUTS = (
    # Which of Mailchimp's three files it is: each of the others has the time of its own end.
    Layout(
        "Mailchimp, subscribed",
        _MAILCHIMP | {"CONFIRM_TIME", "CONFIRM_IP"},
        _MAILCHIMP_COLUMNS | {"CONFIRM_TIME": f"{_NEWSLETTER}.at", "CONFIRM_IP": f"{_NEWSLETTER}.proof"},
        without=frozenset(("UNSUB_TIME", "CLEAN_TIME")),
        constants=((_NEWSLETTER, "granted"),),
    ),
    Layout("Mailchimp", _MAILCHIMP, _MAILCHIMP_COLUMNS),
    Layout("Customer.io", frozenset(("cio_id", "id")), {"id": "customer_id"}),
    Layout(
        "Klaviyo", frozenset(("Klaviyo ID", "Email Marketing Consent")), {"Source": f"{_NEWSLETTER}.proof"}
    ),
    # Where the last IP address was, not where the person lives.
    Layout(
        "Intercom",
        frozenset(("Web sessions", "Browser Language")),
        {"Country": "ignore", "Region": "ignore", "City": "ignore"},
    ),
)


def layout_of(headers: Sequence[str]) -> Layout | None:
    """The first layout whose marks the header has, if any."""
    names = set(headers)
    return next((layout for layout in LAYOUTS if layout.marks <= names and not layout.without & names), None)


def settled_columns(headers: Sequence[str]) -> dict[int, str]:
    """index → target, of columns whose meaning follows from the tool."""
    layout = layout_of(headers)
    if layout is None:
        return {}
    return {index: layout.columns[header] for index, header in enumerate(headers) if header in layout.columns}


def constants_of(headers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Entries of the mapping that belong to no column."""
    layout = layout_of(headers)
    constants = layout.constants if layout else ()
    return {
        f"constant {number}": {"to": to, "const": value} for number, (to, value) in enumerate(constants, 1)
    }
