"""Who may open which address: every address × every role × every method, against tests/rights.json.

Addresses come from the resolver, so a new one fails here until somebody looked at who may use it:

    RIGHTS=write pytest tests/test_rights.py    # then review the diff of tests/rights.json

The table lists who gets in; everybody else must be turned away (login page, 401, 403, or a 404 that somebody
with the right does not get). What is tried is rolled back, so the order says nothing.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.db import transaction
from django.template.backends.django import Template
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from django.utils.safestring import SafeString

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.models import AuditEntry, Delivery, Job, Look, Mail, OutboxMessage, User, Webhook
from cdp.roles_and_scopes import ROLES, SCOPES
from imports.models import Import, SavedMapping
from profiles.builtin_sources import builtin_source
from profiles.bulk.run_action import actions
from profiles.editing import add_address
from profiles.merging.merge import merge_profiles
from profiles.models import (
    AttributeDefinition,
    ConsentChannel,
    ConsentPurpose,
    DuplicateCase,
    DuplicatePair,
    EventSchema,
    HeldMerge,
    IdentifierType,
    MergeBatch,
    Receipt,
    SavedView,
    Source,
    SourceAlarm,
    Tag,
    WriteKey,
)
from segments.models import Membership, Segment
from tests.profile_factory import make_profile

# The mark makes sure that there is a test database before the world is made in it.
pytestmark = pytest.mark.django_db
TABLE = Path(__file__).with_name("rights.json")
METHODS = ("GET", "POST")
API_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
USERS = ("anonymous", "olga", *ROLES, "superuser")
KEYS = ("key without scopes", *(f"key {scope}" for scope in SCOPES))

# Says so while no worker or broker runs, as in tests.
UNAVAILABLE = {"GET readyz: 503", "POST readyz: 503"}
# Addresses that lead nowhere by themselves: Django's catch-all, and its old change pages, which redirect.
_NOWHERE = re.compile(r"admin/\(\?P<url>\.\*\)\$|admin/\w+/\w+/<path:object_id>/")
# The admin lists its apps in a pattern, in an order of its own.
_APPS = re.compile(r"\^\(\?P<app_label>[^)]*\)/\$")


def routes() -> list[str]:
    """Every address of the product, once: with its trailing slash where it answers with and without."""
    routes_found = set(_walk(get_resolver()))
    return sorted(
        route for route in routes_found if f"{route}/" not in routes_found and not _NOWHERE.fullmatch(route)
    )


def _walk(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        route = prefix + _APPS.sub("<app_label>/", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern, route)
        elif isinstance(pattern, URLPattern):
            yield route


class World:
    """One of everything an address can name, and whoever may knock."""

    def __init__(self) -> None:
        by: dict[str, Any] = {"actor": Actor.system(), "source": builtin_source("staff")}
        self.ann = make_profile(first_name="Ann", email="ann@example.com", tags=["vip"], city="Oslo")
        other, loser = (
            make_profile(first_name="Ben", city="Rome"),
            make_profile(first_name="Anna", city="Bergen"),
        )
        merge = merge_profiles(winner_id=self.ann.pk, loser_id=loser.pk, **by)
        address = add_address(profile_id=self.ann.pk, values={"city": "Paris"}, **by)
        pair = DuplicatePair.objects.create(a=self.ann, b=other)
        webhook = Webhook.objects.create(name="a", url="https://203.0.113.1/", topics=["profile.merged"])
        message = OutboxMessage.objects.create(topic="profile.merged", payload={})
        delivery = Delivery.objects.create(webhook=webhook, message=message, state="dead")
        job = Job.objects.create(kind="profiles.bulk", title="A job", is_system=True)
        attachment = {"name": "a.csv", "type": "text/csv", "content": "YQ=="}
        mail = Mail.objects.create(to=["a@example.com"], subject="a", text="a", attachments=[attachment])
        key = create_key(name="a key", scopes=["profiles:read"], actor=Actor.system()).key
        # Without passwords: hashing them as in production took longer than all addresses of a role.
        staff = User.objects.create_user("somebody")
        upload = Import.objects.create(
            name="a.csv", size=1, sha256="0", state="planned", source=builtin_source("import")
        )
        shop = Source.objects.create(name="shop", channel="web")
        segment = Segment.objects.create(
            name="Anna of Oslo",
            state="live",
            rules={
                "version": 1,
                "all": [
                    {"attribute": "city", "op": "exists"},
                    {"attribute": "language", "op": "exists"},
                ],
            },
        )
        Membership.objects.create(
            segment=segment, profile=self.ann, entered_at=timezone.now(), entered_by="rule"
        )
        self.objects: dict[str, Any] = {
            "profiles_profile": self.ann,
            "profiles_merge": merge.merge_id,
            "profiles_tag": Tag.objects.get(name="vip"),
            "profiles_attributedefinition": AttributeDefinition.objects.create(name="plan"),
            "profiles_consentchannel": ConsentChannel.objects.create(name="fax", label="Fax"),
            "profiles_consentpurpose": ConsentPurpose.objects.create(name="club", label="Club"),
            "profiles_identifiertype": IdentifierType.objects.create(name="loyalty_card"),
            "profiles_source": shop,
            "profiles_writekey": WriteKey.objects.create(source=shop, kind="web", prefix="a", digest="a"),
            "profiles_receipt": Receipt.objects.create(source=shop, outcome="invalid", payload={}),
            "profiles_eventschema": EventSchema.objects.create(name="Seen"),
            "profiles_address": address,
            "profiles_mergebatch": MergeBatch.objects.create(
                title="a", origin="csv", size=0, state="ready", source=builtin_source("staff")
            ),
            "profiles_duplicatepair": pair,
            "profiles_duplicatecase": DuplicateCase.objects.create(
                anchor=self.ann.pk, members=[self.ann.pk, other.pk], size=2
            ),
            "profiles_heldmerge": HeldMerge.objects.create(
                source=builtin_source("web"),
                reason="rate",
                type=IdentifierType.objects.get(name="email"),
                value="held@example.com",
                profile=self.ann,
                other=other,
            ),
            "profiles_sourcealarm": SourceAlarm.objects.create(
                source=shop,
                signal="update",
                began_at=timezone.now(),
                usual=0,
                bound=0,
                share=1,
                calls=1,
                sentence="a",
            ),
            "profiles_savedview": SavedView.objects.create(name="a", is_shared=True),
            "cdp_webhook": webhook,
            "cdp_delivery": delivery,
            "cdp_job": job,
            "cdp_mail": mail,
            "cdp_apikey": key,
            "cdp_user": staff,
            "cdp_look": Look.objects.create(actor="a", kind="card", profile_ids=[self.ann.pk]),
            "cdp_auditentry": AuditEntry.objects.order_by("pk").first(),
            "auth_group": Group.objects.create(name="a group"),
            "segments_segment": segment,
            "imports_import": upload,
            "imports_savedmapping": SavedMapping.objects.create(name="a", mapping={}),
        }
        self.clients = {name: self._client(name) for name in (*USERS, *KEYS)}

    def _client(self, name: str) -> Client:
        if name.startswith("key"):
            scope = name.removeprefix("key ")
            made = create_key(name=name, scopes=["segments"], actor=Actor.system())
            made.key.scopes = [scope] if scope in SCOPES else []
            made.key.save()
            return Client(raise_request_exception=False, headers={"Authorization": f"Bearer {made.secret}"})
        client = Client(raise_request_exception=False)
        if name != "anonymous":
            user = User.objects.create_user(name, is_staff=True, is_superuser=name == "superuser")
            user.groups.set(Group.objects.filter(name=name))
            client.force_login(user)
        return client

    def pk(self, label: str) -> str:
        found = self.objects[label]
        return str(getattr(found, "pk", found))

    def addresses(self, route: str) -> dict[str, str]:
        """``{line of the table: path}``: one, or one per kind of bulk action. Fails for an unknown part."""
        if "<slug:action>" in route:
            return {
                f"{route} {name}": "/" + self._fill(route.replace("<slug:action>", name))
                for name, _ in actions.items()
            }
        return {route: "/" + self._fill(route)}

    def _fill(self, route: str) -> str:
        plain = route.replace("^", "").replace("$", "")
        plain = re.sub(r"\(\?P<format>[^)]*\)\??", "", plain)
        return re.sub(r"<(?:\w+:)?(\w+)>", lambda match: self._part(match.group(1), route), plain)

    def _part(self, name: str, route: str) -> str:
        fixed = {
            "ref": self.pk("profiles_profile"),
            "other": str(self.objects["profiles_duplicatepair"].b_id),
            "type": "email",
            "value": "ann@example.com",
            "tag": "vip",
            "field": "city",
            "number": "1",
            "content_type_id": "1",
            "app_label": "cdp",
            "format": "json",
            "kind": "track",
            "write_key": "nobodys",
            "name": "guide",
            "uidb64": "MQ",
            "token": "a-b",
        }
        if name in fixed:
            return fixed[name]
        for label in self.objects:
            if name == f"{label.partition('_')[2]}_id":
                return self.pk(label)
        named = {
            "key_id": "cdp_apikey",
            "pair_id": "profiles_duplicatepair",
            "case_id": "profiles_duplicatecase",
            "batch_id": "profiles_mergebatch",
        }
        if name in named:
            return self.pk(named[name])
        label = self._label(route)
        assert label, f"tell tests/test_rights.py what <{name}> of {route} is"
        return self.pk(label)

    def _label(self, route: str) -> str:
        """Which table an admin page or an API collection is about."""
        admin = re.match(r"admin/(\w+)/(\w+)/", route)
        if admin:
            return "_".join(admin.groups())
        words = re.match(r"api/v1/([\w-]+)/", route)
        known = {
            "tags": "profiles_tag",
            "saved-views": "profiles_savedview",
            "attributes": "profiles_attributedefinition",
            "consent-channels": "profiles_consentchannel",
            "consent-purposes": "profiles_consentpurpose",
            "identifier-types": "profiles_identifiertype",
            "sources": "profiles_source",
            "jobs": "cdp_job",
            "exports": "cdp_job",
            "webhooks": "cdp_webhook",
            "merges": "profiles_merge",
            "imports": "imports_import",
            "segments": "segments_segment",
            "receipts": "profiles_receipt",
            "event-schemas": "profiles_eventschema",
            "held-joins": "profiles_heldmerge",
            "duplicates": "profiles_duplicatepair",
            "duplicate-cases": "profiles_duplicatecase",
            "scorecard": "profiles_sourcealarm",
        }
        return (
            known.get(words.group(1), "")
            if words
            else "profiles_profile"
            if route.startswith("admin/r/")
            else ""
        )


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: Any) -> Iterator[World]:
    """Made once and rolled back at the end."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield World()
        transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def _nothing_goes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The webhook's test button would call out."""
    from cdp import http_client, webhooks

    monkeypatch.setattr(webhooks, "post", lambda *_, **__: http_client.Answer(None, "Not sent by a test."))


