"""Do our FM, DeepFM, DCN and xDeepFM compute what other libraries' do? The same weights in both, logits and gradients.

    python -m venv .venv-peers && .venv-peers/bin/pip install . -r benchmarks/parity/requirements.txt
    .venv-peers/bin/python benchmarks/parity/compare_logits.py

Prints a table as Markdown; ends with exit status 1 where a case disagrees.

A case writes our weights as a function of the peer's: tables laid one below the other, filters turned round, a weight
that the peer shares taken apart. Our model is called with the result in place of its own weights, all of them, so that
the gradients of both are taken with respect to the peer's weights, and a weight of ours that no weight of the peer
stands for is an error. Weights are drawn anew first, far larger than either library starts with. Models with
batch normalisation are compared in training and in evaluation mode, with running statistics drawn at random.

Fields: four of tokens, and two of numbers where the peer's model takes numbers. A peer feeds a number x into its
network as it is and leaves it out of the products of fields; for us it is a field like any other, with the vector x v.
Both are one for a v with a coordinate that no other field uses: our vectors here have two coordinates more than the
peer's, v is 1 in one of them, and what the peer's weights say of x stands at that coordinate.

Where the peers differ from the papers, and what was done about it:

* torch-rechub's DeepFM and Wide&Deep have no first-order weight per token: the term is linear in the embeddings,
  <u_m, e_m>, so that it cannot move without moving the products. Guo et al. (IJCAI 2017, eq. 2) have <w, x>, one weight
  per token. Compared with our weights set to w = <u_m, e>.
* torch-rechub's MLP has batch normalisation in every hidden layer and no switch for it. Compared with `dnn_norm=batch`.
* deepctr-torch's DCN adds a first-order term that Wang et al. (ADKDD 2017, sec. 2.4) do not have. It is left out by
  giving it no linear columns. Its read-out has no bias of its own but the prediction layer's, which is ours.
* Both peers' CIN has a bias in every filter and, torch-rechub without a switch, a ReLU after it. Lian et al. (KDD 2018,
  eq. 6) have neither, and found no activation best. A bias is no harmless addition: it lets the next layer's
  products degenerate to lower orders. Compared with biases at zero and with the activation `linear` (deepctr-torch), or
  with its ReLU replaced for the comparison (torch-rechub).
* split_half: both peers pool half of each layer but the last and hand the other half on, as ours does and as the
  authors' code does; the paper pools every row and hands every row on. deepctr-torch, like us and the authors' code,
  hands on the first half; torch-rechub the second, which is the same up to the order of rows.
* torch-rechub has no xDeepFM: its CIN is compared, on its embeddings, with our `cin`.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from types import ModuleType
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from fieldwise.data.batch import Batch
from fieldwise.layout import FIRST_TOKEN, FieldLayout, Layout
from fieldwise.models import CTRModel, build
from fieldwise.reporting import markdown_row, markdown_table

SIZES = (7, 50, 3, 200)
NUMBERS = 2
DIM = 6
HIDDEN = (12, 9)
CIN = (8, 6, 5)

LOGITS = {torch.float32: 1e-5, torch.float64: 1e-10}
"""The largest difference between logits that counts as agreement."""
GRADIENTS = {torch.float32: 1e-4, torch.float64: 1e-10}
"""The same for gradients, each as a share of the largest number of its tensor, or of `NOISE` of the model's largest
where that is more: a bias before batch normalisation has the gradient zero, and what rounding makes of it is no share
of anything."""
NOISE = 1e-3

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Case:
    """A model of a peer, ours, and how the one's weights are written as the other's.

    ours: a registered name and settings. numbers: how many numeric fields both take.
    build: makes the peer's model. logits: its logits [B] for ids [B, 4] and numbers [B, 0 or 2].
    translate: our parameters and buffers by name, from the peer's model. silenced: the peer's parameters, by a part of
    their names, that have no counterpart and are held at zero.
    """

    name: str
    peer: str
    note: str
    ours: str
    settings: dict[str, Any]
    numbers: int
    build: Callable[[], nn.Module]
    logits: Callable[[Any, Tensor, Tensor], Tensor]
    translate: Callable[[Any], Weights]
    silenced: str | None = None


# --- our weights from theirs -----------------------------------------------------------------------------------------


def spread(weight: Tensor, numbers: int) -> Tensor:
    """Weights on the peer's input [.., 4 D + N] (vectors, then numbers) as weights on ours, [.., (4 + N) (D + N)]."""
    fields = len(SIZES)
    vectors = torch.unflatten(weight[..., : fields * DIM], -1, (fields, DIM))
    on_numbers = torch.diag_embed(weight[..., fields * DIM :])  # number m at coordinate D + m of its field
    return torch.cat([F.pad(vectors, (0, numbers)), F.pad(on_numbers, (DIM, 0))], dim=-2).flatten(-2)


