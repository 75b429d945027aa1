"""What a comparison comes to: every single run, and the runs of a contender taken together."""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fieldwise.comparison.published import JOINT, published
from fieldwise.environment import Environment
from fieldwise.metrics import LABELS
from fieldwise.training.history import History


class Run(BaseModel):
    """One contender trained with one seed.

    Attributes:
        contender: its name.
        model: what it is.
        seed: of the run.
        settings: all of them, as they were settled.
        tuned: the settings that tuning chose.
        parameters: `all` and, of networks, `without_embeddings`.
        metrics: by part (`valid`, `test`) and name; the test rows were looked at once, at the end.
        history: of a network.
        epochs: passes over the training rows, or boosting rounds.
        best_epoch: the one that is kept.
        seconds: of training, and of the search where there was one.
        train_rows_per_s: median over the epochs, of trees rows times rounds per second.
        predict_rows_per_s: over the test rows.
        created: when, in UTC.
        environment: where it was trained.
        versions: that figures depend on.
        error: why there is nothing of the above.
    """

    model_config = ConfigDict(extra="forbid")

    contender: str
    model: str
    seed: int
    settings: dict[str, Any]
    tuned: dict[str, Any] = {}
    parameters: dict[str, int] = {}
    metrics: dict[str, dict[str, int | float | None]] = {}
    history: History | None = None
    epochs: int = 0
    best_epoch: int | None = None
    seconds: float = 0.0
    train_rows_per_s: float = 0.0
    predict_rows_per_s: float = 0.0
    created: str = ""
    environment: Environment = Environment()
    versions: dict[str, str] = {}
    error: str | None = None


@dataclass(frozen=True)
class Statistic:
    """A figure over seeds.

    Attributes:
        mean: over the values.
        std: their standard deviation; None for a single value.
        values: one per seed.

    Example:
        >>> Statistic.of([1.0, 3.0])
        Statistic(mean=2.0, std=1.4142135623730951, values=(1.0, 3.0))
    """

    mean: float
    std: float | None
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Statistic:
        """Mean and standard deviation of at least one value."""
        return cls(statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None, tuple(values))


