"""An actor, and rights they hand on or a login they change → whether they may: nobody gives more than they have.

The rule is one: whoever hands out roles and rights, changes a role or acts on a login (its roles, its password, whether
it is active) must have every permission involved. Pages of logins, roles and keys all ask here.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import Group, Permission
from django.db.models import Q, QuerySet

from cdp.actors import Actor
from cdp.models import User
from cdp.roles_and_scopes import RIGHTS


def permissions_beyond(actor: Actor, codes: Iterable[str]) -> list[str]:
    """Those of the permissions that the actor does not have."""
    return sorted(code for code in codes if not actor.can(code))


def permissions_of_login(user: User) -> set[str]:
    """What the login was given, by roles and by itself, also while it is deactivated. One query."""
    return _codes(Permission.objects.filter(Q(user=user) | Q(group__user=user)))


def permissions_of_role(role: Group) -> set[str]:
    return _codes(Permission.objects.filter(group=role))


def may_act_on_login(actor: Actor, user: User) -> bool:
    """Whether the login has no more rights than the actor: else its password or roles would be a way to them."""
    if actor.user is not None and actor.user.is_superuser:
        return actor.block is None
    return not user.is_superuser and not permissions_beyond(actor, permissions_of_login(user))


def may_act_on_role(actor: Actor, role: Group) -> bool:
    return not permissions_beyond(actor, permissions_of_role(role))


def problem_of_role(actor: Actor, role: Group) -> str:
    """Why the actor may not give somebody this role; "" if they may."""
    if beyond := permissions_beyond(actor, permissions_of_role(role)):
        return f"You cannot give the role “{role.name}”: it includes rights you do not have ({in_words(beyond)})."
    return ""


def in_words(codes: Iterable[str]) -> str:
    """At most three rights by their labels, and how many more."""
    wanted = set(codes)
    labels = [right.label for right in RIGHTS.values() if right.codes & wanted]
    labels += sorted(wanted - frozenset().union(*(right.codes for right in RIGHTS.values())))
    more = len(labels) - 3
    return ", ".join(labels[:3]) + (f" and {more} more" if more > 0 else "")


def _codes(permissions: QuerySet[Permission]) -> set[str]:
    named = permissions.values_list("content_type__app_label", "codename").order_by()
    return {f"{app}.{codename}" for app, codename in named}