def table(vectors: Sequence[Tensor], firsts: Sequence[Tensor] | None, on_numbers: Tensor | None) -> Tensor:
    """Our one table from the peer's tables of vectors [size, D] and of first-order weights [size, 1], if it has any.

    on_numbers: first-order weights [N] of the numeric fields; None where there are no such fields.
    """
    numbers = 0 if on_numbers is None else len(on_numbers)
    rows = [vectors[0].new_zeros(1, DIM + numbers + (firsts is not None))]
    for position, tokens in enumerate(vectors):
        wide = F.pad(tokens, (0, numbers))
        wide = wide if firsts is None else torch.cat([wide, firsts[position]], dim=1)
        rows += [wide.new_zeros(FIRST_TOKEN, wide.shape[1]), wide]
    for number in range(numbers):
        assert on_numbers is not None
        vector = torch.eye(DIM + numbers, dtype=on_numbers.dtype)[DIM + number]
        row = vector if firsts is None else torch.cat([vector, on_numbers[number].unsqueeze(0)])
        rows += [torch.stack([torch.zeros_like(row), row])]
    return torch.cat(rows)


def network(
    linears: Sequence[nn.Linear],
    numbers: int,
    *,
    norms: Sequence[nn.BatchNorm1d] = (),
    head: tuple[Tensor, Tensor] | None = None,
) -> Weights:
    """Our MLP `dnn` from the peer's linear layers, batch normalisations and head (weight, bias)."""
    weights: Weights = {}
    step = 3 if norms else 2
    for position, linear in enumerate(linears):
        weight = linear.weight if position else spread(linear.weight, numbers)
        weights |= {f"dnn.layers.{position * step}.weight": weight, f"dnn.layers.{position * step}.bias": linear.bias}
    for position, norm in enumerate(norms):
        of = f"dnn.layers.{position * step + 1}"
        weights |= {f"{of}.weight": norm.weight, f"{of}.bias": norm.bias}
        assert norm.running_mean is not None
        assert norm.running_var is not None
        weights |= {f"{of}.running_mean": norm.running_mean.clone(), f"{of}.running_var": norm.running_var.clone()}
    if head is not None:
        weights |= {"dnn.head.weight": head[0], "dnn.head.bias": head[1]}
    return weights


# --- deepctr-torch ---------------------------------------------------------------------------------------------------


def deepctr(name: str, **settings: Any) -> Callable[[], nn.Module]:
    """Builds a model of deepctr-torch over the fields; `linear=False` gives it no linear columns."""

    def make(*, linear: bool = True, numbers: int = 0, **more: Any) -> nn.Module:
        # On import the library asks the package index for newer versions; an empty check in its place spares that.
        silent = ModuleType("deepctr_torch.utils")
        silent.__dict__["check_version"] = lambda _: None
        sys.modules.setdefault(silent.__name__, silent)
        inputs = importlib.import_module("deepctr_torch.inputs")
        models = importlib.import_module("deepctr_torch.models")
        columns = [inputs.SparseFeat(f"f{i}", size, embedding_dim=DIM) for i, size in enumerate(SIZES)]
        columns += [inputs.DenseFeat(f"x{i}", 1) for i in range(numbers)]
        # The task `regression` is what makes the library return logits.
        model: nn.Module = getattr(models, name)(columns if linear else [], columns, task="regression", **more)
        return model

    return lambda: make(**settings)


