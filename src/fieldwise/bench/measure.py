"""Measuring: rows per second, memory, and what the machine itself can do."""

from __future__ import annotations

import multiprocessing
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from fieldwise.bench.workload import Case, Workload
from fieldwise.errors import FieldwiseError
from fieldwise.training.execution import apply_process_settings, describe

_VALID_SHARE = 8
"""One row in so many validates, where the memory of a whole run is measured."""


@dataclass(frozen=True)
class Measurement:
    """What a case came to.

    Attributes:
        step_ms: median time of a training step.
        train_rows_per_s: from the median.
        predict_rows_per_s: from the median.
        flops_per_row: matrix products of a training step, per row.
        peak_mb: highest memory of the process over building, training, validation and a checkpoint.
        table_mb: the embedding tables.
        plan: the choices of `fieldwise.training.execution`.
    """

    step_ms: float
    train_rows_per_s: float
    predict_rows_per_s: float
    flops_per_row: float
    peak_mb: float
    table_mb: float
    plan: str


@dataclass(frozen=True)
class Machine:
    """What the machine can do.

    Attributes:
        processor: its name.
        device: what was measured.
        threads: of torch.
        float32_gflops: rate of large matrix products.
        bfloat16_gflops: the same in bfloat16.
        memory_gb_per_s: rate of copying memory, read plus written.
    """

    processor: str
    device: str
    threads: int
    float32_gflops: float
    bfloat16_gflops: float
    memory_gb_per_s: float


def measure(case: Case, *, seconds: float = 5.0) -> Measurement:
    """Measure a case in a process of its own, so that its memory is nobody else's.

    Args:
        case: what to measure.
        seconds: how long training and prediction are measured, each.

    Returns:
        What it came to.

    Raises:
        FieldwiseError: of a case that cannot be, or where the process was ended.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_answer, args=(theirs, case, seconds))
    process.start()
    theirs.close()
    try:
        result = ours.recv()
    except EOFError:
        process.join()
        raise FieldwiseError(
            f"measuring ended with exit code {process.exitcode}; was there enough memory for a table of "
            f"{case.vocabulary:,} rows?"
        ) from None
    finally:
        process.join()
    if isinstance(result, FieldwiseError):
        raise result
    assert isinstance(result, Measurement)
    return result


def measure_machine(*, device: torch.device, seconds: float = 2.0) -> Machine:
    """What this machine can do.

    Args:
        device: what to measure.
        seconds: how long each rate is measured.

    Returns:
        The rates.
    """
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    size = 2048 if device.type == "cpu" else 8192
    rates = {}
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.randn(size, size, device=device).to(dtype)
        rates[dtype] = 2e-9 * size**3 / _median_time(partial(torch.matmul, a, a), device, seconds)
    source = torch.empty(1 << 28, dtype=torch.uint8, device=device).fill_(1)
    target = torch.empty_like(source)
    copying = _median_time(lambda: target.copy_(source), device, seconds)
    return Machine(
        processor=name,
        device=str(device),
        threads=torch.get_num_threads(),
        float32_gflops=rates[torch.float32],
        bfloat16_gflops=rates[torch.bfloat16],
        memory_gb_per_s=2e-9 * len(source) / copying,
    )


def _answer(pipe: Any, case: Case, seconds: float) -> None:
    try:
        pipe.send(measure_in_process(case, seconds))
    except FieldwiseError as error:
        pipe.send(type(error)(str(error)))
    finally:
        pipe.close()


def measure_in_process(case: Case, seconds: float) -> Measurement:
    """As `measure`, in this process: its peak of memory is then that of all that was done here before.

    Args:
        case: what to measure.
        seconds: how long training and prediction are measured, each.

    Returns:
        What it came to.
    """
    with tempfile.TemporaryDirectory() as directory:
        workload = Workload(case, checkpoint=Path(directory) / "state.safetensors")
        trainer = workload.trainer
        apply_process_settings(trainer.settings)
        step = _median_time(workload.train_step, trainer.device, seconds)
        predicting = _median_time(workload.predict, trainer.device, seconds)
        return Measurement(
            step_ms=1e3 * step,
            train_rows_per_s=case.batch_size / step,
            predict_rows_per_s=len(workload) / predicting,
            # In this order: counting takes more memory than training does.
            peak_mb=_peak_of_a_run(workload) / 1e6,
            flops_per_row=_flops(workload) / case.batch_size,
            table_mb=sum(t.numel() * t.element_size() for t in trainer.step.tables) / 1e6,
            plan=describe(trainer.settings),
        )


def _flops(workload: Workload) -> int:
    """Floating-point operations in the matrix products of a training step, counted where torch computes all of them."""
    step = workload.trainer.step
    settings = step.settings
    step.settings = settings.model_copy(update={"kernels": "torch"})
    with FlopCounterMode(display=False) as counter:
        workload.train_step()
    step.settings = settings
    return int(counter.get_total_flops())


def _peak_of_a_run(workload: Workload) -> float:
    """Highest memory of this process, in bytes, after an epoch with validation and a checkpoint too."""
    trainer, dataset = workload.trainer, workload.dataset
    trainer.settings = trainer.settings.model_copy(update={"epochs": 1})
    trainer.fit(dataset, dataset.take(np.arange(len(dataset) // _VALID_SHARE)))
    if trainer.device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(trainer.device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) if sys.platform == "darwin" else 1024.0 * peak


def _median_time(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """The median time of a piece of work, after two that do not count; at least three are measured."""
    times: list[float] = []
    began = None
    while len(times) < 5 or time.perf_counter() - (began or 0.0) < seconds:
        started = time.perf_counter()
        if len(times) == 2:
            began = started
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return statistics.median(times[2:])
