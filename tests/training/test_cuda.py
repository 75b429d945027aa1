"""Training on a GPU. Marked `cuda`; elsewhere these tests are skipped, and the GPU path is not tested."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fieldwise.bench.workload import Case, Workload
from fieldwise.data.loader import Loader
from fieldwise.training.trainer import Trainer

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SHAPE = {"embedding_dim": 8, "attention_dim": 16, "num_layers": 2}


def workload(device: str, **training: Any) -> Workload:
    return Workload(Case("autoint", 5, 500, 256, SHAPE, {"device": device, **training}))


@pytest.mark.parametrize("optimizer", ["adam", "row_adam", "row_adagrad"])
def test_float32_steps_are_those_of_the_cpu(optimizer: str) -> None:
    ours, theirs = (workload(d, precision="float32", embedding_optimizer=optimizer) for d in ("cuda", "cpu"))
    for _ in range(5):
        ours.train_step()
        theirs.train_step()
    for name, expected in theirs.trainer.model.state_dict().items():
        torch.testing.assert_close(ours.trainer.model.state_dict()[name].cpu(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("optimizer", ["adam", "row_adam", "row_adagrad"])
def test_a_step_never_waits_for_the_device(optimizer: str) -> None:
    work = workload("cuda", embedding_optimizer=optimizer, clip_norm=1.0)
    work.train_step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        work.train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("resident", [False, True])
def test_batches_arrive_whole(resident: bool) -> None:
    work = workload("cuda")
    rows = np.arange(100)[::-1].copy()
    batch = Loader(work.dataset, torch.device("cuda"), resident=resident).batch(rows)
    assert batch.categorical.is_cuda
    assert torch.equal(batch.categorical.cpu(), work.dataset.batch(rows).categorical)


def test_a_run_is_taken_up_again(tmp_path: Path) -> None:
    work = workload("cuda", epochs=1)
    trainer = Trainer(work.trainer.model, settings=work.trainer.settings, checkpoint=tmp_path / "state.safetensors")
    trainer.fit(work.dataset, work.dataset)
    again = Trainer(workload("cuda").trainer.model, settings=work.trainer.settings)
    again.restore(tmp_path / "state.safetensors")
    assert again.state.epoch == 2
    moments = again.optimizers["tables"].state_dict()["state"][0]
    torch.testing.assert_close(moments["exp_avg"], trainer.optimizers["tables"].state_dict()["state"][0]["exp_avg"])
