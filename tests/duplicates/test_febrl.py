"""On FEBRL's people, whom the fit has not seen, nearly all pairs are suggested."""

from __future__ import annotations

import pytest

from profiles.duplicates.scoring.model import shipped
from profiles.duplicates.training.fit import f1_from, load
from tests.duplicates.febrl import read_febrl
from tests.duplicates.suggested import suggested


@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_febrl_is_found(number: int) -> None:
    people, model = read_febrl(number), shipped()
    scores, labels = suggested(load(people), len(people.rows), people.truth)
    assert f1_from(scores, labels, len(people.truth), model.thresholds["possible"]) >= 0.995
