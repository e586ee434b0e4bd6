"""The access package holds everything: each column of each table about a person is changed, and the file must tell.

Nothing here lists columns: tables and columns come from Django's registry. What is missing from the file has to
be declared, with its reason, by its app (cdp/personal_data_registry.py), so that a new column cannot be forgotten.
"""

from __future__ import annotations

import datetime
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models, transaction
from django.test import Client

from cdp import personal_data_registry
from cdp.actors import Actor
from cdp.jobs import run, run_to_end
from cdp.models import ApiKey, AuditEntry, Delivery, Look, Mail, OutboxMessage, User, Webhook
from imports.models import Import, Row
from imports.partitions import create_partition
from profiles.duplicates.finding import match_queue
from profiles.duplicates.finding.delete import erase
from profiles.duplicates.finding.full_scan import start_scan
from profiles.models import (
    Address,
    Alternate,
    Cart,
    Change,
    Consent,
    DuplicateCase,
    DuplicatePair,
    Event,
    EventName,
    FrequentValue,
    HeldMerge,
    Identifier,
    IdentifierType,
    LinkInterval,
    MatchRarity,
    Merge,
    Message,
    Note,
    Profile,
    ProfileTag,
    Receipt,
    Source,
    Tag,
)
from profiles.pairs.verdicts import set_verdict
from profiles.privacy.delete import delete_profiles
from profiles.privacy.gdpr_export import export_profile
from profiles.tracking.sources.sources import create_source
from segments.models import HandPick, Membership, NextCheck, QueueEntry, Segment
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db
_serial = itertools.count(1001)
MOMENT = datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC)


class Case:
    """A person with one row in every table about people, and the pieces a column can be pointed at."""

    def __init__(self) -> None:
        self.root = make_profile(first_name="Root", email="root@example.com")
        self.member = make_profile(first_name="Member")
        self.other = make_profile(first_name="Other")
        Profile.objects.filter(pk=self.member.pk).update(canonical=self.root, status="merged")
        self.rows: dict[type[models.Model], models.Model] = {}
        self._about_the_profile()
        self._about_tracking()
        self._about_segments()
        self._about_its_surroundings()

    def _keep(self, row: Any) -> Any:
        self.rows[type(row)] = row
        return row

    def _about_the_profile(self) -> None:
        root, source = self.root, Source.objects.get(channel="web")
        self._keep(Profile.objects.get(pk=self.member.pk))
        self._keep(Identifier.objects.filter(profile=root).first())
        self._keep(Address.objects.create(profile=root, city="Paris", source=source))
        self._keep(Alternate.objects.create(profile=root, field="city", value="Rome", source=source))
        self._keep(ProfileTag.objects.create(profile=root, tag=Tag.objects.create(name="a"), source=source))
        self._keep(
            Consent.objects.create(profile=root, channel="email", purpose="x", state="granted", source=source)
        )
        self._keep(
            Event.objects.create(
                profile=root,
                name=EventName.objects.create(name="Seen"),
                occurred_at=MOMENT,
                message_id="6f1a5c1e-0000-4000-8000-000000000001",
                source=source,
            )
        )
        self._keep(Note.objects.create(profile=root, text="a"))
        mail = self._keep(Mail.objects.create(to=["a@example.com"], subject="a", text="a"))
        self._keep(
            Message.objects.create(
                profile=root, purpose="x", address="a@example.com", subject="a", text="a", mail=mail
            )
        )
        self._keep(
            Merge.objects.create(winner=root, loser_id=self.member.pk, source=source, before={"city": "Oslo"})
        )
        self._keep(DuplicatePair.objects.create(a=root, b=self.other, decided_at=MOMENT))
        self._keep(
            Change.objects.create(profile=root, kind="updated", source=source, fields={"city": ["a", "b"]})
        )

    def _about_tracking(self) -> None:
        source, kind = Source.objects.get(channel="web"), IdentifierType.objects.get(name="anonymous_id")
        self._keep(Receipt.objects.create(source=source, outcome="conflict", profile=self.root))
        self._keep(LinkInterval.objects.create(type=kind, value="b-1", profile=self.root))
        held: dict[str, Any] = {"source": source, "type": kind, "reason": "value", "decided_at": MOMENT}
        self._keep(HeldMerge.objects.create(value="b-1", profile=self.root, other=self.other, **held))
        times = {"started_at": MOMENT, "last_event_at": MOMENT}
        self._keep(Cart.objects.create(profile=self.root, source=source, cart_id="c-1", **times))

    def _about_segments(self) -> None:
        segment = Segment.objects.create(name="VIP")
        stay = {
            "entered_at": MOMENT,
            "entered_by": "rule",
            "left_at": MOMENT.replace(year=2040),
            "left_by": "event",
        }
        self._keep(Membership.objects.create(segment=segment, profile=self.root, **stay))
        self._keep(HandPick.objects.create(segment=segment, profile=self.root, is_in=True, reason="a"))
        self._keep(NextCheck.objects.create(segment=segment, profile=self.root, due_at=MOMENT))
        self._keep(QueueEntry.objects.create(profile_id=self.root.pk, reads=["*"], cause="change"))

    def _about_its_surroundings(self) -> None:
        self._keep(
            AuditEntry.objects.create(actor="sam", action="profile.note", subject=f"profile:{self.root.pk}")
        )
        self._keep(Look.objects.create(actor="sam", kind="card", profile_ids=[self.root.pk]))
        message = self._keep(
            OutboxMessage.objects.create(topic="profile.updated", profile_id=self.root.pk, payload={"a": 1})
        )
        hook = Webhook.objects.create(name="a", url="https://a.example.com/")
        self._keep(Delivery.objects.create(webhook=hook, message=message, profile_id=self.root.pk))
        job = Import.objects.create(
            name="a.csv", size=1, sha256="0", source=Source.objects.get(channel="import")
        )
        create_partition(job)
        Row.objects.bulk_create([Row(import_id=job.pk, line=2, outcome="updated", profile_id=self.root.pk)])
        self.rows[Row] = Row.objects.get(import_id=job.pk, line=2)

    def text(self, actor: Actor | None = None) -> str:
        package = export_profile(profile_id=self.root.pk, actor=actor or Actor.system())
        del package["about"]
        package["access"] = [entry for entry in package["access"] if entry["did"] != "profile.export"]
        package["looks"] = [look for look in package["looks"] if look["looked_at"] != "the GDPR export"]
        return json.dumps(package, ensure_ascii=False)


