"""The shipped roles are groups; what an admin changes in them stays."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission

from cdp.admin.navigation import TASKS
from cdp.models import User
from cdp.roles_and_scopes import RIGHTS, ROLES, SCOPES, ensure_roles

pytestmark = pytest.mark.django_db


def rights_of(name: str) -> set[str]:
    rows = Group.objects.get(name=name).permissions.values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in rows}


def every_permission() -> set[str]:
    rows = Permission.objects.values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in rows}


@pytest.mark.parametrize("name", ROLES)
def test_every_role_is_there_after_migrating(name: str) -> None:
    assert rights_of(name) == ROLES[name].permissions


def test_roles_scopes_and_the_table_of_rights_name_permissions_that_exist() -> None:
    named = {code for role in ROLES.values() for code in role.permissions} | set(RIGHTS)
    named |= {code for right in RIGHTS.values() for code in {*right.also, right.needs or right.code}}
    named |= {code for codes in SCOPES.values() for code in codes}
    assert named - every_permission() == set()


def test_each_right_has_words_at_a_task_and_needs_one_there_is() -> None:
    for code, right in RIGHTS.items():
        assert (right.code, right.task in TASKS, bool(right.label)) == (code, True, True), code
        assert not right.needs or right.needs in RIGHTS, code
    labels = [right.label for right in RIGHTS.values()]
    assert len(set(labels)) == len(labels)
    codes = [code for right in RIGHTS.values() for code in right.codes]
    assert sorted(set(codes)) == sorted(codes), "a permission belongs to one right"


@pytest.mark.parametrize("name", ROLES)
def test_a_shipped_role_is_a_set_of_whole_rights(name: str) -> None:
    """So that the table of roles says all of it: nothing in part, nothing without words, nothing of no use."""
    permissions = ROLES[name].permissions
    held = [right for right in RIGHTS.values() if right.codes <= permissions]
    assert permissions == frozenset().union(*(right.codes for right in held))
    assert {right.needs for right in held if right.needs} <= {right.code for right in held}


def test_what_an_admin_changed_stays() -> None:
    support = Group.objects.get(name="support")
    merge = Permission.objects.get(codename="merge_profile")
    delete = Permission.objects.get(codename="bulk_delete")
    support.permissions.remove(merge)
    support.permissions.add(delete)
    Group.objects.get(name="viewer").delete()
    ensure_roles()
    ensure_roles()
    assert "profiles.merge_profile" not in rights_of("support")
    assert "profiles.bulk_delete" in rights_of("support")
    assert rights_of("viewer") == ROLES["viewer"].permissions


def test_a_right_new_to_the_database_reaches_the_roles_it_ships_with() -> None:
    Permission.objects.get(codename="unmerge_profile").delete()
    Group.objects.get(name="support").permissions.remove(Permission.objects.get(codename="merge_profile"))
    assert "profiles.unmerge_profile" not in rights_of("data admin")
    ensure_roles()
    assert "profiles.unmerge_profile" in rights_of("data admin")
    assert rights_of("support") == ROLES["support"].permissions - {"profiles.merge_profile"}


def test_each_role_can_and_cannot(make_user: Any) -> None:
    table = {
        "viewer": ("profiles.view_profile", "profiles.view_pii"),
        "support": ("profiles.merge_profile", "profiles.bulk_delete"),
        "marketer": ("profiles.bulk_export", "profiles.merge_profile"),
        "data admin": ("imports.undo_import", "profiles.erase_profile"),
        "privacy officer": ("cdp.view_auditentry", "imports.add_import"),
    }
    for name, (may, must_not) in table.items():
        user: User = make_user(f"user of {name}", name)
        assert user.has_perm(may), name
        assert not user.has_perm(must_not), name


def test_nobody_but_a_superuser_hands_out_rights() -> None:
    risky = {"cdp.add_user", "cdp.change_user", "auth.change_group", "cdp.change_apikey", "cdp.add_apikey"}
    for name, role in ROLES.items():
        assert not role.permissions & risky, name


def test_the_log_is_read_by_the_privacy_officer_alone() -> None:
    assert [name for name, role in ROLES.items() if "cdp.view_auditentry" in role.permissions] == [
        "privacy officer"
    ]
