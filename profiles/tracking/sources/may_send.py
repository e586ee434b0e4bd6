"""An actor → whether they may add and change people and events themselves, which is what they give or do by tracking.

A write key, a signing secret and a replay write people: none of them is a way around the rights to do so.
"""

from __future__ import annotations

from cdp.actors import Actor
from cdp.errors import Forbidden

SENDING = ("profiles.add_profile", "profiles.change_profile", "profiles.add_event")


def may_send(actor: Actor) -> bool:
    return all(map(actor.can, SENDING))


def check_may_send(actor: Actor, what: str) -> None:
    """``what`` begins a sentence: "A write key". Raises Forbidden."""
    if may_send(actor):
        return
    needed = "the scope profiles:write" if actor.key else "the rights “Add a person” and “Edit one person”"
    raise Forbidden(
        f"{what} adds and changes people and events, which {actor.name} may not do: it needs {needed}, too."
    )
