"""Exported programs: bit for bit what the model computes, also beyond what the contract test covers."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
import torch
from torch.export import Dim

from fieldwise.architecture import Architecture
from fieldwise.data.batch import Batch
from fieldwise.errors import ArgumentError
from fieldwise.layers.interaction_functions import function_names
from fieldwise.layout import Layout
from fieldwise.models import CTRModel, build, export_program

MakeBatch = Callable[..., Batch]


def test_only_models() -> None:
    with pytest.raises(ArgumentError, match="takes a CTRModel, got str; a predictor of a network has one as predictor"):
        export_program("deepfm")  # type: ignore[arg-type]


def parts(batch: Batch) -> tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, ...]]:
    return batch.categorical, batch.numeric, batch.multi_valued


def longer(batch: Batch) -> Batch:
    """The same lists, padded to more values."""
    lists = (torch.nn.functional.pad(ids, (0, 4), value=-1) for ids in batch.multi_valued)
    return Batch(batch.categorical, batch.numeric, tuple(lists))


def searched(layout: Layout, name: str) -> CTRModel:
    """A model of interactions of two orders; AIM with a few embedding positions and one shared table less."""
    functions = function_names() if name == "aim" else ["inner"]
    pairs, triples = (Architecture.everything(layout, order=p, functions=functions, embedding_dim=3) for p in (2, 3))
    both = pairs.with_interactions([*pairs.interactions, *triples.interactions[:7]])
    if name == "aim":
        kept = {2: {f: {n: tuple(range(i % 3)) for i, n in enumerate(layout.names)} for f in functions}}
        both = both.model_copy(update={"positions": kept | {3: kept[2]}})
    return build(name, layout, {"architecture": both.model_dump(mode="json"), "dnn_hidden": (4,)})


@pytest.mark.parametrize("name", ["aim", "autofis"])
def test_models_of_a_search(layouts: dict[str, Layout], make_batch: MakeBatch, name: str) -> None:
    torch.manual_seed(0)
    model = searched(layouts["mixed"], name).eval()
    program = export_program(model).module()
    for size in (7, 1, 0):
        batch = make_batch(layouts["mixed"], size)
        assert torch.equal(program(*parts(batch)), model(batch))


def test_lists_may_be_padded_to_any_length(layouts: dict[str, Layout], make_batch: MakeBatch) -> None:
    layout = layouts["multi_valued"]
    model = build("fm", layout).eval()
    program, batch = export_program(model).module(), make_batch(layout, 9)
    assert torch.equal(program(*parts(longer(batch))), model(batch))


def test_a_program_is_kept_in_a_file(layouts: dict[str, Layout], make_batch: MakeBatch) -> None:
    layout = layouts["mixed"]
    model = build("aim", layout, {"dnn_hidden": (4,), "embedding_dim": 3}).eval()
    file = io.BytesIO()
    torch.export.save(export_program(model), file)
    file.seek(0)
    program, batch = torch.export.load(file).module(), make_batch(layout, 9)
    assert torch.equal(program(*parts(batch)), model(batch))


def test_the_model_stays_in_training(layouts: dict[str, Layout], make_batch: MakeBatch) -> None:
    layout = layouts["mixed"]
    model = build("autoint", layout, {"dropout": 0.5}).train()
    program, batch = export_program(model).module(), make_batch(layout, 9)
    assert model.training
    assert torch.equal(program(*parts(batch)), model.eval()(batch))


def test_a_batch_may_be_what_a_program_reads(layouts: dict[str, Layout], make_batch: MakeBatch) -> None:
    layout = layouts["mixed"]
    model, rows = build("dcnv2", layout).eval(), {0: Dim.DYNAMIC}
    example = Batch(*parts(make_batch(layout, 5)))
    exported = torch.export.export(model, (example,), dynamic_shapes=([rows, rows, (rows,)],))
    batch = Batch(*parts(make_batch(layout, 12)))
    assert torch.equal(exported.module()(batch), model(batch))
