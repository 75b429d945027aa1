"""The learning rate over a run."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fieldwise.settings import TrainingSettings
from fieldwise.training.schedule import learning_rate


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0, [1, 1, 1, 1, 1]),
        ("constant", 2, [0.5, 1, 1, 1, 1]),
        ("linear", 0, [1, 0.8, 0.6, 0.4, 0.2]),
        ("linear", 1, [1, 1, 0.75, 0.5, 0.25]),
        ("cosine", 1, [1, 1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]),
    ],
)
def test_schedules_by_hand(schedule: Any, warmup: int, expected: list[float]) -> None:
    settings = TrainingSettings(learning_rate=1.0, schedule=schedule, warmup_steps=warmup)
    assert [learning_rate(settings, step, 5) for step in range(5)] == pytest.approx(expected)


def test_a_plateau_is_left_at_a_tenth_of_the_rate() -> None:
    settings = TrainingSettings(learning_rate=1.0, schedule="plateau", warmup_steps=1)
    assert [learning_rate(settings, 9, 10, drops=drops) for drops in range(3)] == pytest.approx([1, 0.1, 0.01])
    assert learning_rate(settings, 0, 10, drops=2) == 1.0