def knock(client: Client, method: str, path: str) -> int:
    """The status; a redirect to the login page counts as 401. What the call did is taken back."""
    is_json = path.startswith(("/api/", "/v1/", "/beacon/"))
    content_type = "application/json" if is_json else "multipart/form-data; boundary=x"
    data = b"{}" if is_json else b"--x--\r\n"
    cookies = client.cookies.copy()
    with transaction.atomic():
        if method == "GET":
            response = client.get(path)
        else:
            response = client.generic(method, path, data, content_type=content_type)
        transaction.set_rollback(True)
    client.cookies = cookies
    if response.status_code == 302 and response.headers["Location"].startswith("/admin/login/"):
        return 401
    return response.status_code


def who_gets_in(world: World, role: str, route: str) -> dict[str, dict[str, bool | int]]:
    """``{line: {method: status}}`` of one role; only methods the address knows."""
    is_api = route.startswith("api/")
    if role in KEYS and not is_api:
        return {}
    return {
        line: {
            method: knock(world.clients[role], method, path)
            for method in (API_METHODS if is_api else METHODS)
        }
        for line, path in world.addresses(route).items()
    }


def verdicts(world: World, role: str) -> dict[str, list[str]]:
    """The methods by which the role gets in, by line of the table."""
    found: dict[str, list[str]] = {}
    broken = []
    for route in routes():
        for line, statuses in who_gets_in(world, role, route).items():
            broken += [f"{method} {line}: {status}" for method, status in statuses.items() if status >= 500]
            found[line] = [
                method for method, status in statuses.items() if _is_in(world, role, line, method, status)
            ]
    assert [call for call in broken if call not in UNAVAILABLE] == [], (
        f"an empty call by {role} broke something"
    )
    return found