def personal_models() -> set[type[models.Model]]:
    """Tables that point at a profile, however they do it; and mails, which messages to people point at."""
    return {
        model
        for model in apps.get_models(include_auto_created=False)
        if model is Mail
        or any(
            field.related_model is Profile or field.name in ("profile_id", "subject")
            for field in model._meta.concrete_fields
        )
    } | {Profile}


def columns(case: Case) -> Iterator[tuple[models.Model, models.Field[Any, Any]]]:
    left_out = {label: table.not_exported for label, table in personal_data_registry.tables().items()}
    for model, row in case.rows.items():
        for field in model._meta.concrete_fields:
            if not field.primary_key and field.name not in left_out[model._meta.label]:
                yield row, field


def planted(case: Case, row: models.Model, field: models.Field[Any, Any]) -> tuple[Any, str]:
    """Another value for the column, and the mark to find in the file (empty: the file must merely differ)."""
    serial = next(_serial)
    if isinstance(field, models.ForeignKey):
        return _pointed(case, row, field, f"canary{serial}")
    if field.name == "subject" and isinstance(row, AuditEntry):
        return f"profile:{case.member.pk}", ""
    if field.name == "profile_id":
        return case.member.pk, ""
    if field.name == "import_id" or (field.name == "line" and isinstance(row, Row)):
        return None, "kept"
    if field.choices:
        now = getattr(row, field.name)
        allowed = [value for value, _ in field.flatchoices if value not in (now, "live", "merged", "erased")]
        return allowed[0], ""
    return _plain(row, field, serial)