def deepctr_logits(model: Any, ids: Tensor, numbers: Tensor) -> Tensor:
    """deepctr-torch takes ids and numbers in one matrix."""
    logits: Tensor = model(torch.cat([ids.to(numbers.dtype), numbers], dim=1))
    return logits.squeeze(-1)


def deepctr_tables(model: Any, numbers: int, *, first_order: bool = True) -> Tensor:
    """Our table from deepctr-torch's."""
    vectors = [model.embedding_dict[f"f{i}"].weight for i in range(len(SIZES))]
    if not first_order:
        return table(vectors, None, vectors[0].new_zeros(numbers) if numbers else None)
    linear = model.linear_model
    on_numbers = linear.weight[:, 0] if numbers else None
    return table(vectors, [linear.embedding_dict[f"f{i}"].weight for i in range(len(SIZES))], on_numbers)


def deepctr_first_order(model: Any, numbers: int) -> Weights:
    """Our vectors and first-order weights from deepctr-torch's, with its one bias."""
    return {"embedding.embedding.table.weight": deepctr_tables(model, numbers), "embedding.bias": model.out.bias[0]}


def deepctr_network(model: Any, numbers: int) -> Weights:
    """Our MLP from deepctr-torch's, whose head has no bias."""
    weight = model.dnn_linear.weight
    return network(model.dnn.linears, numbers, head=(weight, weight.new_zeros(1)))


def deepctr_dcn(model: Any, numbers: int) -> Weights:
    """Our DCN from deepctr-torch's; its read-out is over [cross ; network], as ours is."""
    readout = model.dnn_linear.weight
    width = len(SIZES) * DIM + numbers
    return {
        "embedding.table.weight": deepctr_tables(model, numbers, first_order=False),
        "cross.weight": spread(model.crossnet.kernels[:, :, 0], numbers),
        "cross.bias": spread(model.crossnet.bias[:, :, 0], numbers),
        "readout.weight": torch.cat([spread(readout[:, :width], numbers), readout[:, width:]], dim=1),
        "readout.bias": model.out.bias,
        **network(model.dnn.linears, numbers),
    }


def deepctr_xdeepfm(model: Any, numbers: int) -> Weights:
    """Our xDeepFM from deepctr-torch's; filters get zeros for the numeric fields, which its CIN does not see."""
    weights = deepctr_first_order(model, numbers) | deepctr_network(model, numbers)
    for layer, conv in enumerate(model.cin.conv1ds):
        filters = conv.weight[:, :, 0].unflatten(1, (-1, len(SIZES)))  # [H_l, H_(l-1), F]
        weights[f"interaction.filters.{layer}"] = F.pad(filters, (0, numbers, 0, 0 if layer else numbers))
    readout = model.cin_linear.weight
    return weights | {"readout.weight": readout, "readout.bias": readout.new_zeros(1)}


# --- torch-rechub ----------------------------------------------------------------------------------------------------


def rechub_features(numbers: int) -> tuple[list[Any], list[Any]]:
    """New features of tokens and of numbers: a feature keeps the table that it made."""
    features = importlib.import_module("torch_rechub.basic.features")
    sparse = [features.SparseFeature(f"f{i}", vocab_size=size, embed_dim=DIM) for i, size in enumerate(SIZES)]
    return sparse, [features.DenseFeature(f"x{i}") for i in range(numbers)]


def rechub_inputs(ids: Tensor, numbers: Tensor) -> dict[str, Tensor]:
    """torch-rechub takes every field under its name."""
    named = {f"f{i}": column for i, column in enumerate(ids.unbind(1))}
    return named | {f"x{i}": column for i, column in enumerate(numbers.unbind(1))}


def rechub_logits(model: Any, ids: Tensor, numbers: Tensor) -> Tensor:
    """torch-rechub's models end in a sigmoid, which steps aside here; its dense values are cast to float32 and back."""
    with mock.patch.object(torch, "sigmoid", lambda logits: logits):
        logits: Tensor = model(rechub_inputs(ids, numbers))
    return logits


def rechub_network(mlp: Any, numbers: int, *, head: bool) -> Weights:
    """Our MLP with batch normalisation from torch-rechub's."""
    linears = [module for module in mlp.mlp if isinstance(module, nn.Linear)]
    norms = [module for module in mlp.mlp if isinstance(module, nn.BatchNorm1d)]
    last = linears.pop() if head else None
    return network(linears, numbers, norms=norms, head=None if last is None else (last.weight, last.bias))


