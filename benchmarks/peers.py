"""AutoInt of other libraries behind one small interface, for benchmarks that time a training step or a prediction.

    python -m venv .venv-peers && .venv-peers/bin/pip install . -r benchmarks/requirements-peers.txt

    contender = build("torch-rechub", sizes, dim=32, layers=3, heads=2, seed=0)
    batch = contender.prepare(ids, label)      # outside the clock
    contender.train_step(batch)
    probabilities = contender.predict(batch)

The shape is the one all can have: categorical fields only, one id each, and attention as wide as the embeddings
(both libraries tie the two). The feed-forward network is off; everything else is what the library does by default.

A step is what the library's own training loop does with a batch: forward, loss, regularisation, gradients, optimiser.
Left out, in the peers' favour, is what else their loops spend time on: data loader, collation, conversion of ids,
progress bar, metrics, and the loss read back after every step. Nothing is added but one look at `model.training`.
All runs on the CPU, with dense gradients and dense Adam at learning rate 1e-3: every step passes over the whole table.

Where they differ from the paper (W. Song et al., CIKM 2019) and from the authors' code, as far as it takes or saves
time; parameters at 39 fields, width 32, 3 layers, without any table:

                              torch-rechub 0.9.0                   deepctr-torch 0.3.0
    Q, K, V, residual         no biases, no ReLU (paper)           no biases, no ReLU (paper)
    scale of the logits       1 / sqrt(width / heads) (code)       none (paper)
    after the residual        ReLU (paper)                         ReLU (paper)
    layer normalisation       none (paper; the code has it)        none (paper; the code has it)
    feed-forward network      off, its default                     off; on by default, (256, 128)
    first-order term          linear in the flattened embeddings,  one weight per token: F more look-ups and a
                              F * dim weights and a bias           table of width 1 (33 columns instead of 32)
    output                    bias; sigmoid, then log loss         bias; sigmoid, then log loss
    loss                      mean over the batch                  sum over the batch
    regularisation            weight decay 1e-5 in Adam: one more  1e-5 times the squares of the embeddings in the
                              pass over all tables and weights     loss: more passes over the tables, both ways
    embeddings                N(0, 0.0001^2), a table per field    N(0, 0.0001^2), a table per field
    besides                   walks all modules each step to add   flattens the embeddings for the absent network;
                              up L1 and L2 terms that are zero     ids are float32, cast per field in the step, twice
    parameters                14,786                               13,537

The first-order term is part of torch-rechub's AutoInt and cannot be switched off. deepctr-torch takes the columns of
its own as an argument without default; it gets the same columns twice, as in the library's Quick-Start. Nor has its
`compile` a default optimiser; "adam", also the Quick-Start's choice, is `torch.optim.Adam` as it comes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import version
from types import ModuleType
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Contender(Protocol):
    """A model with its optimiser, ready to train on batches of one kind of table."""

    name: str
    model: nn.Module

    def prepare(self, ids: Tensor, label: Tensor) -> Any:
        """A batch as the library's loader would give it to its step; not to be timed.

        ids: int64 [B, F], in each column 0 to the size of that field, exclusive. label: float32 [B].
        """
        ...

    def train_step(self, prepared: Any) -> None:
        """One step of the library's own training loop."""
        ...

    def predict(self, prepared: Any) -> Tensor:
        """Probabilities [B] in eval mode, without gradients."""
        ...