def _plain(row: models.Model, field: models.Field[Any, Any], serial: int) -> tuple[Any, str]:
    if isinstance(field, models.BooleanField):
        return not getattr(row, field.name), ""
    if isinstance(field, models.DateTimeField):
        moment = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(minutes=serial)
        return moment, moment.strftime("%Y-%m-%dT%H:%M")
    if isinstance(field, models.DateField):
        return datetime.date(1931, 1, 1), "1931-01-01"
    if isinstance(field, models.IntegerField):
        return 7_000_000 + serial, str(7_000_000 + serial)
    if isinstance(field, models.FloatField):
        return float(serial), str(float(serial))
    if isinstance(field, models.UUIDField):
        value = f"6f1a5c1e-0000-4000-8000-{serial:012d}"
        return value, value
    mark = f"canary{serial}"
    if isinstance(field, models.JSONField):
        return (
            {"city": [None, mark]} if isinstance(row, Change) and field.name == "fields" else {"k": mark}
        ), mark
    if isinstance(field, ArrayField):
        return [mark], mark
    assert isinstance(field, (models.CharField, models.TextField)), f"no way known to change {field}"
    return (mark, mark) if (field.max_length or 99) >= len(mark) else ("QZ"[: field.max_length], "")


def _pointed(case: Case, row: models.Model, field: Any, mark: str) -> tuple[Any, str]:
    makers: dict[type, Callable[[], Any]] = {
        User: lambda: User.objects.create(username=mark),
        ApiKey: lambda: ApiKey.objects.create(name=mark, digest=mark),
        Source: lambda: Source.objects.create(name=mark, channel="web"),
        Tag: lambda: Tag.objects.create(name=mark),
        IdentifierType: lambda: IdentifierType.objects.create(name=mark),
        EventName: lambda: EventName.objects.create(name=mark),
        Webhook: lambda: Webhook.objects.create(name=mark, url="https://a.example.com/"),
        Cart: lambda: Cart.objects.create(
            profile=case.other, source_id=row.source_id, cart_id=mark, started_at=MOMENT, last_event_at=MOMENT
        ),
        Mail: lambda: Mail.objects.create(to=[mark], subject="", text=""),
        Segment: lambda: Segment.objects.create(name=mark),
    }
    if field.related_model is Profile:
        target = case.other if isinstance(row, (Merge, Profile)) else case.member
        return target.pk, ""
    return makers[field.related_model]().pk, mark


def test_every_table_is_either_in_the_file_or_left_out_for_a_reason() -> None:
    about_people = {model._meta.label for model in personal_models()}
    known = {model._meta.label for model in Case().rows}
    assert about_people - personal_data_registry.not_personal().keys() == known
    assert known == personal_data_registry.tables().keys()


def test_every_field_has_a_privacy_class_and_what_has_none_is_named() -> None:
    assert list(personal_data_registry.undeclared(apps.get_models())) == []

    class Planted:
        class _meta:
            label = "profiles.Note"
            concrete_fields = [*Note._meta.concrete_fields, models.TextField(name="mood")]

    class Unknown:
        class _meta:
            label = "profiles.Diary"
            concrete_fields: list[Any] = []

    assert list(personal_data_registry.undeclared([Planted, Unknown])) == [
        "profiles.Note.mood",
        "profiles.Diary",
    ]
    with pytest.raises(ValueError, match=r"A field of a.B has two privacy classes\."):
        personal_data_registry.Table("a.B", identifying=("x",), technical=("x",)).classes()


def test_an_app_adds_its_part_of_the_file_and_of_a_deletion(by_staff: dict[str, Any]) -> None:
    person = make_profile(first_name="Ann")
    deleted: list[int] = []
    section = personal_data_registry.Section(
        "Stub.", lambda subject: [{"members": list(subject.member_ids)}], order=5
    )
    stub = personal_data_registry.Provider(sections={"stub": section}, delete=deleted.extend)
    personal_data_registry.providers.register("stub", stub)
    try:
        package = export_profile(profile_id=person.pk, actor=Actor.system())
        assert list(package)[:2] == ["about", "stub"]
        assert package["stub"] == [{"members": [person.pk]}]
        delete_profiles(profile_ids=[person.pk], **by_staff)
    finally:
        personal_data_registry.providers.unregister("stub")
    assert deleted == [person.pk]


def test_every_column_shows_in_the_file() -> None:
    case = Case()
    plain = case.text()
    assert case.text() == plain, "the file of an unchanged person does not change"
    forgotten: list[str] = []
    checked = 0
    for row, plants in batches(case):
        text = changed_text(case, row, {field.name: value for field, value, _ in plants})
        checked += len(plants)
        for field, _, mark in plants:
            if (mark not in text) if mark else (text == plain):
                forgotten.append(f"{row._meta.label}.{field.name}")
    assert forgotten == []
    assert checked > 120


