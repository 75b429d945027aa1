"""What a comparison has found: every single run, and what the runs of a contender come to."""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from fieldwise.comparison.published import JOINT, Published, published
from fieldwise.environment import Environment
from fieldwise.training.history import History


class Run(BaseModel):
    """One contender trained with one seed.

    settings: all of them, as they were settled. parameters: `all` and, of networks, `without_embeddings`. metrics: by
    part (`valid`, `test`) and name; the test rows were looked at once, at the end. history: of a network. epochs:
    passes over the training rows, or boosting rounds. seconds: of training, and of the search where there was one.
    train_rows_per_s: median over the epochs, of trees rows times rounds per second. tuned: the settings that tuning
    chose. error: why there is nothing of the above.
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
    """Mean and standard deviation (None for a single value) of a figure over seeds, and the values themselves."""

    mean: float
    std: float | None
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Statistic:
        """Of at least one value."""
        return cls(statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None, tuple(values))


@dataclass(frozen=True)
class Summary:
    """The runs of one contender taken together.

    auc, log_loss: on the test rows; None where every run failed, or the AUC is undefined. auc_change, log_loss_change:
    to the base. relative: AUC / AUC of the base - 1, as AIM's paper counts it. p_auc, p_log_loss: of an unpaired
    two-sided t-test (Welch) against the best of the contenders that are not ours, for ours only; None with a single
    seed. stars: `**` for a significantly better figure at 0.01, `*` at 0.05.
    """

    name: str
    model: str
    seeds: int
    failed: int
    auc: Statistic | None = None
    log_loss: Statistic | None = None
    valid_log_loss: Statistic | None = None
    auc_change: float | None = None
    log_loss_change: float | None = None
    relative: float | None = None
    p_auc: float | None = None
    p_log_loss: float | None = None
    auc_stars: str = ""
    log_loss_stars: str = ""
    parameters: int | None = None
    parameters_without_embeddings: int | None = None
    train_rows_per_s: float = 0.0
    predict_rows_per_s: float = 0.0
    epochs: float = 0.0
    seconds: float = 0.0
    published: Published | None = None


class Comparison(BaseModel):
    """The runs of a comparison.

    source: the data's name. dataset: whose published figures stand beside, None for none. rows: by part. base, ours,
    order: names of contenders, see `contenders.Plan`. split_seed: what the split followed from, the same for all.
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
    runs: list[Run] = []

    def summaries(self) -> list[Summary]:
        """One per contender that has a run, in their order."""
        groups = {name: [run for run in self.runs if run.contender == name] for name in self.order}
        groups = {name: runs for name, runs in groups.items() if runs}
        summaries = {name: _summarise(name, runs, self.dataset) for name, runs in groups.items()}
        base = summaries.get(self.base)
        others = [summary for name, summary in summaries.items() if name not in self.ours]
        best_auc = max((s.auc for s in others if s.auc), key=lambda auc: auc.mean, default=None)
        best_loss = min((s.log_loss for s in others if s.log_loss), key=lambda loss: loss.mean, default=None)
        result = []
        for summary in summaries.values():
            changes: dict[str, Any] = {}
            if base is not None and summary.name != self.base:
                changes |= _changes(summary, base)
            if summary.name in self.ours:
                changes["p_auc"], changes["auc_stars"] = _compare(summary.auc, best_auc, sign=1)
                changes["p_log_loss"], changes["log_loss_stars"] = _compare(summary.log_loss, best_loss, sign=-1)
            result.append(Summary(**{**vars(summary), **changes}))
        return result


def average_changes(comparisons: Sequence[Comparison], pairs: Mapping[str, str] = JOINT) -> list[dict[str, Any]]:
    """How much joint models add to their single ones, on average over data sets (AutoInt, table 5).

    pairs: joint model -> single model, by contender name. A pair counts on the data sets that have both.
    """
    rows = []
    for joint, single in pairs.items():
        changes = []
        for comparison in comparisons:
            by_name = {summary.name: summary for summary in comparison.summaries()}
            if joint in by_name and single in by_name:
                change = _changes(by_name[joint], by_name[single])
                if change["auc_change"] is not None and change["log_loss_change"] is not None:
                    changes.append((change["auc_change"], change["log_loss_change"]))
        if changes:
            rows.append(
                {
                    "model": joint,
                    "base": single,
                    "data_sets": len(changes),
                    "auc_change": statistics.mean(auc for auc, _ in changes),
                    "log_loss_change": statistics.mean(loss for _, loss in changes),
                }
            )
    return rows


def _summarise(name: str, runs: Sequence[Run], dataset: str | None) -> Summary:
    good = [run for run in runs if run.error is None]
    model = runs[0].model
    figures = None if dataset is None or name != model else published(dataset, model)
    if not good:
        return Summary(name, model, len(runs), len(runs), published=figures)
    return Summary(
        name,
        model,
        seeds=len(runs),
        failed=len(runs) - len(good),
        auc=_statistic(good, "test", "auc"),
        log_loss=_statistic(good, "test", "log_loss"),
        valid_log_loss=_statistic(good, "valid", "log_loss"),
        parameters=good[0].parameters.get("all"),
        parameters_without_embeddings=good[0].parameters.get("without_embeddings"),
        train_rows_per_s=statistics.median(run.train_rows_per_s for run in good),
        predict_rows_per_s=statistics.median(run.predict_rows_per_s for run in good),
        epochs=statistics.mean(run.epochs for run in good),
        seconds=statistics.mean(run.seconds for run in good),
        published=figures,
    )


def _statistic(runs: Sequence[Run], part: str, name: str) -> Statistic | None:
    values = [value for run in runs if (value := run.metrics.get(part, {}).get(name)) is not None]
    return Statistic.of(values) if values else None


def _changes(summary: Summary, base: Summary) -> dict[str, float | None]:
    changes: dict[str, float | None] = {"auc_change": None, "log_loss_change": None, "relative": None}
    if summary.auc is not None and base.auc is not None:
        changes["auc_change"] = summary.auc.mean - base.auc.mean
        changes["relative"] = summary.auc.mean / base.auc.mean - 1.0
    if summary.log_loss is not None and base.log_loss is not None:
        changes["log_loss_change"] = summary.log_loss.mean - base.log_loss.mean
    return changes


def _compare(mine: Statistic | None, best: Statistic | None, *, sign: int) -> tuple[float | None, str]:
    """The p-value against the best of the others, and the stars where mine is better; sign: +1 if larger is better."""
    if mine is None or best is None or len(mine.values) < 2 or len(best.values) < 2:
        return None, ""
    from scipy import stats

    with warnings.catch_warnings():
        # Equal values have no variance; the p-value is then not a number, which means "nothing to tell".
        warnings.simplefilter("ignore")
        p = float(stats.ttest_ind(mine.values, best.values, equal_var=False).pvalue)
    if math.isnan(p):
        return None, ""
    better = sign * (mine.mean - best.mean) > 0
    return p, "" if not better else "**" if p < 0.01 else "*" if p < 0.05 else ""