def _is_in(world: World, role: str, line: str, method: str, status: int) -> bool:
    """Let in: done, or refused for what was sent and not for who sent it."""
    if status in (401, 403, 405):
        return False
    if status == 404 and role != "superuser":
        path = world.addresses(line.partition(" ")[0])[line]
        return knock(world.clients["superuser"], method, path) == 404
    return True


def table() -> dict[str, dict[str, list[str]]]:
    return json.loads(TABLE.read_text()) if TABLE.exists() else {}


def write_column(role: str, found: dict[str, list[str]]) -> None:
    """Put one role's verdicts into the table, and drop addresses that are gone."""
    lines = {line: dict(methods) for line, methods in table().items()}
    if role == "superuser":
        lines = {line: lines.get(line, {}) for line in found}
    order = {name: place for place, name in enumerate((*USERS, *KEYS))}
    for line, methods in found.items():
        row = lines.setdefault(line, {})
        for method in API_METHODS:
            names = set(row.get(method, [])) - {role} | ({role} if method in methods else set())
            row[method] = sorted(names, key=order.__getitem__)
    rows = [
        f" {json.dumps(line)}: {json.dumps({method: row[method] for method in API_METHODS if row.get(method)})}"
        for line, row in sorted(lines.items())
    ]
    TABLE.write_text("{\n" + ",\n".join(rows) + "\n}\n")


