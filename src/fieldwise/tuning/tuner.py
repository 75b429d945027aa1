"""Hyper-parameter search over named ranges, with Optuna's tree-structured Parzen estimator.

J. Bergstra, R. Bardenet, Y. Bengio, B. Kegl: "Algorithms for Hyper-Parameter Optimization", NIPS 2011.

Which values are tried is said by `fieldwise.tuning.search_space`, by dotted setting name: `model.embedding_dim`.
Trial 0 is always the defaults, so that a search never ends worse than it began.

Every finished trial is written down before the next one begins, and what the next one tries depends on nothing but
the seed, its number and the trials before it. A search that was interrupted therefore goes on as if it had not been.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from fieldwise.errors import FieldwiseError, SettingsError, StorageError, TrainingError
from fieldwise.reporting import Reporter
from fieldwise.storage import lock
from fieldwise.storage.atomic import write_text
from fieldwise.tuning.search_space import Choice, Range, Ranges
from fieldwise.validation import describe_any

_CONFIG = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

RANDOM_TRIALS = 10
"""Trials drawn at random before the estimator has seen enough to steer by."""

_MOST_DRAWS = 20
"""How often a trial is drawn anew where its settings were tried before."""


class Trial(BaseModel):
    """One set of settings that was tried.

    Attributes:
        number: 0 for the defaults.
        settings: by dotted name; those not named stood at their defaults.
        loss: the validation loss, None where the trial failed.
        seconds: how long it took.
        error: why it failed.
    """

    model_config = _CONFIG

    number: int
    settings: dict[str, Any]
    loss: float | None
    seconds: float
    error: str | None = None


class Tuned(BaseModel):
    """What a search came to.

    Attributes:
        best: the settings of the trial with the least loss; {} where the defaults were best.
        trials: all of them, in order.
    """

    model_config = _CONFIG

    best: dict[str, Any]
    trials: list[Trial]


class _Record(BaseModel):
    """What `trials.json` holds."""

    model_config = _CONFIG

    format: Literal[1] = 1
    seed: int
    ranges: dict[str, Choice | Range]
    trials: list[Trial]


def tune(
    ranges: Ranges,
    *,
    trials: int,
    evaluate: Callable[[dict[str, Any], int], float],
    place: Path,
    metric: str = "log loss",
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Tuned:
    """Look for the settings with the least validation loss.

    Args:
        ranges: dotted setting name -> `Choice` or `Range`.
        trials: how many in all, those of earlier calls included; fewer where every combination of choices has been
            tried.
        evaluate: from the settings of a trial (those of `ranges`; none for trial 0) and its number to the loss. Where
            it raises a FieldwiseError or returns no finite number, the trial has failed and the search goes on.
        place: a folder for `trials.json`, which is rewritten after every trial. Called again with the same ranges and
            the same seed, the search goes on from there; the trials are those of a search that was never interrupted,
            as far as `evaluate` gives the same losses.
        metric: what the loss is, in words.
        seed: decides what is tried.
        reporter: is told of every trial.

    Returns:
        The best settings, and all trials.

    Raises:
        SettingsError: `place` holds a search over other ranges or from another seed, or Optuna is not installed.
        TrainingError: every trial failed.
        StorageError: another process writes to `place`, or it cannot be written.

    Example:
        >>> ranges = {"model.dropout": Choice(choices=[0.1, 0.2])}
        >>> losses = {0.0: 0.52, 0.1: 0.50, 0.2: 0.51}
        >>> def evaluate(settings: dict[str, float], number: int) -> float:
        ...     return losses[settings.get("model.dropout", 0.0)]
        >>> tune(ranges, trials=3, evaluate=evaluate, place=Path("tuning")).best
        {'model.dropout': 0.1}
    """
    if trials < 1:
        raise SettingsError(f"a search needs at least one trial, got trials = {trials}")
    if not ranges:
        raise SettingsError("a search needs at least one range, got none")
    reporter = reporter or Reporter(enabled=False)
    path = place / "trials.json"
    busy = f"another process searches in {place}; wait for it or choose another place"
    with lock.hold(place, busy=busy), _quiet_optuna() as optuna:
        done = _read(path, ranges, seed)
        if done:
            reporter.say(f"going on after {len(done)} trials in {path}")
        while len(done) < trials:
            settings = _next_settings(optuna, ranges, done, seed)
            if settings is None:
                reporter.say(f"nothing new to try after {len(done)} trials")
                break
            done.append(_try(evaluate, settings, len(done), metric))
            write_text(path, _Record(seed=seed, ranges=dict(ranges), trials=done).model_dump_json(indent=2) + "\n")
            reporter.say(_told(done, trials, metric))
    good = [trial for trial in done if trial.loss is not None]
    if not good:
        raise TrainingError(f"all {len(done)} trials failed, the first one with: {done[0].error} (see {path})")
    return Tuned(best=min(good, key=_loss).settings, trials=done)


def _loss(trial: Trial) -> float:
    return math.inf if trial.loss is None else trial.loss


def _try(evaluate: Callable[[dict[str, Any], int], float], settings: dict[str, Any], number: int, metric: str) -> Trial:
    begin = time.perf_counter()
    loss: float | None = None
    error: str | None = None
    try:
        loss = float(evaluate(dict(settings), number))
        if not math.isfinite(loss):
            error, loss = f"the validation {metric} is {loss}", None
    except StorageError:
        raise  # not because of these settings, and no other ones would help
    except FieldwiseError as failure:
        error = str(failure)
    return Trial(number=number, settings=settings, loss=loss, seconds=time.perf_counter() - begin, error=error)


def _told(done: list[Trial], trials: int, metric: str) -> str:
    last, best = done[-1], min(done, key=_loss)
    shown = ", ".join(f"{name} = {_shown(value)}" for name, value in last.settings.items()) or "the defaults"
    came = f"failed ({last.error})" if last.loss is None else f"{metric} {last.loss:.5f}"
    if last.loss is not None:
        came += ", the best so far" if best is last else f" (best {best.loss:.5f}, trial {best.number})"
    return f"trial {last.number}, {len(done)} of {trials}: {came}, {last.seconds:,.1f} s, {shown}"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)


# ---- Optuna


@contextmanager
def _quiet_optuna() -> Iterator[Any]:
    """Optuna, saying nothing in the meantime."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise SettingsError("optuna is not installed: pip install 'fieldwise[tune]'") from None
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield optuna
    finally:
        optuna.logging.set_verbosity(before)


