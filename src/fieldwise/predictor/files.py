"""The files of a predictor: written under a temporary name and renamed, read back strictly.

docs/predictor-files.md says what each file holds and what is checked.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.ipc
import torch
from pydantic import BaseModel, ConfigDict, Field

from fieldwise._version import __version__
from fieldwise.architecture import FILE_NAME as ARCHITECTURE
from fieldwise.architecture import Architecture
from fieldwise.encoding.combinations import CELLS_SCHEMA
from fieldwise.encoding.encoder import Encoder, EncoderState
from fieldwise.encoding.vocabulary_table import VOCABULARY_SCHEMA
from fieldwise.errors import PredictorFormatError
from fieldwise.models import registry
from fieldwise.models.base import CTRModel
from fieldwise.objectives import AnyObjective
from fieldwise.predictor.migrations import FORMAT_VERSION, MIGRATIONS, Documents, migrate
from fieldwise.predictor.model_card import ModelCard
from fieldwise.recipes import boosting
from fieldwise.recipes.boosting import FittedTrees, TreesState
from fieldwise.recipes.fitted import FittedModel
from fieldwise.recipes.network import FittedNetwork
from fieldwise.schema import Schema
from fieldwise.settings import Settings
from fieldwise.storage.atomic import new_directory, open_new, write_bytes, write_tensors
from fieldwise.storage.places import MANIFEST, is_predictor
from fieldwise.storage.replacing import read_standing, standing
from fieldwise.storage.tensors import read_tensor_order, read_tensors, require_finite
from fieldwise.storage.untrusted import (
    MOST_JSON,
    CheckedFile,
    blaming,
    open_regular,
    parse_json,
    parse_table,
    validate,
)
from fieldwise.wording import argument

FORMAT = "fieldwise predictor"
SCHEMA = "schema.json"
ENCODER = "encoder.json"
VOCABULARIES = "vocabularies.arrow"
COMBINATIONS = "combinations.arrow"
ENCODED_TOKENS = "encoded_tokens.arrow"
SETTINGS = "settings.json"
WEIGHTS = "weights.safetensors"
CARD = "card.json"
OBJECTIVE = "objective.json"
TREES = "trees.json"
TREES_DATA = "trees.bin"

Kind = Literal["network", "trees"]
DOCUMENTS: Mapping[Kind, tuple[str, ...]] = {
    "network": (SCHEMA, OBJECTIVE, ENCODER, SETTINGS, CARD),
    "trees": (SCHEMA, OBJECTIVE, TREES, SETTINGS, CARD),
}
"""The JSON files of each kind of model."""
FILES: Mapping[Kind, tuple[str, ...]] = {
    "network": (*DOCUMENTS["network"], VOCABULARIES, COMBINATIONS, WEIGHTS),
    "trees": (*DOCUMENTS["trees"], VOCABULARIES, TREES_DATA),
}
"""All that a manifest lists."""
FIRST_VERSIONS: Mapping[str, int] = {OBJECTIVE: 6, COMBINATIONS: 7}
"""The format version that came with a file; all others were always there."""
STATISTICS = (ENCODER, ENCODED_TOKENS, COMBINATIONS)
"""What trees that read statistics of combinations have beside `FILES`."""


class _FileRecord(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Objective(BaseModel):
    model_config = ConfigDict(extra="forbid")
    objective: AnyObjective


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    format: str
    format_version: int
    fieldwise: str
    kind: Kind = "network"
    files: dict[str, _FileRecord]


def write_predictor(path: Path, model: FittedModel, settings: Settings, card: ModelCard, *, overwrite: bool) -> Path:
    """Write all files into a new directory beside `path`, then rename it to `path`.

    Args:
        path: of the predictor's directory.
        model: what was fitted.
        settings: all of its run.
        card: how it was made.
        overwrite: replace the predictor that is there.

    Returns:
        The path.

    Raises:
        PredictorFormatError: `path` exists and `overwrite` is False, or something could not be read back.
        StorageError: it cannot be written. Nothing is then left behind, and what stood at `path` still stands there.
    """
    require_free(path, overwrite=overwrite)
    with new_directory(path, replace=overwrite) as work:
        _write_files(work, model, settings, card)
        require_free(path, overwrite=overwrite)  # again, for another writer may have been quicker
    return path


def require_free(path: Path, *, overwrite: bool) -> None:
    """Refuse to write over something.

    Args:
        path: of a predictor to be.
        overwrite: whether one that is there may be replaced.

    Raises:
        PredictorFormatError: something is there that may not.
    """
    if not os.path.lexists(standing(path)):
        return
    if not overwrite:
        raise PredictorFormatError(
            f"{path} exists already; choose another name, or replace it with {argument('overwrite', True)}"
        )
    if not is_predictor(path):
        raise PredictorFormatError(f"{path} exists and is no predictor; it is not overwritten")


def read_predictor(path: Path) -> tuple[FittedModel, Settings, ModelCard]:
    """Read the parts of a predictor, of this format version or an older one.

    Nothing in the files is run, and memory is taken for what they hold, not for what they say. A directory that is
    replaced meanwhile is read as it was or as it is, as a whole.

    Args:
        path: of the predictor's directory.

    Returns:
        The model, its settings and its card.

    Raises:
        PredictorFormatError: something is not as written; the message names the file. No other error comes out but
        SettingsError: the library that made boosted trees is not installed.
    """
    return read_standing(path, _read)


def _read(path: Path) -> tuple[FittedModel, Settings, ModelCard]:
    with blaming(path):
        if not path.is_dir():
            raise PredictorFormatError("there is no such directory")
    with blaming(path / MANIFEST):
        manifest = _read_manifest(path / MANIFEST)
    with ExitStack() as opened:
        files: dict[str, CheckedFile] = {}
        # All at once: what is open stays readable, also where the directory is replaced by another.
        for name in manifest.files:
            with blaming(path / name):
                files[name] = opened.enter_context(open_regular(path / name, hashed=True))
        return _read_files(path, manifest, files)


def _read_files(
    path: Path, manifest: _Manifest, files: Mapping[str, CheckedFile]
) -> tuple[FittedModel, Settings, ModelCard]:
    documents: Documents = {}
    for name in dict.fromkeys((*DOCUMENTS[manifest.kind], ENCODER)):
        if name in manifest.files:
            with blaming(path / name):
                documents[name] = parse_json(_read_whole(files[name], manifest.files[name]))
    with blaming(path):
        migrate(documents, manifest.format_version)
    with blaming(path / SCHEMA):
        schema = validate(Schema, documents[SCHEMA])
    with blaming(path / OBJECTIVE):
        objective = validate(_Objective, {"objective": documents[OBJECTIVE]}).objective
    with blaming(path / CARD):
        card = validate(ModelCard, documents[CARD])
        card.require_counts(embeddings=manifest.kind == "network")
    with blaming(path / SETTINGS):
        settings = validate(Settings, documents[SETTINGS])

    def table_of(name: str, columns: pa.Schema) -> pa.Table:
        with blaming(path / name):
            return parse_table(_read_whole(files[name], manifest.files[name]), columns)

    vocabularies = table_of(VOCABULARIES, VOCABULARY_SCHEMA)
    encoder = None
    if ENCODER in documents:
        tokens = vocabularies if manifest.kind == "network" else table_of(ENCODED_TOKENS, VOCABULARY_SCHEMA)
        cells = table_of(COMBINATIONS, CELLS_SCHEMA) if COMBINATIONS in files else None
        with blaming(path / ENCODER):
            state = validate(EncoderState, documents[ENCODER])
        with blaming(path):
            encoder = Encoder.from_state(schema, state, tokens, cells)
    if manifest.kind == "trees":
        with blaming(path / TREES):
            trees = validate(TreesState, documents[TREES])
        with blaming(path / TREES_DATA):
            data = _read_whole(files[TREES_DATA], manifest.files[TREES_DATA])
        boosting.require(trees.name)
        with blaming(path):
            fitted = FittedTrees.from_state(schema, objective, trees, vocabularies, bytes(data), encoder)
            return fitted, settings, card
    assert encoder is not None
    with blaming(path / SETTINGS):
        registry.require_registered(settings.model)
        sketch = registry.sketch(settings.model, encoder.layout, settings.model_settings)
    with blaming(path / WEIGHTS):
        network = _read_network(files[WEIGHTS], manifest.files[WEIGHTS], settings, sketch)
    return FittedNetwork(encoder, network.eval(), objective), settings, card


def _read_manifest(path: Path) -> _Manifest:
    with open_regular(path) as file:
        if file.size > MOST_JSON:
            raise PredictorFormatError(f"a manifest cannot have {file.size:,} bytes")
        data = parse_json(file.read(file.size))
    # Format and version come first: in a newer version the rest may look different.
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise PredictorFormatError(f"this is not the manifest of a {FORMAT}")
    version = data.get("format_version")
    if type(version) is not int or version < min(MIGRATIONS):
        raise PredictorFormatError(f"there is no format version {version!r:.20}")
    if version > FORMAT_VERSION:
        raise PredictorFormatError(
            f"format version {version}, written by fieldwise {data.get('fieldwise')!s:.20}; this is fieldwise "
            f"{__version__}, which reads up to version {FORMAT_VERSION}. Install a newer fieldwise"
        )
    manifest = validate(_Manifest, data)
    files = set(FILES[manifest.kind]) - {name for name, first in FIRST_VERSIONS.items() if version < first}
    if (
        manifest.kind == "trees"
        and version >= FIRST_VERSIONS[COMBINATIONS]
        and not manifest.files.keys().isdisjoint(STATISTICS)
    ):
        files |= set(STATISTICS)
    for name in sorted(manifest.files.keys() ^ files):
        raise PredictorFormatError(f"'{name}' is {'not listed' if name in files else 'no file of a predictor'}")
    for name in files.intersection((*DOCUMENTS[manifest.kind], ENCODER)):
        if manifest.files[name].size > MOST_JSON:
            raise PredictorFormatError(f"'{name}' has {manifest.files[name].size:,} bytes; {MOST_JSON:,} are read")
    return manifest


def _read_whole(file: CheckedFile, record: _FileRecord) -> bytearray:
    """The content of a file, once its size and hash are found to be the recorded ones."""
    _require_size(file.size, record)
    content = file.read(file.size)
    file.require(record.sha256)
    return content


def _require_size(size: int, record: _FileRecord) -> None:
    if size != record.size:
        raise PredictorFormatError(f"it is not as it was written: {size:,} bytes instead of {record.size:,}")


def _read_network(file: CheckedFile, record: _FileRecord, settings: Settings, sketch: CTRModel) -> CTRModel:
    """The model with its weights, which are read straight to where they belong.

    sketch: the same model without weights, which takes no memory: the real one is built only when the file
        is known to have as many bytes as its tensors.
    """
    _require_size(file.size, record)
    order = read_tensor_order(file, sketch.state_dict())
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        model = registry.build(settings.model, sketch.layout, settings.model_settings)
    weights = model.state_dict()
    read_tensors(file, weights, order)
    file.require(record.sha256)
    require_finite(weights)
    return model


def _write_files(work: Path, model: FittedModel, settings: Settings, card: ModelCard) -> None:
    _write_json(work / SCHEMA, model.schema.to_json())
    _write_json(work / OBJECTIVE, model.objective.model_dump_json(indent=2))
    _write_json(work / SETTINGS, settings.model_dump_json(indent=2))
    _write_json(work / CARD, card.model_dump_json(indent=2))
    kind: Kind
    more: tuple[str, ...] = ()
    match model:
        case FittedNetwork():
            kind, vocabularies = "network", _write_network(work, model, settings)
        case FittedTrees():
            state, vocabularies, data = model.state()
            kind = "trees"
            _write_json(work / TREES, state.model_dump_json(indent=2))
            write_bytes(work / TREES_DATA, data)
            if model.encoder is not None:
                _write_table(work / ENCODED_TOKENS, _write_encoder(work, model.encoder))
                more = STATISTICS
        case _:
            raise PredictorFormatError(f"a {type(model).__name__} has no form on disk")
    _write_table(work / VOCABULARIES, vocabularies)
    manifest = _Manifest(
        format=FORMAT,
        format_version=FORMAT_VERSION,
        fieldwise=__version__,
        kind=kind,
        files={name: _record(work / name) for name in (*FILES[kind], *more)},
    )
    _write_json(work / MANIFEST, manifest.model_dump_json(indent=2))


def _write_network(work: Path, model: FittedNetwork, settings: Settings) -> pa.Table:
    """Write what a network consists of, but for the vocabularies, which are returned."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.network.state_dict().items()}
    require_finite(weights)
    if settings.model_settings.get("architecture") is not None:
        # For people and for other models; what is read back is the one among the settings.
        architecture = Architecture.model_validate(settings.model_settings["architecture"])
        _write_json(work / ARCHITECTURE, architecture.to_json())
    write_tensors(work / WEIGHTS, weights)
    return _write_encoder(work, model.encoder)


def _write_encoder(work: Path, encoder: Encoder) -> pa.Table:
    """Write an encoder, but for its vocabularies, which are returned."""
    state, vocabularies, cells = encoder.state()
    _write_json(work / ENCODER, state.model_dump_json(indent=2))
    _write_table(work / COMBINATIONS, cells)
    return vocabularies


def _write_table(path: Path, table: pa.Table) -> None:
    with open_new(path) as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _write_json(path: Path, text: str) -> None:
    data = text.encode("utf-8")
    if len(data) > MOST_JSON:
        raise PredictorFormatError(f"cannot save: {path.name} would have {len(data):,} bytes, {MOST_JSON:,} are read")
    write_bytes(path, data)


def _record(path: Path) -> _FileRecord:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return _FileRecord(size=path.stat().st_size, sha256=digest)