# Who sees everything, and who sees it masked: with these, pages are drawn. Who gets in is decided before.
DRAWN = ("superuser", "viewer")


@pytest.mark.parametrize("role", [*reversed(USERS), *KEYS])
def test_each_role_opens_its_addresses_and_no_others(
    world: World, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if role not in DRAWN:
        monkeypatch.setattr(Template, "render", lambda *_, **__: SafeString(""))
    found = verdicts(world, role)
    if os.environ.get("RIGHTS") == "write":
        write_column(role, found)
    expected = table()
    assert sorted(line for line in found if line not in expected) == [], (
        "new addresses: see this file's docstring"
    )
    wrong = {
        line: {"gets in by": methods, "table says": allowed}
        for line, methods in found.items()
        if sorted(methods)
        != sorted(allowed := [name for name, roles in expected[line].items() if role in roles])
    }
    assert wrong == {}


def test_the_table_has_no_address_that_is_gone(world: World) -> None:
    assert set(table()) == {line for route in routes() for line in world.addresses(route)}


def test_an_address_answers_alike_with_and_without_its_slash() -> None:
    """The table lists the one with it; both lead to the same view."""
    patterns = dict(_views(get_resolver()))
    pairs = [(route, f"{route}/") for route in patterns if f"{route}/" in patterns]
    assert len(pairs) > 20
    assert [route for route, other in pairs if patterns[route] is not patterns[other]] == []


def _views(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _views(pattern, route)
        else:
            yield route, pattern.callback


# What must hold whatever the table says.


# One's own jobs, and a file of headings.
OPEN_TO_LOGINS = {"api/v1/jobs/", "api/v1/imports/template.csv/"}
OPEN_TO_ALL = {
    "",
    "llms.txt",
    "admin/login/",
    "admin/logout/",
    # A forgotten password: the same answer for everybody, and nothing without the link of a mail.
    "admin/forgot-password/",
    "admin/forgot-password/sent/",
    "admin/set-password/<uidb64>/<token>/",
    "admin/set-password/done/",
    "analytics.js/v1/<str:write_key>/analytics.min.js",
    "api/^",
    "api/v1/docs/",
    "api/v1/schema/",
    # Shows a visitor what their own browser sent along.
    "browser-id/",
    "cdp-debug.js",
    "cdp-id.js",
    "cdp.js",
    "csp-report/",
    "docs/<slug:name>.md",
    "healthz",
    "metrics",
    "readyz",
    # Who knows a write key knows all that is in its settings; nobody's are a 404.
    "v1/projects/<str:write_key>/settings/",
    "customerio/v1/projects/<str:write_key>/settings/",
}


def test_nobody_comes_in_without_a_name_but_to_say_it() -> None:
    """Outside the login page, health and machine-readable pages, the anonymous see nothing."""
    opened = {
        line for line, methods in table().items() if any("anonymous" in roles for roles in methods.values())
    }
    assert opened <= OPEN_TO_ALL


def test_staff_without_any_right_open_what_every_login_may() -> None:
    """A login alone opens the front page, one's own password and jobs, and what pages need to work."""
    opened = {line for line, methods in table().items() if any("olga" in roles for roles in methods.values())}
    assert opened - OPEN_TO_ALL <= {
        "admin/",
        "admin/<app_label>/",
        # One's own account.
        "admin/account/",
        "admin/account/end-session/",
        "admin/confirm/",
        "admin/help/",
        "admin/help/<slug:name>/",
        "admin/help/images/<slug:name>.png",
        "admin/jsi18n/",
        "admin/password_change/",
        "admin/password_change/done/",
        "admin/r/<path:content_type_id>/<path:object_id>/",
        *OPEN_TO_LOGINS,
    }


def test_a_key_without_scopes_opens_nothing() -> None:
    opened = {
        line for line, methods in table().items() if any(KEYS[0] in roles for roles in methods.values())
    }
    assert opened - OPEN_TO_ALL <= OPEN_TO_LOGINS


def test_every_model_of_ours_in_the_admin_is_in_the_table() -> None:
    from django.contrib import admin

    ours = {"cdp", "profiles", "imports"}
    lists = {
        f"admin/{model._meta.app_label}/{model._meta.model_name}/"
        for model in admin.site._registry
        if model._meta.app_label in ours and apps.is_installed(model._meta.app_label)
    }
    assert lists <= set(table())