def _next_settings(optuna: Any, ranges: Ranges, done: list[Trial], seed: int) -> dict[str, Any] | None:
    """What to try after the trials so far; None where every draw was tried before."""
    if not done:
        return {}
    tried = {json.dumps(trial.settings, sort_keys=True) for trial in done}
    for draw in range(_MOST_DRAWS):
        settings = _draw(optuna, ranges, done, (seed, len(done), draw))
        if json.dumps(settings, sort_keys=True) not in tried:
            return settings
    return None


def _draw(optuna: Any, ranges: Ranges, done: list[Trial], seed: tuple[int, ...]) -> dict[str, Any]:
    """One draw that depends on nothing but its arguments: a study of its own, told of the trials so far."""
    # By name, so that the order in which ranges were given decides nothing.
    distributions = {name: _distribution(optuna, ranges[name]) for name in sorted(ranges)}
    state = int(np.random.SeedSequence(seed).generate_state(1)[0])
    sampler = optuna.samplers.TPESampler(seed=state, n_startup_trials=RANDOM_TRIALS)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    for trial in done[1:]:  # the first one is at the defaults, which the ranges need not hold
        # A failed trial counts as a bad one (Optuna's word for it is "pruned"): left out, its neighbours would be
        # tried again and again.
        outcome: dict[str, Any] = {"state": optuna.trial.TrialState.PRUNED}
        if trial.loss is not None:
            outcome = {"state": optuna.trial.TrialState.COMPLETE, "value": trial.loss}
        params = {name: _to_optuna(ranges[name], value) for name, value in trial.settings.items()}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, **outcome))
    params = study.ask(distributions).params
    return {name: _from_optuna(ranges[name], params[name]) for name in distributions}


def _distribution(optuna: Any, setting_range: Choice | Range) -> Any:
    if isinstance(setting_range, Choice):
        return optuna.distributions.CategoricalDistribution([json.dumps(one) for one in setting_range.choices])
    kind = optuna.distributions.IntDistribution if setting_range.whole else optuna.distributions.FloatDistribution
    return kind(setting_range.low, setting_range.high, log=setting_range.log)


def _to_optuna(setting_range: Choice | Range, value: Any) -> Any:
    return json.dumps(value) if isinstance(setting_range, Choice) else value


def _from_optuna(setting_range: Choice | Range, value: Any) -> Any:
    return json.loads(value) if isinstance(setting_range, Choice) else value


# ---- on disk


def _read(path: Path, ranges: Ranges, seed: int) -> list[Trial]:
    """The trials of an earlier call; none where there was none."""
    try:
        record = _Record.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValidationError, FieldwiseError) as error:
        raise SettingsError(f"{path} cannot be read as a record of trials: {describe_any(error, _Record)}") from error
    for name in dict.fromkeys([*record.ranges, *ranges]):
        before, now = _range_text(record.ranges.get(name)), _range_text(ranges.get(name))
        if before != now:
            raise SettingsError(
                f"{path} holds a search over other ranges: '{name}' was {before} and is {now}; search over the same "
                "ranges, or in another place"
            )
    if record.seed != seed:
        raise SettingsError(
            f"{path} holds a search from seed {record.seed}, not {seed}; take that seed, or another place"
        )
    return record.trials


def _range_text(setting_range: Choice | Range | None) -> str:
    return "not there" if setting_range is None else setting_range.model_dump_json()
