"""What a time budget can afford."""

from __future__ import annotations

from fieldwise.data.dataset import Dataset
from fieldwise.datasets.synthetic import make_search_log
from fieldwise.models import registry
from fieldwise.preparation import Tables, prepare
from fieldwise.recipes.search.budget import affordable_rows, seconds_per_row
from fieldwise.settings import DataSettings, TrainingSettings
from fieldwise.training.trainer import Trainer


def rows() -> Dataset:
    log = make_search_log(2_000, num_fields=4, num_noise=1, num_pairs=1, num_triples=1)
    return prepare(Tables("log", log.table, None, None), log.schema, DataSettings(), seed=0).parts["train"]


def test_the_clock_of_a_step() -> None:
    train = rows()
    trainer = Trainer(registry.build("lr", train.layout), settings=TrainingSettings(batch_size=64, precision="float32"))
    assert 0 < seconds_per_row(trainer, train, most=0.5) < 0.01


def test_a_longer_time_affords_more_rows() -> None:
    train = rows()
    settings = TrainingSettings(batch_size=64, epochs=2, precision="float32")
    trainer = Trainer(registry.build("lr", train.layout), settings=settings)
    assert affordable_rows(trainer, train, 0.0) == 0
    assert affordable_rows(trainer, train, 3600.0) > len(train)
