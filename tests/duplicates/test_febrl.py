"""FEBRL's people, on whom the model was not fitted: nearly all pairs are found, from the shipped threshold on."""

from __future__ import annotations

import pytest

from profiles.duplicates.model import shipped
from profiles.duplicates.training.fit import f1_from, load, matrix, scores_of
from tests.duplicates.febrl import read_febrl


@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_febrl_is_found(number: int) -> None:
    people, model = read_febrl(number), shipped()
    db = load(people)
    _, labels, _ = matrix(db, people.truth)
    truth = len(people.truth)
    assert labels.sum() / truth >= 0.997
    scores = scores_of(db, model, len(people.rows))
    assert f1_from(scores, labels, truth, model.thresholds["possible"]) >= 0.995