def rechub_deepfm() -> nn.Module:
    """torch-rechub's DeepFM; numbers go into its network only."""
    ranking = importlib.import_module("torch_rechub.models.ranking")
    sparse, dense = rechub_features(NUMBERS)
    model: nn.Module = ranking.DeepFM([*sparse, *dense], sparse, {"dims": list(HIDDEN)})
    return model


def rechub_deepfm_weights(model: Any) -> Weights:
    """Our DeepFM from torch-rechub's, whose first-order weight of a token is <u_m, e>."""
    vectors = [model.embedding.embed_dict[f"f{i}"].weight for i in range(len(SIZES))]
    shared = model.linear.fc.weight.view(len(SIZES), DIM, 1)
    firsts = [tokens @ u for tokens, u in zip(vectors, shared, strict=True)]
    return {
        "embedding.embedding.table.weight": table(vectors, firsts, vectors[0].new_zeros(NUMBERS)),
        "embedding.bias": model.linear.fc.bias[0],
        **rechub_network(model.mlp, NUMBERS, head=True),
    }


def rechub_dcn() -> nn.Module:
    """torch-rechub's DCN over tokens and numbers."""
    ranking = importlib.import_module("torch_rechub.models.ranking")
    sparse, dense = rechub_features(NUMBERS)
    model: nn.Module = ranking.DCN([*sparse, *dense], n_cross_layers=3, mlp_params={"dims": list(HIDDEN)})
    return model


def rechub_dcn_weights(model: Any) -> Weights:
    """Our DCN from torch-rechub's."""
    vectors = [model.embedding.embed_dict[f"f{i}"].weight for i in range(len(SIZES))]
    readout = model.linear.fc.weight
    width = len(SIZES) * DIM + NUMBERS
    return {
        "embedding.table.weight": table(vectors, None, vectors[0].new_zeros(NUMBERS)),
        "cross.weight": spread(torch.cat([layer.weight for layer in model.cn.w]), NUMBERS),
        "cross.bias": spread(torch.stack(list(model.cn.b)), NUMBERS),
        "readout.weight": torch.cat([spread(readout[:, :width], NUMBERS), readout[:, width:]], dim=1),
        "readout.bias": model.linear.fc.bias,
        **rechub_network(model.mlp, NUMBERS, head=False),
    }


def rechub_layers(name: str, *settings: Any) -> Callable[[], nn.Module]:
    """torch-rechub's embeddings with one of its interaction layers, and its logistic regression."""

    def make() -> nn.Module:
        layers = importlib.import_module("torch_rechub.basic.layers")
        sparse, _ = rechub_features(0)
        model = nn.Module()
        model.features = sparse  # type: ignore[assignment]
        model.embedding = layers.EmbeddingLayer(sparse)
        model.interaction = getattr(layers, name)(*settings)
        model.linear = layers.LR(len(SIZES) * DIM)
        return model

    return make


def rechub_fm_logits(model: Any, ids: Tensor, numbers: Tensor) -> Tensor:
    """LR + FM, as torch-rechub's DeepFM puts them together."""
    vectors = model.embedding(rechub_inputs(ids, numbers), model.features)
    logits: Tensor = model.linear(vectors.flatten(1)) + model.interaction(vectors)
    return logits.squeeze(1)


def rechub_fm_weights(model: Any) -> Weights:
    """Our FM from torch-rechub's layers, whose first-order weight of a token is <u_m, e>."""
    vectors = [model.embedding.embed_dict[f"f{i}"].weight for i in range(len(SIZES))]
    shared = model.linear.fc.weight.view(len(SIZES), DIM, 1)
    firsts = [tokens @ u for tokens, u in zip(vectors, shared, strict=True)]
    return {"embedding.embedding.table.weight": table(vectors, firsts, None), "embedding.bias": model.linear.fc.bias[0]}