class MetricSpec(BaseModel):
    """A metric of the comparison's table.

    Attributes:
        name: as `Run.metrics` has it.
        label: as it is printed.
        better: whether the larger or the smaller figure is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    label: str
    better: Literal["max", "min"]


BINARY = (
    MetricSpec(name="auc", label=LABELS["auc"], better="max"),
    MetricSpec(name="log_loss", label=LABELS["log_loss"], better="min"),
)
"""The metrics of clicks."""


@dataclass(frozen=True)
class Summary:
    """The runs of one contender taken together.

    Attributes:
        name: the contender's.
        model: what it is.
        seeds: how many runs.
        failed: how many of them failed.
        figures: by metric, on the test rows; a metric is missing where every run failed, or where it is undefined.
        valid: the monitored metric on the validation rows.
        changes: by metric, to the base.
        relative: of the first metric, figure / figure of the base - 1, as AIM's paper counts it for the AUC.
        p_values: by metric, of an unpaired two-sided t-test (Welch) against the best of the contenders that are not
            ours, for ours only; none with a single seed.
        stars: by metric, `**` for a significantly better figure at 0.01, `*` at 0.05, else nothing.
        parameters: all of them.
        parameters_without_embeddings: of networks.
        train_rows_per_s: median over the runs.
        predict_rows_per_s: median over the runs.
        epochs: mean over the runs.
        seconds: mean over the runs.
        published: by metric.
    """

    name: str
    model: str
    seeds: int
    failed: int
    figures: Mapping[str, Statistic] = field(default_factory=dict)
    valid: Statistic | None = None
    changes: Mapping[str, float] = field(default_factory=dict)
    relative: float | None = None
    p_values: Mapping[str, float] = field(default_factory=dict)
    stars: Mapping[str, str] = field(default_factory=dict)
    parameters: int | None = None
    parameters_without_embeddings: int | None = None
    train_rows_per_s: float = 0.0
    predict_rows_per_s: float = 0.0
    epochs: float = 0.0
    seconds: float = 0.0
    published: Mapping[str, float] | None = None


class Results(BaseModel):
    """The runs of a comparison, what they have in common, and what they come to.

    Attributes:
        source: the data's name.
        objective: what the label is, by name.
        dataset: whose published figures stand beside, None for none.
        rows: how many, by part.
        split_seed: what the split followed from, the same for all.
        base: the contender that differences are taken to.
        ours: the contenders that are held against the best of the others.
        order: all contenders.
        metrics: what contenders are measured by, the most telling first.
        monitor: the metric that the best epoch is chosen by, on the validation rows.
        runs: every one that is done.
    """

    model_config = ConfigDict(extra="forbid")

    source: str
    objective: str = "binary"
    dataset: str | None = None
    rows: dict[str, int]
    split_seed: int
    base: str
    ours: list[str]
    order: list[str]
    metrics: tuple[MetricSpec, ...] = Field(default=BINARY, min_length=1)
    monitor: str = "log_loss"
    runs: list[Run] = []

    def summaries(self) -> list[Summary]:
        """One per contender that has a run, in their order."""
        groups = {name: [run for run in self.runs if run.contender == name] for name in self.order}
        summaries = {name: self._summarise(name, runs) for name, runs in groups.items() if runs}
        base = summaries.get(self.base)
        others = [summary for name, summary in summaries.items() if name not in self.ours]
        result = []
        for summary in summaries.values():
            changes: dict[str, Any] = {}
            if base is not None and summary.name != self.base:
                changes |= _changes(summary, base, self.metrics)
            if summary.name in self.ours:
                changes |= _compare(summary, others, self.metrics)
            result.append(replace(summary, **changes))
        return result

    def _summarise(self, name: str, runs: Sequence[Run]) -> Summary:
        good = [run for run in runs if run.error is None]
        model = runs[0].model
        paper = None if self.dataset is None or name != model else published(self.dataset, model)
        if not good:
            return Summary(name, model, len(runs), len(runs), published=paper)
        figures = {metric.name: _statistic(good, "test", metric.name) for metric in self.metrics}
        return Summary(
            name,
            model,
            seeds=len(runs),
            failed=len(runs) - len(good),
            figures={metric: statistic for metric, statistic in figures.items() if statistic is not None},
            valid=_statistic(good, "valid", self.monitor),
            parameters=good[0].parameters.get("all"),
            parameters_without_embeddings=good[0].parameters.get("without_embeddings"),
            train_rows_per_s=statistics.median(run.train_rows_per_s for run in good),
            predict_rows_per_s=statistics.median(run.predict_rows_per_s for run in good),
            epochs=statistics.mean(run.epochs for run in good),
            seconds=statistics.mean(run.seconds for run in good),
            published=paper,
        )


def average_changes(comparisons: Sequence[Results], pairs: Mapping[str, str] = JOINT) -> list[dict[str, Any]]:
    """How much joint models add to their single ones, on average over data sets (AutoInt, table 5).

    Args:
        comparisons: one per data set.
        pairs: joint model -> single model, by contender name. A pair counts on the data sets that have both, and all
            metrics of the first comparison.

    Returns:
        A row per pair in plain numbers.

    Example:
        >>> runs = [
        ...     Run(contender=name, model=name, seed=0, settings={}, metrics={"test": {"auc": auc, "log_loss": 0.5}})
        ...     for name, auc in (("fm", 0.25), ("deepfm", 0.75))
        ... ]
        >>> log = Results(source="a", rows={}, split_seed=0, base="fm", ours=[], order=["fm", "deepfm"], runs=runs)
        >>> average_changes([log])
        [{'model': 'deepfm', 'base': 'fm', 'data_sets': 1, 'auc_change': 0.5, 'log_loss_change': 0.0}]
    """
    metrics = comparisons[0].metrics if comparisons else ()
    rows = []
    for joint, single in pairs.items():
        gains: list[Mapping[str, float]] = []
        for comparison in comparisons:
            by_name = {summary.name: summary for summary in comparison.summaries()}
            if joint in by_name and single in by_name:
                changes = _changes(by_name[joint], by_name[single], metrics)["changes"]
                if len(changes) == len(metrics):
                    gains.append(changes)
        if gains:
            averages = {f"{m.name}_change": statistics.mean(changes[m.name] for changes in gains) for m in metrics}
            rows.append({"model": joint, "base": single, "data_sets": len(gains), **averages})
    return rows


def _statistic(runs: Sequence[Run], part: str, name: str) -> Statistic | None:
    values = [value for run in runs if (value := run.metrics.get(part, {}).get(name)) is not None]
    return Statistic.of(values) if values else None


def _changes(summary: Summary, base: Summary, metrics: Sequence[MetricSpec]) -> dict[str, Any]:
    """The fields `changes` and `relative`."""
    both = [m.name for m in metrics if m.name in summary.figures and m.name in base.figures]
    changes = {name: summary.figures[name].mean - base.figures[name].mean for name in both}
    first = metrics[0].name
    relative = None
    if first in changes and base.figures[first].mean != 0.0:
        relative = summary.figures[first].mean / base.figures[first].mean - 1.0
    return {"changes": changes, "relative": relative}


def _compare(summary: Summary, others: Sequence[Summary], metrics: Sequence[MetricSpec]) -> dict[str, Any]:
    """The fields `p_values` and `stars`: against the best of the others, by each metric."""
    p_values, stars = {}, {}
    for metric in metrics:
        rivals = [other.figures[metric.name] for other in others if metric.name in other.figures]
        mine, choose = summary.figures.get(metric.name), max if metric.better == "max" else min
        best = choose(rivals, key=lambda rival: rival.mean, default=None)
        p = None if mine is None or best is None else _p_value(mine, best)
        if mine is None or best is None or p is None:
            continue
        p_values[metric.name] = p
        is_better = mine.mean > best.mean if metric.better == "max" else mine.mean < best.mean
        if is_better and p < 0.05:
            stars[metric.name] = "**" if p < 0.01 else "*"
    return {"p_values": p_values, "stars": stars}


def _p_value(mine: Statistic, best: Statistic) -> float | None:
    """Of the unpaired two-sided t-test (Welch), None where there is nothing to tell."""
    if len(mine.values) < 2 or len(best.values) < 2:
        return None
    from scipy import stats

    with warnings.catch_warnings():
        # Equal values have no variance; the p-value is then not a number.
        warnings.simplefilter("ignore")
        p = float(stats.ttest_ind(mine.values, best.values, equal_var=False).pvalue)
    return None if math.isnan(p) else p
