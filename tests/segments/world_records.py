"""People of ``world`` → more rows about them: consents, shared addresses, pairs, the journal, stays, visits."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable
from typing import Any

from profiles.builtin_sources import SOURCE_IDS
from profiles.models import Change, Consent, DuplicatePair, Identifier, Merge, Profile
from segments.models import Membership, Segment

ADDRESSES = {"email": ("a@example.com", "b@example.com", "c@example.com"), "phone": ("+4712345678",)}
CHANNELS = {"email": "email", "sms": "phone", "post": ""}
PURPOSES = ("newsletter", "marketing")
# Fixed numbers, so that rules can name them before they are there.
SEGMENTS = (1_000_001, 1_000_002)
IMPORTS = (1_000_001, 1_000_002)
TIERS = ("certain", "probable", "possible", "related")
_VERDICTS = ("open", "open", "later", "not_duplicate")


class RecordsMaker:
    """``moment`` gives random times, often at the edge of a window."""

    def __init__(self, pick: random.Random, moment: Callable[[], datetime.datetime], types: dict[str, int]):
        self.random, self.moment, self.types = pick, moment, types

    def add(self, root_ids: list[int], attributes: Callable[[], dict[str, Any]]) -> None:
        for number in SEGMENTS:
            Segment.objects.create(pk=number, name=f"Segment {number}", kind="static", state="live")
        profiles = list(Profile.objects.filter(canonical__in=root_ids).order_by("pk"))
        for profile in profiles:
            self.seen(profile)
            self.addresses(profile)
            self.consents(profile)
            self.changes(profile, attributes)
            self.stays(profile)
        self.pairs([profile.pk for profile in profiles])

    def seen(self, profile: Profile) -> None:
        times = sorted((self.moment(), self.moment()))
        first, last = times if self.random.random() < 0.7 else (None, None)
        Profile.objects.filter(pk=profile.pk).update(
            first_seen_at=first, last_seen_at=last, created_at=self.moment()
        )

    def addresses(self, profile: Profile) -> None:
        """Several people have the same one, perhaps without being found by it."""
        for name, pool in ADDRESSES.items():
            if self.random.random() < 0.5:
                continue
            value = self.random.choice(pool)
            Profile.objects.filter(pk=profile.pk).update(**{name: value})
            setattr(profile, name, value)
            if self.random.random() < 0.8:
                Identifier.objects.create(
                    type_id=self.types[name],
                    value=value,
                    profile=profile,
                    source_id=SOURCE_IDS["api"],
                    resolves=False,
                )

    def consents(self, profile: Profile) -> None:
        pick = self.random
        for _ in range(pick.choice((0, 1, 1, 2, 3))):
            channel, contact = pick.choice(list(CHANNELS.items()))
            known = [getattr(profile, contact) or "", *ADDRESSES[contact]] if contact else [""]
            Consent.objects.create(
                profile=profile,
                channel=channel,
                purpose=pick.choice(PURPOSES),
                state=pick.choice(("granted", "granted", "withdrawn")),
                at=pick.choice((None, self.moment(), self.moment(), self.moment())),
                recorded_at=self.moment(),
                address=pick.choice(known),
                source_id=SOURCE_IDS["web"],
            )

    def changes(self, profile: Profile, attributes: Callable[[], dict[str, Any]]) -> None:
        pick = self.random
        for _ in range(pick.choice((0, 1, 2))):
            old, new = attributes(), attributes()
            fields = {f"attributes.{name}": [old.get(name), new.get(name)] for name in {**old, **new}}
            fields["city"] = [pick.choice((None, "", "Oslo")), pick.choice((None, "Zürich"))]
            fields["tags"] = [[], ["vip"]]
            kept = pick.sample(sorted(fields), pick.randint(0, 3))
            cause = pick.choice(("request", "import", "import", "import_undo"))
            Change.objects.create(
                profile=profile,
                at=self.moment(),
                kind=pick.choice(("created", "updated", "updated", "merged")),
                source_id=SOURCE_IDS["import"],
                cause=cause,
                cause_id=pick.choice(IMPORTS) if cause != "request" else None,
                fields={name: fields[name] for name in kept},
            )

    def stays(self, profile: Profile) -> None:
        pick = self.random
        for number in SEGMENTS:
            is_open = False
            for _ in range(pick.choice((0, 0, 1, 1, 2))):
                begin, end = sorted((self.moment(), self.moment()))
                goes_on = not is_open and pick.random() < 0.5
                is_open = is_open or goes_on
                Membership.objects.create(
                    segment_id=number,
                    profile=profile,
                    entered_at=begin,
                    entered_by=pick.choice(("event", "merge", "merge")),
                    left_at=None if goes_on else end,
                    left_by="" if goes_on else "time",
                    absorbed_by=self.absorbed_by(profile, end) if goes_on else None,
                )

    def absorbed_by(self, profile: Profile, at: datetime.datetime) -> int | None:
        """A stay of a profile merged away is absorbed, mostly by a merge that is known."""
        if profile.canonical_id == profile.pk:
            return None
        if self.random.random() < 0.2:
            return 0
        merge, _ = Merge.objects.get_or_create(
            loser=profile,
            undone_at=None,
            defaults={
                "winner_id": profile.canonical_id,
                "source_id": SOURCE_IDS["staff"],
                "created_at": at,
            },
        )
        return merge.pk

    def pairs(self, profile_ids: list[int]) -> None:
        gone = Profile.objects.create(source_id=SOURCE_IDS["web"], status="deleted")
        pairs = {tuple(sorted(self.random.sample(profile_ids, 2))) for _ in range(len(profile_ids) // 3)}
        pairs |= {(pk, gone.pk) for pk in profile_ids[:3]}
        DuplicatePair.objects.bulk_create(
            DuplicatePair(
                a_id=one,
                b_id=other,
                verdict=self.random.choice(_VERDICTS),
                tier=self.random.choice(TIERS),
            )
            for one, other in sorted(pairs)
        )
