"""What each writing call of the API does, by whom: who may, changes rows and leaves a line in the audit log; who may not, writes nothing.

Calls come from tests/rights.json, which comes from the resolver; one without a body here fails. Written rows are PostgreSQL's
own count of the transaction, so that no table can be forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from profiles.builtin_sources import builtin_source
from profiles.models import Receipt, Tag
from profiles.privacy.delete import delete_profiles
from tests.profile_factory import make_profile
from tests.test_rights import KEYS, USERS, World, table

pytestmark = pytest.mark.django_db
METHODS = ("POST", "PUT", "PATCH", "DELETE")
# Written by any call, refused ones too: how often somebody called, and when.
NOISE = {"cdp_ratewindow", "cdp_apikey", "cdp_apikeyuse", "django_session"}


class Cast(World):
    """The world of tests/test_rights.py with what its calls need to have an effect."""

    def __init__(self) -> None:
        super().__init__()
        by = {"actor": self.system, "source": builtin_source("staff")}
        self.gone = make_profile(first_name="Gone")
        delete_profiles(profile_ids=[self.gone.pk], **by)
        self.other_tag = Tag.objects.create(name="club")
        Receipt.objects.filter(pk=self.pk("profiles_receipt")).update(
            payload={"type": "track", "event": "A", "userId": "1"}
        )

    @property
    def system(self) -> Any:
        from cdp.actors import Actor

        return Actor.system()

    @property
    def other(self) -> int:
        pk: int = self.objects["profiles_duplicatepair"].b_id
        return pk


Body = Callable[[Cast], Any]
ITEM = {"type": "track", "event": "Seen", "userId": "77"}
CALLS: dict[str, Body] = {
    "POST api/v1/attributes/": lambda w: {"name": "size"},
    "PATCH api/v1/attributes/<int:pk>/": lambda w: {"label": "The plan"},
    "DELETE api/v1/attributes/<int:pk>/": lambda w: None,
    "POST api/v1/consent-channels/": lambda w: {"name": "pigeon", "label": "Pigeon"},
    "PATCH api/v1/consent-channels/<int:pk>/": lambda w: {"label": "Faxes"},
    "DELETE api/v1/consent-channels/<int:pk>/": lambda w: None,
    "POST api/v1/consent-purposes/": lambda w: {"name": "games", "label": "Games"},
    "PATCH api/v1/consent-purposes/<int:pk>/": lambda w: {"label": "Clubs"},
    "DELETE api/v1/consent-purposes/<int:pk>/": lambda w: None,
    "POST api/v1/duplicate-cases/<int:pk>/decide/": lambda w: {"decision": "separate"},
    "PATCH api/v1/duplicate-policy/": lambda w: {"auto_merge_cap": 7},
    "POST api/v1/duplicates/<int:pk>/decide/": lambda w: {"verdict": "not_duplicate"},
    "POST api/v1/duplicates/scan/": lambda w: {},
    "POST api/v1/event-schemas/": lambda w: {"name": "Bought", "properties": {}},
    "PATCH api/v1/event-schemas/<int:pk>/": lambda w: {"description": "When they buy"},
    "DELETE api/v1/event-schemas/<int:pk>/": lambda w: None,
    "POST api/v1/exports/": lambda w: {"format": "csv"},
    "POST api/v1/held-joins/<int:pk>/decide/": lambda w: {"decision": "dismiss"},
    "POST api/v1/identifier-types/": lambda w: {"name": "card"},
    "PATCH api/v1/identifier-types/<int:pk>/": lambda w: {"label": "Loyalty"},
    "DELETE api/v1/identifier-types/<int:pk>/": lambda w: None,
    "POST api/v1/imports/<int:pk>/cancel/": lambda w: {},
    "POST api/v1/jobs/<int:pk>/cancel/": lambda w: {},
    "POST api/v1/jobs/<int:pk>/pause/": lambda w: {},
    "POST api/v1/merges/<int:merge_id>/unmerge/": lambda w: {},
    "POST api/v1/merges/bulk/": lambda w: {"pairs": [{"winner_id": w.ann.pk, "loser_id": w.other}]},
    "POST api/v1/profiles/": lambda w: {"first_name": "Zoe"},
    "PATCH api/v1/profiles/<ref:ref>/": lambda w: {"city": "Rome"},
    "DELETE api/v1/profiles/<ref:ref>/": lambda w: {},
    "POST api/v1/profiles/<ref:ref>/addresses/": lambda w: {"city": "Oslo"},
    "DELETE api/v1/profiles/<ref:ref>/addresses/<int:address_id>/": lambda w: None,
    "POST api/v1/profiles/<ref:ref>/alternates/promote/": lambda w: {"field": "city", "value": "Bergen"},
    "POST api/v1/profiles/<ref:ref>/consents/": lambda w: {
        "channel": "email",
        "purpose": "newsletter",
        "state": "granted",
    },
    "POST api/v1/profiles/<ref:ref>/events/": lambda w: {"name": "Seen"},
    "DELETE api/v1/profiles/<ref:ref>/identifiers/<str:type>/<text:value>/": lambda w: None,
    "POST api/v1/profiles/<ref:ref>/lock/": lambda w: {},
    "POST api/v1/profiles/<ref:ref>/merge/": lambda w: {"loser_id": w.other},
    "POST api/v1/profiles/<ref:ref>/notes/": lambda w: {"text": "Called."},
    "DELETE api/v1/profiles/<ref:ref>/tags/<text:tag>/": lambda w: None,
    "POST api/v1/profiles/restore/": lambda w: {"ids": [w.gone.pk]},
    "POST api/v1/receipts/<int:pk>/dismiss/": lambda w: {},
    "POST api/v1/receipts/<int:pk>/replay/": lambda w: {"payload": ITEM},
    "POST api/v1/receipts/dismiss/": lambda w: {"ids": [int(w.pk("profiles_receipt"))]},
    "POST api/v1/receipts/replay/": lambda w: {"ids": [int(w.pk("profiles_receipt"))]},
    "PATCH api/v1/saved-views/<int:pk>/": lambda w: {"name": "Ours"},
    "DELETE api/v1/saved-views/<int:pk>/": lambda w: None,
    "POST api/v1/scorecard/alarms/<int:pk>/acknowledge/": lambda w: {},
    "POST api/v1/segments/": lambda w: {"name": "b", "rules": {"all": [{"type": "recognized"}]}},
    "PATCH api/v1/segments/<int:pk>/": lambda w: {"name": "b"},
    "DELETE api/v1/segments/<int:pk>/": lambda w: None,
    "POST api/v1/segments/<int:pk>/members/": lambda w: {"profile_ids": [w.other]},
    "DELETE api/v1/segments/<int:pk>/members/": lambda w: {"profile_ids": [w.ann.pk]},
    "POST api/v1/sources/": lambda w: {"name": "till"},
    "PATCH api/v1/sources/<int:pk>/": lambda w: {"name": "the shop"},
    "POST api/v1/sources/<int:pk>/keys/": lambda w: {"kind": "web"},
    "POST api/v1/sources/<int:pk>/keys/<int:writekey_id>/revoke/": lambda w: {},
    "POST api/v1/sources/<int:pk>/keys/<int:writekey_id>/rotate/": lambda w: {},
    "POST api/v1/sources/<int:pk>/signing-secret/rotate/": lambda w: {},
    "POST api/v1/tags/": lambda w: {"name": "new"},
    "PATCH api/v1/tags/<int:pk>/": lambda w: {"name": "very"},
    "DELETE api/v1/tags/<int:pk>/": lambda w: None,
    "POST api/v1/tags/<int:pk>/merge/": lambda w: {"loser_id": w.other_tag.pk},
    "POST api/v1/webhooks/": lambda w: {
        "name": "b",
        "url": "https://example.com/",
        "topics": ["profile.merged"],
    },
    "PATCH api/v1/webhooks/<int:pk>/": lambda w: {"name": "b"},
    "DELETE api/v1/webhooks/<int:pk>/": lambda w: None,
    "POST api/v1/webhooks/<int:pk>/deliveries/<int:delivery_id>/replay/": lambda w: {},
}
# Calls that this world has nothing for, or that write nothing by themselves; where they are tried instead.
ELSEWHERE = {
    "POST api/^": "no address",
    "PUT api/^": "no address",
    "PATCH api/^": "no address",
    "DELETE api/^": "no address",
    "POST api/v1/resolve/": "reads",
    "POST api/v1/duplicates/<int:pair_id>/why/fix/": "tests/api/test_why.py",
    "POST api/v1/profiles/<ref:ref>/why/<ref:other>/fix/": "tests/api/test_why.py",
    "POST api/v1/event-schemas/adopt/": "tests/api/test_schemas.py",
    "POST api/v1/held-joins/<int:pk>/reopen/": "tests/tracking/test_reopen_held.py",
    "POST api/v1/identifiers/confirm/": "tests/tracking/test_double_opt_in.py",
    "POST api/v1/profiles/<ref:ref>/identifiers/<str:type>/<text:value>/confirm/": "tests/tracking/test_double_opt_in.py",
    "PUT api/v1/profiles/<ref:ref>/identifiers/<str:type>/<text:value>/": "the address names one they have",
    "PUT api/v1/profiles/<ref:ref>/tags/<text:tag>/": "the address names one they have",
    "POST api/v1/profiles/<ref:ref>/restore/": "tests/api/test_profiles.py",
    "POST api/v1/profiles/<ref:ref>/unlock/": "not locked",
    "POST api/v1/imports/": "tests/imports/test_api.py",
    "PATCH api/v1/imports/<int:pk>/": "tests/imports/test_api.py",
    "POST api/v1/imports/<int:pk>/apply/": "tests/imports/test_api.py",
    "POST api/v1/imports/<int:pk>/pause/": "nothing runs",
    "POST api/v1/imports/<int:pk>/resume/": "nothing runs",
    "POST api/v1/jobs/<int:pk>/resume/": "not paused",
    "POST api/v1/merges/batches/<int:batch_id>/undo/": "tests/api/test_batches.py",
    "POST api/v1/saved-views/": "tests/api/test_saved_views.py",
    "POST api/v1/segments/<int:pk>/restore/": "tests/api/test_segments.py",
    "POST api/v1/segments/preview/": "reads",
    "POST api/v1/sources/<int:pk>/signing-secret/revoke/": "there is no old one",
    "POST api/v1/webhooks/<int:pk>/test/": "calls out",
}
# Effects without a line in the audit log, each with the reason.
NOT_AUDITED: dict[str, str] = {}


def write_lines() -> list[str]:
    return [
        f"{method} {line}"
        for line, methods in table().items()
        if line.startswith("api/")
        for method in METHODS
        if methods.get(method)
    ]


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[Cast]:
    """Made once and rolled back at the end; each call is rolled back, too."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield Cast()
        transaction.set_rollback(True)