# Masked by the names inside, which tests/test_masking.py looks at; and whose work it was, who is no customer.
_BY_THEIR_NAMES = {"properties", "context", "envelope", "payload", "Change.fields", "AuditEntry.actor"}


def test_who_may_not_see_personal_data_gets_no_identifying_column(make_user: Callable[..., User]) -> None:
    case, clerk = Case(), make_user("clerk")
    clerk.user_permissions.add(Permission.objects.get(codename="export_profile"))
    actor, leaked, checked = Actor.of_user(clerk), [], 0
    assert "root@example.com" not in case.text(actor)
    for row, plants in batches(case):
        classes = personal_data_registry.tables()[row._meta.label].classes()
        marks = {
            field.name: mark
            for field, _, mark in plants
            if mark and classes[field.name] is personal_data_registry.PrivacyClass.IDENTIFYING
        }
        text = changed_text(case, row, {field.name: value for field, value, _ in plants}, actor)
        for name, mark in marks.items():
            is_by_name = _BY_THEIR_NAMES & {name, f"{row._meta.object_name}.{name}"}
            checked += not is_by_name
            if mark in text and not is_by_name:
                leaked.append(f"{row._meta.label}.{name}")
    assert leaked == []
    assert checked > 25
    about = export_profile(profile_id=case.root.pk, actor=actor)["about"]
    assert about["is_masked"]
    assert about["masked"] == (
        "Whoever made this file may not see personal data, so values that identify somebody are masked. It is not the"
        " copy that the person has a right to."
    )
    assert "Root" not in about["title"]


def batches(case: Case) -> Iterator[tuple[models.Model, list[tuple[Any, Any, str]]]]:
    """Columns with a mark of their own are changed together; what must merely make a difference, alone.

    So are times that are empty (setting undone_at changes what else is told) and API keys (a row's user goes first).
    """
    for row, pairs in itertools.groupby(columns(case), key=lambda pair: pair[0]):
        plants = [(field, *planted(case, row, field)) for _, field in pairs]
        plants = [plant for plant in plants if plant[2] != "kept"]
        alone = [plant for plant in plants if not plant[2] or _is_special(row, plant[0])]
        yield row, [plant for plant in plants if plant not in alone]
        for plant in alone:
            yield row, [plant]


def _is_special(row: models.Model, field: models.Field[Any, Any]) -> bool:
    if isinstance(field, models.DateTimeField):
        return getattr(row, field.attname) is None
    return field.related_model is ApiKey


def test_items_too_large_for_the_door_are_in_the_file(client: Client) -> None:
    """They lead to nobody yet, and name the person somewhere in what was kept of them."""
    made = create_source(name="Shop", kind="server", actor=Actor.system())
    person = make_profile(email="root@example.com", identifiers=[("customer_id", "C-1")])
    large: dict[str, Any] = {
        "type": "track",
        "event": "Seen",
        "properties": {"html": "<p>canary</p>" * 50_000},
    }
    named: list[dict[str, Any]] = [
        {"userId": "C-1"},
        {"anonymousId": "b-9", "context": {"traits": {"email": "Root@example.com"}}},
        {"anonymousId": "b-9", "context": {"externalIds": [{"type": "customer_id", "id": "C-1"}]}},
        {"userId": "C-2"},
    ]
    batch = [{**large, **ids, "messageId": f"m-{place}"} for place, ids in enumerate(named)]
    sent = client.post(
        "/v1/batch", {"batch": batch}, "application/json", headers={"X-Write-Key": made.write_key}
    )
    assert sent.json()["rejected"] == 4
    told = export_profile(profile_id=person.pk, actor=Actor.system())["calls"]
    assert [receipt["message_id"] for receipt in told] == ["m-0", "m-1", "m-2"]
    assert all("canary" in receipt["call"]["properties"]["html"] for receipt in told)


def changed_text(case: Case, row: models.Model, values: dict[str, Any], actor: Actor | None = None) -> str:
    """The file with the row's columns set to these values; then everything is as before."""
    with transaction.atomic(), connection.cursor() as cursor:
        # The audit log refuses updates, and the tables' own checks are not the matter here.
        cursor.execute("SET LOCAL session_replication_role = replica")
        assert type(row)._base_manager.filter(pk=row.pk).update(**values) == 1
        text = case.text(actor)
        transaction.set_rollback(True)
    return text


