"""The learning rate over a run."""

from __future__ import annotations

import math

from fieldwise.settings import TrainingSettings


def learning_rate(settings: TrainingSettings, step: int, total_steps: int) -> float:
    """The learning rate of a step: a rise over `warmup_steps`, then the schedule down to the last step.

    Args:
        settings: Of the run.
        step: Counted from 0.
        total_steps: Of all epochs.
    """
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    if settings.schedule == "constant":
        return settings.learning_rate
    done = (step - settings.warmup_steps) / max(total_steps - settings.warmup_steps, 1)
    share = 1 - done if settings.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return settings.learning_rate * share