def rechub_cin_logits(model: Any, ids: Tensor, numbers: Tensor) -> Tensor:
    """CIN without its ReLU."""
    vectors = model.embedding(rechub_inputs(ids, numbers), model.features)
    with mock.patch.object(F, "relu", lambda rows: rows):
        logits: Tensor = model.interaction(vectors)
    return logits.squeeze(1)


def rechub_cin_weights(model: Any) -> Weights:
    """Our CIN from torch-rechub's: its filters are [H_l, F, H_(l-1)], and it hands on the second half of the rows."""
    cin = model.interaction
    weights: Weights = {"readout.weight": cin.fc.weight, "readout.bias": cin.fc.bias}
    for layer, conv in enumerate(cin.conv_layers):
        filters = conv.weight[:, :, 0].unflatten(1, (len(SIZES), -1)).transpose(1, 2)
        if cin.split_half and layer < len(cin.conv_layers) - 1:
            filters = filters.roll(len(filters) // 2, dims=0)
        weights[f"interaction.filters.{layer}"] = filters
    vectors = [model.embedding.embed_dict[f"f{i}"].weight for i in range(len(SIZES))]
    return weights | {"embedding.table.weight": table(vectors, None, None)}


# --- the comparison --------------------------------------------------------------------------------------------------


def cases() -> list[Case]:
    """All that is compared."""
    deepctr_name = f"deepctr-torch {version('deepctr-torch')}"
    rechub_name = f"torch-rechub {version('torch-rechub')}"
    dnn = {"dnn_hidden": HIDDEN}
    per_token = "its first-order term is linear in the embeddings"
    found = [
        Case(
            "FM", deepctr_name, "DeepFM with no hidden layers", "fm", {}, NUMBERS,
            deepctr("DeepFM", dnn_hidden_units=(), numbers=NUMBERS), deepctr_logits,
            lambda model: deepctr_first_order(model, NUMBERS),
        ),
        Case(
            "FM", rechub_name, f"layers LR and FM; {per_token}", "fm", {}, 0,
            rechub_layers("FM"), rechub_fm_logits, rechub_fm_weights,
        ),
        Case(
            "FM as DeepFM", deepctr_name, "ours without hidden layers, too", "deepfm", {"dnn_hidden": ()}, NUMBERS,
            deepctr("DeepFM", dnn_hidden_units=(), numbers=NUMBERS), deepctr_logits,
            lambda model: deepctr_first_order(model, NUMBERS),
        ),
        Case(
            "DeepFM", deepctr_name, "", "deepfm", dnn, NUMBERS,
            deepctr("DeepFM", dnn_hidden_units=HIDDEN, numbers=NUMBERS), deepctr_logits,
            lambda model: deepctr_first_order(model, NUMBERS) | deepctr_network(model, NUMBERS),
        ),
        Case(
            "DeepFM", rechub_name, f"batch normalisation; {per_token}", "deepfm", dnn | {"dnn_norm": "batch"}, NUMBERS,
            rechub_deepfm, rechub_logits, rechub_deepfm_weights,
        ),
        Case(
            "DCN", deepctr_name, "its first-order term left out", "dcn", dnn | {"num_layers": 3}, NUMBERS,
            deepctr("DCN", cross_num=3, dnn_hidden_units=HIDDEN, numbers=NUMBERS, linear=False), deepctr_logits,
            lambda model: deepctr_dcn(model, NUMBERS),
        ),
        Case(
            "DCN", rechub_name, "batch normalisation", "dcn", dnn | {"num_layers": 3, "dnn_norm": "batch"}, NUMBERS,
            rechub_dcn, rechub_logits, rechub_dcn_weights,
        ),
    ]  # fmt: skip
    for split in (True, False):
        halves = "split_half" if split else "no split_half"
        found += [
            Case(
                "xDeepFM", deepctr_name, f"{halves}; filters without bias, no activation", "xdeepfm",
                dnn | {"cin_widths": CIN, "split_half": split}, NUMBERS,
                deepctr("xDeepFM", cin_layer_size=CIN, cin_split_half=split, cin_activation="linear",
                        dnn_hidden_units=HIDDEN, numbers=NUMBERS), deepctr_logits,
                lambda model: deepctr_xdeepfm(model, NUMBERS), "cin.conv1ds.*.bias",
            ),
            Case(
                "CIN", rechub_name, f"{halves}; filters without bias, ReLU taken out", "cin",
                {"cin_widths": CIN, "split_half": split}, 0,
                rechub_layers("CIN", len(SIZES), CIN, split), rechub_cin_logits, rechub_cin_weights,
                "interaction.conv_layers.*.bias",
            ),
        ]  # fmt: skip
    return found


def compare(case: Case, rows: int, dtype: torch.dtype) -> tuple[float, float]:
    """The largest difference between logits, and between gradients as shares (see `GRADIENTS`)."""
    torch.manual_seed(0)
    peer = case.build().to(dtype)
    ours = make_ours(case).to(dtype)
    parameters = draw(peer, case.silenced)
    # Drawn in float32 for both: torch-rechub rounds numbers to it.
    ids = torch.stack([torch.randint(size, (rows,)) for size in SIZES], dim=1)
    numbers = torch.randn(rows, case.numbers).to(dtype)
    label = torch.randint(2, (rows,)).to(dtype)
    batch = Batch(categorical=ids + FIRST_TOKEN, numeric=numbers)

    logit_difference = gradient_difference = 0.0
    for training in (True, False):
        peer.train(training)
        ours.train(training)
        weights = case.translate(peer)
        missing = {name for name, _ in ours.named_parameters()} - weights.keys()
        if missing:
            raise AssertionError(f"{case.name}: no weight of {case.peer} stands for {sorted(missing)}")
        mine = functional_call(ours, weights, (batch,), strict=False)
        theirs = case.logits(peer, ids, numbers)
        logit_difference = max(logit_difference, float((mine - theirs).detach().abs().max()))
        gradients = [
            torch.autograd.grad(F.binary_cross_entropy_with_logits(logits, label), parameters, materialize_grads=True)
            for logits in (mine, theirs)
        ]
        largest = [float(gradient.abs().max()) for gradient in gradients[1]]
        for mine_of, theirs_of, own in zip(*gradients, largest, strict=True):
            scale = max(own, NOISE * max(largest))
            gradient_difference = max(gradient_difference, float((mine_of - theirs_of).abs().max()) / scale)
    return logit_difference, gradient_difference


def make_ours(case: Case) -> CTRModel:
    """Our model of a case, over four fields of tokens and its fields of numbers."""
    tokens = [FieldLayout(f"f{i}", "categorical", FIRST_TOKEN + size) for i, size in enumerate(SIZES)]
    numbers = [FieldLayout(f"x{i}", "numeric", 2) for i in range(case.numbers)]
    return build(case.ours, Layout((*tokens, *numbers)), {"embedding_dim": DIM + case.numbers, **case.settings})


@torch.no_grad()
def draw(peer: nn.Module, silenced: str | None) -> list[Tensor]:
    """Draw the peer's weights and statistics anew; the parameters whose gradients are compared."""
    compared: list[Tensor] = []
    before, _, after = (silenced or "\0").partition("*")
    for name, parameter in peer.named_parameters():
        if name.startswith(before) and name.endswith(after):
            parameter.zero_()
            continue
        parameter.normal_(std=0.3)
        compared.append(parameter)
    for module in peer.modules():
        if isinstance(module, nn.BatchNorm1d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return compared


def main() -> int:
    """Compare every case in both precisions; 1 where one disagrees, else 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=512)
    options = parser.parse_args()
    names = ("model", "peer", "compared", "rows", "logits, float32", "float64", "gradients, float32", "float64", "")
    print(markdown_table(names, ()))
    disagreements = 0
    for case in cases():
        figures = {dtype: compare(case, options.rows, dtype) for dtype in LOGITS}
        agrees = all(
            logits <= LOGITS[dtype] and gradients <= GRADIENTS[dtype] for dtype, (logits, gradients) in figures.items()
        )
        disagreements += not agrees
        shown = [f"{figures[dtype][which]:.1e}" for which in (0, 1) for dtype in LOGITS]
        verdict = "agrees" if agrees else "**differs**"
        cells = [case.name, case.peer, case.note, f"{options.rows:,}", *shown, verdict]
        print(markdown_row(cells), flush=True)
    return 1 if disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