class TorchRechub:
    """AutoInt of torch-rechub with model, loss and optimiser as its `CTRTrainer` sets them up.

    Features are made anew for each model: a feature keeps the table that it made, so that two models built from the
    same feature would train the same one.
    """

    def __init__(self, sizes: Sequence[int], *, dim: int, layers: int, heads: int, seed: int) -> None:
        # By name, so that the module loads and type-checks with and without the libraries.
        features = importlib.import_module("torch_rechub.basic.features")
        ranking = importlib.import_module("torch_rechub.models.ranking")
        trainers = importlib.import_module("torch_rechub.trainers")
        self.name = f"torch-rechub {version('torch-rechub')}"
        torch.manual_seed(seed)
        fields = [features.SparseFeature(f"f{i}", vocab_size=size, embed_dim=dim) for i, size in enumerate(sizes)]
        self.model: Any = ranking.AutoInt(fields, [], num_layers=layers, num_heads=heads)
        self.trainer: Any = trainers.CTRTrainer(self.model)

    def prepare(self, ids: Tensor, label: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The ids of each field under its name."""
        return {f"f{i}": column.contiguous() for i, column in enumerate(ids.unbind(1))}, label

    def train_step(self, prepared: tuple[dict[str, Tensor], Tensor]) -> None:
        """A step of `CTRTrainer.train_one_epoch`."""
        ids, label = prepared
        if not self.model.training:
            self.model.train()
        loss = self.trainer.criterion(self.model(ids), label) + self.trainer.reg_loss_fn(self.model)
        self.model.zero_grad()
        loss.backward()
        self.trainer.optimizer.step()

    def predict(self, prepared: tuple[dict[str, Tensor], Tensor]) -> Tensor:
        """What `CTRTrainer.predict` computes, left as a tensor."""
        if self.model.training:
            self.model.eval()
        with torch.no_grad():
            probabilities: Tensor = self.model(prepared[0])
        return probabilities


class DeepCTRTorch:
    """AutoInt of DeepCTR-Torch, compiled with "adam" and the log loss.

    The library carries all inputs of a row in one float32 matrix, ids too: exact up to 2^24.
    """

    def __init__(self, sizes: Sequence[int], *, dim: int, layers: int, heads: int, seed: int) -> None:
        if max(sizes) > 2**24:
            raise ValueError(f"float32 ids are exact in fields of up to {2**24} tokens, not of {max(sizes)}")
        # On import the library asks the package index for newer versions, in a thread of its own and with `requests`,
        # which it does not require. An empty check in place of that module spares both; nothing else uses it.
        silent = ModuleType("deepctr_torch.utils")
        silent.__dict__["check_version"] = lambda _: None
        sys.modules.setdefault(silent.__name__, silent)
        inputs = importlib.import_module("deepctr_torch.inputs")
        models = importlib.import_module("deepctr_torch.models")
        self.name = f"deepctr-torch {version('deepctr-torch')}"
        columns = [inputs.SparseFeat(f"f{i}", size, embedding_dim=dim) for i, size in enumerate(sizes)]
        # It seeds torch's global generator by itself.
        self.model: Any = models.AutoInt(
            columns, columns, att_layer_num=layers, att_head_num=heads, dnn_hidden_units=(), seed=seed
        )
        self.model.compile("adam", "binary_crossentropy")

    def prepare(self, ids: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """The ids as a float32 matrix; the library's own loop converts them within the step."""
        return ids.float(), label

    def train_step(self, prepared: tuple[Tensor, Tensor]) -> None:
        """A step of `BaseModel.fit`."""
        rows, label = prepared
        model = self.model
        if not model.training:
            model.train()
        predicted = model(rows).squeeze(-1)
        model.optim.zero_grad()
        loss = model.loss_func(predicted, label, reduction="sum") + model.get_regularization_loss() + model.aux_loss
        loss.backward()
        model.optim.step()

    def predict(self, prepared: tuple[Tensor, Tensor]) -> Tensor:
        """What `BaseModel.predict` computes, left as a tensor of one dimension."""
        if self.model.training:
            self.model.eval()
        with torch.no_grad():
            probabilities: Tensor = self.model(prepared[0])
        return probabilities.squeeze(-1)


PEERS: dict[str, type[TorchRechub] | type[DeepCTRTorch]] = {
    "torch-rechub": TorchRechub,
    "deepctr-torch": DeepCTRTorch,
}


def build(name: str, sizes: Sequence[int], *, dim: int, layers: int, heads: int, seed: int) -> Contender:
    """The contender `name`, one of PEERS, with fields of these vocabulary sizes; its own `name` has the version.

    dim: width of embeddings and of attention, over all heads. Seeds torch's global generator.
    Raises ValueError where there is no such peer or heads do not divide dim, ImportError where it is not installed.
    """
    if name not in PEERS:
        raise ValueError(f"no peer {name!r}; there are {', '.join(PEERS)}")
    return PEERS[name](sizes, dim=dim, layers=layers, heads=heads, seed=seed)
