"""The sections of the merge preview: what apps above say about it, read before the merge and after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from profiles.merging.preview import preview_merge
from profiles.merging.preview_sections import PreviewSection, sections
from profiles.models import Identifier, Merge, Profile
from profiles.reading.profiles import ProfileView
from tests.merging.worlds import checksums
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def test_a_section_sees_both_before_the_merge_and_the_winner_after(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann", email="ann@example.com", tags=["vip"])
    anna = make_profile(first_name="Anna", city="Kraków", tags=["new"])
    gone = make_profile(first_name="Gone")

    def read(winner_id: int, loser_id: int) -> Callable[[ProfileView], Any]:
        before = _counts(winner_id), _counts(loser_id)

        def compare(result: ProfileView) -> Any:
            roots = Profile.objects.filter(pk__in=[winner_id, loser_id]).order_by("pk")
            return {
                "before": before,
                "after": (_counts(winner_id), _counts(loser_id)),
                "city": result.profile.city,
                "lead_to": list(roots.values_list("canonical_id", flat=True)),
                "merges": Merge.objects.count(),
            }

        return compare

    def warn(data: Any) -> list[str]:
        return [f"It has {data['merges']} merge."]

    sections.register("stub", PreviewSection(read, warnings=warn))
    try:
        state = checksums()
        preview = preview_merge(winner_id=ann.pk, loser_id=anna.pk, **by_staff)
        assert preview.sections["consents"] == []
        assert preview.sections["stub"] == {
            "before": (2, 1),
            "after": (3, 0),
            "city": "Kraków",
            "lead_to": [ann.pk, ann.pk],
            "merges": 1,
        }
        assert preview.warnings == ["It has 1 merge."]
        assert (checksums(), Merge.objects.count()) == (state, 0)
    finally:
        sections.unregister("stub")
    sections_without = preview_merge(winner_id=ann.pk, loser_id=gone.pk, **by_staff).sections
    assert sections_without.keys() == {"consents", "likelihood", "segments"}


def _counts(root_id: int) -> int:
    return Identifier.objects.of_profiles(root_id).count()
