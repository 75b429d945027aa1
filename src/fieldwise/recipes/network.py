"""The default recipe: one network, one run of the Trainer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from fieldwise.architecture import Architecture, summarise_fields
from fieldwise.data.dataset import Dataset
from fieldwise.layout import Layout
from fieldwise.metrics import Metrics
from fieldwise.models import registry
from fieldwise.models.base import CTRModel, count_parameters
from fieldwise.reporting import Reporter
from fieldwise.settings import Settings
from fieldwise.training.evaluation import evaluate_model
from fieldwise.training.execution import settle
from fieldwise.training.history import History
from fieldwise.training.trainer import Trainer, fill_oov


@dataclass(frozen=True)
class Fitted:
    """A trained network with the weights of its best epoch.

    metrics: by part, `valid` and `test`, where the part has rows. filled: names of the fields in which unseen tokens
    are predicted as the field's average token. device: where it was trained; the network itself is on the CPU.
    """

    network: CTRModel
    history: History
    metrics: dict[str, Metrics]
    filled: list[str]
    device: torch.device


def build(layout: Layout, settings: Settings) -> CTRModel:
    """The untrained model; its weights follow from the seed."""
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        return registry.build(settings.model, layout, settings.model_settings)


def settle_training(layout: Layout, settings: Settings) -> Settings:
    """The settings with every `auto` of training replaced, for this machine and the model.

    A model that searches first is taken without interactions: what they will be makes no difference to the choices.
    Raises what building the model and `fieldwise.training.execution.settle` raise.
    """
    sketch = settings
    if settings.wants_search:
        nothing = Architecture(fields=summarise_fields(layout), embedding_dim=1)
        sketch = settings.model_copy(update={"model_settings": {**settings.model_settings, "architecture": nothing}})
    return settings.with_training(settle(settings.training, build(layout, sketch)))


def count(network: CTRModel) -> dict[str, int]:
    """A network's parameters as the card has them."""
    return {"all": count_parameters(network), "without_embeddings": count_parameters(network, embeddings=False)}


def fit(
    network: CTRModel,
    parts: Mapping[str, Dataset],
    settings: Settings,
    *,
    checkpoint: Path | None = None,
    restore: bool = False,
    reporter: Reporter,
) -> Fitted:
    """Train a network on `parts["train"]`, choose its best epoch on `parts["valid"]`, and measure both other parts.

    checkpoint: where to keep the state of the run. restore: go on from there, where there is a checkpoint.
    Raises TrainingError as `Trainer` does.
    """
    parameters = count(network)
    reporter.say(
        f"{settings.model}: {parameters['all']:,} parameters ({parameters['without_embeddings']:,} without "
        f"embeddings), {len(parts['train']):,} rows to train on, {len(parts['valid']):,} to validate, "
        f"{len(parts['test']):,} to test"
    )
    trainer = Trainer(network, settings=settings.training, seed=settings.seed, reporter=reporter, checkpoint=checkpoint)
    if restore and checkpoint is not None and checkpoint.exists():
        trainer.restore(checkpoint)
        reporter.say(f"resuming in epoch {trainer.state.epoch} after {trainer.state.rows:,} of its rows")
    history = trainer.fit(parts["train"], parts["valid"])
    filled = fill_oov(network, parts["train"].id_counts())
    metrics = {
        part: evaluate_model(network, parts[part], trainer.objective) for part in ("valid", "test") if len(parts[part])
    }
    names = [network.layout.fields[f].name for f in filled]
    return Fitted(network.cpu(), history, metrics, names, trainer.device)