def rows_written() -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_xact_user_tables"
            " WHERE n_tup_ins + n_tup_upd + n_tup_del > 0"
        )
        return dict(cursor.fetchall())


def call(world: Cast, client: Client, line: str) -> tuple[int, str, set[str]]:
    """Status, answer, and the tables that were written; then everything is taken back."""
    method, _, route = line.partition(" ")
    (path,) = world.addresses(route).values()
    body = CALLS[line](world)
    with transaction.atomic():
        before = rows_written()
        response = client.generic(
            method, path, b"" if body is None else json.dumps(body).encode(), content_type="application/json"
        )
        after = rows_written()
        transaction.set_rollback(True)
    written = {name for name, count in after.items() if count != before.get(name, 0)}
    return response.status_code, response.content.decode()[:300], written - NOISE


def test_every_writing_call_is_tried_or_says_where() -> None:
    assert sorted({*CALLS, *ELSEWHERE}) == sorted(write_lines())
    assert CALLS.keys() & ELSEWHERE.keys() == set()


@pytest.mark.parametrize("line", CALLS)
def test_who_may_has_an_effect_and_who_may_not_has_none(world: Cast, line: str) -> None:
    method, _, route = line.partition(" ")
    status, answer, written = call(world, world.clients["superuser"], line)
    assert 200 <= status < 300, answer
    assert written - {"cdp_auditentry"}, "nothing was done"
    assert ("cdp_auditentry" in written) == (line not in NOT_AUDITED), written
    admitted = set(table()[route][method])
    for name in (*USERS, *KEYS):
        if name == "superuser":
            continue
        got = call(world, world.clients[name], line)
        if name not in admitted:
            assert (got[0] in (401, 403, 404), got[2]) == (True, set()), (name, *got)
        elif got[0] in (403, 404):
            # Let in, and refused for what was sent: the body asks for a further right.
            assert got[2] == set(), (name, *got)
        else:
            assert (got[0], got[2]) == (status, written), (name, *got)
