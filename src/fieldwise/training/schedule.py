"""The learning rate over a run."""

from __future__ import annotations

import math

from fieldwise.settings import TrainingSettings

DROP = 0.1
"""What `plateau` multiplies the rate by."""


def learning_rate(settings: TrainingSettings, step: int, total_steps: int, *, drops: int = 0) -> float:
    """The learning rate of a step: a rise over `warmup_steps`, then the schedule down to the last step.

    Args:
        settings: Of the run.
        step: Counted from 0.
        total_steps: Of all epochs.
        drops: Epochs so far that were not better than the best one before, of which `plateau` takes account.

    Example:
        >>> settings = TrainingSettings(learning_rate=1.0, warmup_steps=2, schedule="linear")
        >>> [learning_rate(settings, step, total_steps=6) for step in range(6)]
        [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    if settings.schedule == "constant":
        return settings.learning_rate
    if settings.schedule == "plateau":
        return float(settings.learning_rate * DROP**drops)
    progress = (step - settings.warmup_steps) / max(total_steps - settings.warmup_steps, 1)
    share = 1 - progress if settings.schedule == "linear" else (1 + math.cos(math.pi * progress)) / 2
    return settings.learning_rate * share
