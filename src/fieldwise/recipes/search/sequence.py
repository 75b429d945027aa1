"""AIM's search: which interactions, by which functions, with which embedding dimensions. Then train as usual.

C. Zhu et al.: "AIM: Automatic Interaction Machine for Click-Through Rate Prediction", arXiv 2111.03318, section 3. For
the orders 2, 3, ... one after another, and then for the embedding dimensions of all of them, a network with one gate
per candidate is trained on the training rows (`stages` says which); its gates by GRDA, which drives those that the
data do not move to exact zeros, all else by Adam in the same steps. What keeps a gate other than zero is kept. Nothing
is chosen by the test rows, and the validation rows are only measured.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fieldwise.architecture import FILE_NAME as ARCHITECTURE
from fieldwise.architecture import Architecture, DataSummary, TupleStatistic, num_tuples, summarise_fields
from fieldwise.data.dataset import Dataset
from fieldwise.explain import ClickStatistics
from fieldwise.objectives import Binary, Objective
from fieldwise.recipes.search.budget import affordable_epochs
from fieldwise.recipes.search.stage_training import StageFiles, StageTraining
from fieldwise.recipes.search.stages import DimensionsStage, Stage, functions_of, search_settings, stages_of
from fieldwise.recipes.search.trimming import trim
from fieldwise.reporting import Reporter
from fieldwise.settings import Settings

MOST_ROWS_COUNTED = 1_000_000
"""Training rows that click rates are taken from, a sample where there are more."""


def search(
    parts: Mapping[str, Dataset],
    settings: Settings,
    *,
    objective: Objective | None = None,
    source: str = "",
    place: Path | None = None,
    reporter: Reporter,
) -> Settings:
    """Find an architecture; the settings to train with afterwards.

    Args:
        parts: `train`, which is searched, and `valid`, on which the search networks are measured.
        settings: Of a model that searches. `search` says how; those of the model and of training apply where it does
            not.
        objective: What the labels are; default: clicks.
        source: The data's name, for the architecture's file.
        place: A folder for what is done and for checkpoints; a search that was stopped goes on from there.
        reporter: For progress.

    Returns:
        The settings with the architecture among those of the model. With a time budget, the epochs of training are no
        more than it leaves time for.

    Raises:
        KeyboardInterrupt: At Ctrl-C; the stage under way is kept in `place`.
        SettingsError: For an unknown function.
    """
    objective = objective or Binary()
    file = None if place is None else place / ARCHITECTURE
    if file is not None and file.exists():
        reporter.say("the search is done")
        architecture = Architecture.load(file)
    else:
        stages = stages_of(settings, parts["train"].layout)
        architecture = _run(
            stages, parts, settings, objective, _empty(parts["train"], settings, objective, source), place, reporter
        )
        architecture = architecture.model_copy(
            update={"statistics": _statistics(parts, settings, objective, architecture)}
        )
        if search_settings(settings).time_budget is not None:
            epochs = affordable_epochs(
                parts["train"], with_architecture(settings, architecture), objective, architecture, reporter
            )
            architecture = architecture.model_copy(update={"settings": {**architecture.settings, "epochs": epochs}})
        if file is not None:
            architecture.save(file)
    after = with_architecture(settings, architecture)
    if "epochs" in architecture.settings:  # of the training, not of a stage
        epochs = architecture.settings["epochs"]
        after = after.with_training(after.training.model_copy(update={"epochs": epochs}))
    return after


def search_dimensions(
    parts: Mapping[str, Dataset],
    settings: Settings,
    architecture: Architecture,
    *,
    objective: Objective | None = None,
    place: Path | None = None,
    reporter: Reporter,
) -> Architecture:
    """Search the embedding dimensions of an architecture that is there already, such as one written by hand.

    This is the last stage of `search` on its own.

    Args:
        parts, settings, objective, place, reporter: As in `search`.
        architecture: Dimensions that it has removed are searched again; its embedding size and its
            `shared_embedding` hold, whatever the settings say of them.

    Returns:
        The architecture with the dimensions that are kept, without the interactions that are left with none.

    Raises:
        KeyboardInterrupt: As in `search`.
        SettingsError: For an architecture of fields that the data lack.
    """
    whole = architecture.model_copy(update={"dimensions": None})
    stages: list[Stage] = [DimensionsStage(parts["train"].layout, settings)]
    return _run(stages, parts, settings, objective or Binary(), whole, place, reporter)


def with_architecture(settings: Settings, architecture: Architecture) -> Settings:
    """The settings to train with an architecture."""
    model_settings = {**settings.model_settings, "architecture": architecture.model_dump(mode="json")}
    return settings.model_copy(update={"model_settings": model_settings})


def _empty(train: Dataset, settings: Settings, objective: Objective, source: str) -> Architecture:
    """What a search begins with: no interaction yet."""
    search = search_settings(settings)
    base_rate = None
    if isinstance(objective, Binary) and train.label is not None:
        base_rate = float(train.label.mean())
    return Architecture(
        model=settings.model,
        embedding_dim=settings.model_settings["embedding_dim"],
        shared_embedding=search.shared_embedding,
        fields=summarise_fields(train.layout),
        settings={"functions": list(functions_of(search)), "search": search.model_dump(mode="json"), "stages": []},
        data=DataSummary(source=source, rows=len(train), base_rate=base_rate),
    )


def _run(
    stages: Sequence[Stage],
    parts: Mapping[str, Dataset],
    settings: Settings,
    objective: Objective,
    architecture: Architecture,
    folder: Path | None,
    reporter: Reporter,
) -> Architecture:
    """One stage after another; those whose result lies in the folder are not run again."""
    budget, start = search_settings(settings).time_budget, time.perf_counter()
    for number, stage in enumerate(stages, start=1):
        title = f"search {number}/{len(stages)}, {stage.name}"
        files = None if folder is None else StageFiles(folder, stage)
        if files is not None and files.result.exists():
            architecture = Architecture.load(files.result)
            reporter.say(f"{title}: done before")
            continue
        seconds = None
        if budget is not None:
            # One half of it is for the stages, in equal shares of what is left.
            left = budget / 2 - (time.perf_counter() - start)
            seconds = max(left, 0.0) / (len(stages) - number + 1)
        candidates = stage.candidates(architecture)
        if announcement := stage.announcement(candidates):
            reporter.say(f"{title}: {announcement}")
        if candidates:
            training = StageTraining(
                stage, architecture, candidates, parts, settings, objective, files, title, reporter
            )
            architecture, remark = stage.conclude(architecture, training.run(seconds))
            if remark:
                reporter.say(f"{title}: {remark}")
        if stage.max_interactions is not None:
            architecture = trim(architecture, max_interactions=stage.max_interactions)
        if files is not None:
            files.finish(architecture)
    return architecture


def _statistics(
    parts: Mapping[str, Dataset], settings: Settings, objective: Objective, architecture: Architecture
) -> tuple[TupleStatistic, ...]:
    """What the click rates of field tuples tell of the validation rows: of all tuples, or of the kept ones."""
    train, valid, search = parts["train"], parts.get("valid"), search_settings(settings)
    if not isinstance(objective, Binary) or valid is None or valid.label is None or len(np.unique(valid.label)) < 2:
        return ()  # an AUC is of clicks
    fields = len(train.layout)
    if len(train) > MOST_ROWS_COUNTED:
        rows = np.random.default_rng([settings.seed, 8]).choice(len(train), MOST_ROWS_COUNTED, replace=False)
        train = train.take(np.sort(rows))
    clicks = ClickStatistics(train, valid)
    statistics: dict[tuple[str, ...], float] = {}
    for order in search.orders:
        few = num_tuples(fields, order) <= search.max_tuples
        if order <= fields:
            statistics |= clicks.best(order, None if few else architecture.strengths(order))
    return tuple(TupleStatistic(fields=names, auc=auc) for names, auc in statistics.items())