# --- What finding duplicates keeps ---------------------------------------------------------------------------

_KEPT = (
    *("profiles_matchrow", "profiles_matchrarity", "profiles_frequentvalue", "profiles_duplicatecase"),
    *("profiles_duplicatepair", "cdp_job"),
)
# As values stand in rows: folded, whole or in parts.
_MARKS = ("zyxwvut", "quorlington", "48600987654", "family.box")


def kept_of(marks: tuple[str, ...] = _MARKS) -> set[str]:
    """Tables of the duplicate finder with a row in which one of these texts stands anywhere."""
    found = set()
    with connection.cursor() as cursor:
        for table in _KEPT:
            cursor.execute(
                f"SELECT count(*) FROM {table} t WHERE t::text ILIKE ANY(%s)", [[f"%{m}%" for m in marks]]
            )
            if cursor.fetchone()[0]:
                found.add(table)
    return found


@pytest.fixture
def look_alikes(tmp_path: Any, settings: Any) -> list[int]:
    """Three rows of one person, suggested by a door and found by a scan, and a phone too many share."""
    settings.CDP_DATA = str(tmp_path)
    told = {"last_name": "Quorlington", "phone": "+48600987654", "birth_date": "1980-05-17"}
    ids = [
        make_profile(first_name="Zyxwvut", email=f"zyxwvut.{number}@web.de", **told).pk for number in range(3)
    ]
    desk = [make_profile(first_name=f"Name{n}").pk for n in range(3)]
    Profile.objects.filter(pk__in=desk).update(email="family.box@web.de")
    reason = {
        "code": "value",
        "type": "email",
        "value": "zyxwvut.0@web.de",
        "text": "Both have zyxwvut.0@web.de.",
    }
    DuplicatePair.objects.create(a_id=ids[0], b_id=ids[1], reasons=[reason])
    FrequentValue.objects.create(field="email", value="family.box@web.de", holders=6)
    DuplicateCase.objects.create(
        kind="shared_value",
        type=IdentifierType.objects.get(name="email"),
        value="family.box@web.de",
        size=6,
        members=desk,
        tier="related",
    )
    match_queue.work_off()
    return [*ids, *desk]


def test_nothing_is_left_of_the_deleted_where_duplicates_are_found(
    look_alikes: list[int], by_staff: dict[str, Any], tmp_path: Any
) -> None:
    assert {"profiles_matchrow", "profiles_duplicatepair", "profiles_frequentvalue"} <= kept_of()
    delete_profiles(profile_ids=look_alikes, **by_staff)
    assert kept_of() == set()
    connection.check_constraints()
    match_queue.work_off()
    assert run_to_end(start_scan(actor=Actor.system())).state == "done"
    assert kept_of() == set()
    assert list(tmp_path.rglob("rows.csv")) == []


def test_a_scan_writes_no_name_that_one_person_has(look_alikes: list[int], tmp_path: Any) -> None:
    job = run_to_end(start_scan(actor=Actor.system()))
    assert job.state == "done"
    assert MatchRarity.objects.exists()
    assert "profiles_matchrarity" not in kept_of()
    assert all(isinstance(number, int) for number in job.result.values())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_who_is_deleted_while_a_scan_runs_is_not_written_by_it(
    look_alikes: list[int], by_staff: dict[str, Any], tmp_path: Any
) -> None:
    job = start_scan(actor=Actor.system())
    while job.cursor.get("step") != "store":
        run(job.pk, slice_seconds=0)
        job.refresh_from_db()
    delete_profiles(profile_ids=look_alikes, **by_staff)
    assert run_to_end(job).state == "done"
    assert kept_of() == set()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_of_the_erased_no_decision_is_left_either(look_alikes: list[int], by_staff: dict[str, Any]) -> None:
    ids = look_alikes[:3]
    set_verdict(a_id=ids[0], b_id=ids[1], verdict="not_duplicate", actor=by_staff["actor"])
    delete_profiles(profile_ids=ids, **by_staff)
    assert DuplicatePair.objects.filter(a_id=ids[0], b_id=ids[1]).exists(), "a deletion can be taken back"
    erase(ids)
    assert kept_of(_MARKS[:3]) == set()
    assert not DuplicatePair.objects.filter(a_id__in=ids).exists()
    assert not DuplicateCase.objects.filter(members__overlap=ids).exists()
