"""What the OpenAPI description says about calls on profiles: answers, parameters, examples."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from profiles.merging.preview_sections import sections

Doc = serializers.Serializer[Any]


def _text(**kwargs: Any) -> serializers.CharField:
    return serializers.CharField(allow_null=True, **kwargs)


class Identifier(Doc):
    type = serializers.CharField()
    value = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    verified = serializers.BooleanField()
    resolves = serializers.BooleanField(
        help_text="Whether it resolves to this profile, or is a contact value only."
    )
    pending = serializers.BooleanField(help_text="Whether it waits for its owner to confirm it.")
    first_seen_at = serializers.DateTimeField(allow_null=True)
    last_seen_at = serializers.DateTimeField(allow_null=True)


class ConfirmAnswer(Doc):
    outcome = serializers.CharField(help_text="applied, merged, conflict or unchanged")
    merged = serializers.BooleanField(help_text="Whether two profiles were merged.")
    message = serializers.CharField()
    profile_id = serializers.IntegerField(help_text="The surviving profile.")
    identifier = Identifier()


class CurrentConsent(Doc):
    channel = serializers.CharField()
    purpose = serializers.CharField()
    state = serializers.CharField(help_text="granted or withdrawn: what they decided themselves.")
    at = serializers.DateTimeField(allow_null=True)
    source = serializers.CharField()  # type: ignore[assignment]
    reachable = serializers.BooleanField(
        help_text="Whether they may be written to: their yes holds, there is an address, and nobody else said no later"
        " about it."
    )
    reason = serializers.CharField(help_text="Why not, as a sentence; empty for whoever is reachable.")


class Address(Doc):
    id = serializers.IntegerField()
    label = serializers.CharField()  # type: ignore[assignment]
    street = serializers.CharField()
    postcode = serializers.CharField()
    city = serializers.CharField()
    state = serializers.CharField()
    country = serializers.CharField()


class SegmentOfProfile(Doc):
    id = serializers.IntegerField()
    name = serializers.CharField()
    entered_at = serializers.DateTimeField()


class Alternate(Doc):
    """A value that lost to the one the profile has: in a merge, or as it came in."""

    field = serializers.CharField()
    value = serializers.JSONField()
    from_id = serializers.IntegerField(help_text="The member it belongs to.")
    source = serializers.CharField(required=False, help_text="Of a value that came in: through which source.")  # type: ignore[assignment]
    import_id = serializers.IntegerField(required=False, allow_null=True)
    line = serializers.IntegerField(required=False, allow_null=True, help_text="Of that import's file.")
    at = serializers.DateTimeField(required=False, help_text="When it came in.")


class Profile(Doc):
    """One person. Without the scope `pii` (or the right to see personal data) personal values are masked."""

    id = serializers.IntegerField()
    type = serializers.CharField(help_text="recognized or anonymous")
    first_name = _text()
    last_name = _text()
    email = _text()
    phone = _text(help_text="E.164")
    street = _text()
    postcode = _text()
    city = _text()
    state = _text()
    country = _text(help_text="ISO 3166 alpha-2")
    birth_date = _text(help_text="YYYY-MM-DD")
    gender = _text()
    language = _text()
    attributes = serializers.DictField(help_text="Registered custom attributes by name.")
    identifiers = Identifier(many=True)
    tags = serializers.ListField(child=serializers.CharField())
    addresses = Address(many=True)
    consents = CurrentConsent(many=True)
    reachable = serializers.DictField(
        child=serializers.DictField(child=serializers.BooleanField()),
        help_text='By channel and purpose: {"email": {"newsletter": true}}.',
    )
    reachable_why = serializers.DictField(
        child=serializers.DictField(child=serializers.CharField()),
        required=False,
        help_text="With `include=reachable_why`: why not, for each that is false.",
    )
    segments = SegmentOfProfile(many=True)
    aggregates = serializers.DictField()
    alternates = Alternate(many=True)
    merged_ids = serializers.ListField(child=serializers.IntegerField())
    locked = serializers.BooleanField()
    version = serializers.IntegerField(help_text="Also the ETag; send it back as If-Match.")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    first_seen_at = serializers.DateTimeField(allow_null=True)
    last_seen_at = serializers.DateTimeField(allow_null=True)
    warnings = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="What was left out of a new profile."
    )
    found = serializers.CharField(
        required=False, help_text="With `q`: why it was found, where its own values do not explain it."
    )


class TakenIdentifier(Doc):
    type = serializers.CharField()
    value = serializers.CharField()
    profile_id = serializers.IntegerField(help_text="The person it identifies now.")


class RestoredProfile(Profile):
    taken = TakenIdentifier(many=True, help_text="Identifiers that stay as contact values.")


class SkippedProfile(Doc):
    id = serializers.IntegerField()
    message = serializers.CharField(help_text="Why it was not restored.")


class TakenOfMany(TakenIdentifier):
    restored_id = serializers.IntegerField(help_text="The person who does not get it back.")


class RestoredMany(Doc):
    restored = serializers.ListField(child=serializers.IntegerField(), help_text="Ids of surviving profiles.")
    skipped = SkippedProfile(many=True)
    taken = TakenOfMany(many=True, help_text="Identifiers that stay as contact values.")


class Event(Doc):
    id = serializers.IntegerField()
    name = serializers.CharField(
        help_text="Of an event its own, of a page or screen what it is called, of others their kind."
    )
    kind = serializers.CharField()
    category = serializers.CharField(allow_null=True, help_text="Of a page or screen, where one was sent.")
    channel = serializers.CharField(allow_null=True, help_text="server, mobile … as the SDK says.")
    group_id = serializers.CharField(allow_null=True)
    previous_id = serializers.CharField(allow_null=True, help_text="Of an alias call: the id before.")
    profile_id = serializers.IntegerField(help_text="The member it arrived at.")
    occurred_at = serializers.DateTimeField()
    received_at = serializers.DateTimeField()
    message_id = serializers.UUIDField()
    source = serializers.CharField()  # type: ignore[assignment]
    properties = serializers.DictField()
    context = serializers.DictField()  # type: ignore[assignment]


class StoredEvent(Event):
    message_id = serializers.CharField(help_text="As it was sent.")  # type: ignore[assignment]
    profile_id = serializers.IntegerField(help_text="The surviving profile.")
    user_id = serializers.CharField(allow_null=True)
    anonymous_id = serializers.CharField(allow_null=True)
    marks = serializers.ListField(child=serializers.CharField(), help_text="late, skewed, future …")


class TimelineItem(Doc):
    """`kind` decides which further fields there are: those of an event, a journal entry, a note or a message."""

    kind = serializers.CharField(help_text="event, change, note or message")
    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    profile_id = serializers.IntegerField()
    name = serializers.CharField(required=False, help_text="An event's name.")
    event_kind = serializers.CharField(required=False, help_text="Of an event: track, page, identify …")
    category = serializers.CharField(required=False, allow_null=True)
    group_id = serializers.CharField(required=False, allow_null=True)
    previous_id = serializers.CharField(required=False, allow_null=True)
    occurred_at = serializers.DateTimeField(required=False)
    received_at = serializers.DateTimeField(required=False)
    message_id = serializers.UUIDField(required=False)
    properties = serializers.DictField(required=False)
    context = serializers.DictField(required=False)  # type: ignore[assignment]
    change = serializers.CharField(required=False, help_text="created, updated, merged …")
    via_id = serializers.IntegerField(
        required=False, allow_null=True, help_text="The merged-away profile a change was made through."
    )
    fields = serializers.DictField(required=False, help_text="{field: [old, new]}")  # type: ignore[assignment]
    actor = serializers.CharField(required=False, allow_null=True)
    source = serializers.CharField(required=False)  # type: ignore[assignment]
    cause = serializers.CharField(required=False)
    cause_id = serializers.IntegerField(required=False, allow_null=True)
    line = serializers.IntegerField(required=False, allow_null=True, help_text="The row of an import.")
    text = serializers.CharField(required=False)
    created_at = serializers.DateTimeField(required=False, help_text="Of a note.")
    channel = serializers.CharField(
        required=False, allow_null=True, help_text="Of a message; of an event as the SDK says."
    )
    purpose = serializers.CharField(required=False, help_text="Of a message.")
    subject = serializers.CharField(required=False, help_text="Of a message.")


class Cart(Doc):
    id = serializers.IntegerField()
    profile_id = serializers.IntegerField(help_text="The member its events arrived at.")
    cart_id = serializers.CharField(help_text="As its events name it.")
    state = serializers.ChoiceField(choices=["open", "superseded", "ordered"])
    started_at = serializers.DateTimeField()
    last_event_at = serializers.DateTimeField()
    last_event = serializers.CharField(allow_null=True, help_text="Name of its latest event.")
    events = serializers.IntegerField()
    superseded_by = serializers.CharField(allow_null=True, help_text="The person's newer cart.")
    source = serializers.CharField()  # type: ignore[assignment]


class Note(Doc):
    id = serializers.IntegerField()
    profile_id = serializers.IntegerField()
    text = serializers.CharField()
    actor = _text()
    created_at = serializers.DateTimeField()


class Tagged(Doc):
    id = serializers.IntegerField()
    tags = serializers.ListField(child=serializers.CharField())
    changed = serializers.BooleanField()


class Consent(Doc):
    id = serializers.IntegerField()
    channel = serializers.CharField()
    purpose = serializers.CharField()
    state = serializers.CharField(help_text="granted or withdrawn")
    at = serializers.DateTimeField(allow_null=True, help_text="When they decided; null when nobody knows.")
    wording = serializers.CharField()
    reason = serializers.CharField(help_text="Of a yes after a no: why it was recorded.")
    proof = serializers.DictField(help_text="Masked without the scope `pii`.")
    source = serializers.CharField()  # type: ignore[assignment]
    recorded_by = _text(help_text="The login or key; null for the system.")
    recorded_at = serializers.DateTimeField()


class RecordedConsent(Consent):
    current = CurrentConsent(help_text="What counts for this channel and purpose now.")


class ConsentPage(Doc):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = Consent(many=True)
    current = CurrentConsent(many=True)
    count = serializers.IntegerField(required=False)


class ResolvedItem(Doc):
    id = serializers.IntegerField(allow_null=True)
    via = serializers.ListField(child=serializers.IntegerField())


class Resolved(Doc):
    results = ResolvedItem(many=True)


class MergeAnswer(Doc):
    merge_id = serializers.IntegerField()
    winner = Profile()
    moved = serializers.DictField(child=serializers.IntegerField())


class PreviewField(Doc):
    field = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    winner = serializers.JSONField(allow_null=True)
    loser = serializers.JSONField(allow_null=True)
    result = serializers.JSONField(allow_null=True)
    rule = serializers.CharField(
        help_text="same, winner, fill, choice, union, newest, sum, largest or smallest"
    )
    merge_rule = serializers.CharField(
        allow_blank=True, help_text="The attribute's own rule; it decides unless `choices` names the field."
    )
    choosable = serializers.BooleanField(help_text="Whether `choices` may name it.")


class PreviewConsent(Doc):
    channel = serializers.CharField()
    purpose = serializers.CharField()
    winner = _text(help_text="granted or withdrawn")
    winner_at = serializers.DateTimeField(allow_null=True)
    loser = _text(help_text="granted or withdrawn")
    loser_at = serializers.DateTimeField(allow_null=True)
    result = serializers.CharField()
    rule = serializers.CharField(help_text="same, only, latest or caution")


class PreviewSegments(Doc):
    entered = serializers.ListField()
    left = serializers.ListField()


class MergePreview(Doc):
    """What a merge would do; with `dry_run=true`."""

    preview_hash = serializers.CharField(help_text="Send it with the merge: a 409 when either side changed.")
    winner_id = serializers.IntegerField()
    loser_id = serializers.IntegerField()
    fields = PreviewField(many=True)  # type: ignore[assignment]
    consents = PreviewConsent(many=True)
    moved = serializers.DictField(child=serializers.IntegerField())
    segments = PreviewSegments()
    webhooks = serializers.ListField(child=serializers.CharField())
    warnings = serializers.ListField(child=serializers.CharField())
    result = Profile()

    def get_fields(self) -> dict[str, Any]:
        """Sections that apps above add are described as any JSON; nothing here knows what they say."""
        fields = super().get_fields()
        added = {name: serializers.JSONField() for name, _ in sections.items() if name not in fields}
        return {**fields, **added}


class Kept(Doc):
    field = serializers.CharField()
    reason = serializers.CharField()


class UnmergeAnswer(Doc):
    merge_id = serializers.IntegerField()
    winner = Profile()
    loser = Profile()
    kept = Kept(many=True)


class UndoneField(Doc):
    field = serializers.CharField()
    now = serializers.JSONField(allow_null=True)
    winner = serializers.JSONField(allow_null=True)
    loser = serializers.JSONField(allow_null=True)


class UnmergePreview(UnmergeAnswer):
    """What undoing a merge would do; with `dry_run=true`."""

    fields = UndoneField(many=True)  # type: ignore[assignment]
    moved = serializers.DictField(child=serializers.IntegerField())
    webhooks = serializers.ListField(child=serializers.CharField())


class Merge(Doc):
    id = serializers.IntegerField()
    merge_id = serializers.IntegerField()
    winner_id = serializers.IntegerField()
    loser_id = serializers.IntegerField()
    survivor_id = serializers.IntegerField(help_text="The profile that the loser's ids resolve to now.")
    choices = serializers.DictField()
    rules = serializers.DictField(
        child=serializers.CharField(), help_text="The attributes' own merge rules that decided, by field."
    )
    moved = serializers.DictField(child=serializers.IntegerField())
    actor = _text()
    source = serializers.CharField()  # type: ignore[assignment]
    cause = serializers.CharField()
    cause_id = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField()
    undone_at = serializers.DateTimeField(allow_null=True)
    undone_by = _text()


class GdprExport(Doc):
    """Everything stored about one person, with all their members and where each value came from."""
