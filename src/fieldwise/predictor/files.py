"""The files of a predictor: written under a temporary name and renamed, read back strictly.

docs/predictor-files.md says what each file holds and what is checked.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.ipc
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.overrides import TorchFunctionMode

from fieldwise._version import __version__
from fieldwise.architecture import FILE_NAME as ARCHITECTURE
from fieldwise.architecture import Architecture
from fieldwise.encoding.encoder import VOCABULARY_SCHEMA, Encoder, EncoderState
from fieldwise.errors import PredictorFormatError
from fieldwise.layout import Layout
from fieldwise.models import registry
from fieldwise.models.base import CTRModel
from fieldwise.predictor.model_card import ModelCard
from fieldwise.schema import Schema
from fieldwise.settings import Settings
from fieldwise.storage.atomic import new_directory, open_new, write_bytes, write_tensors
from fieldwise.storage.untrusted import (
    MOST_JSON,
    blaming,
    open_regular,
    parse_json,
    parse_table,
    read_tensor_order,
    read_tensors,
    require_finite,
    validate,
)

FORMAT = "fieldwise predictor"
FORMAT_VERSION = 5
"""To be raised, with an entry in `_MIGRATIONS`, whenever a file comes to hold something that older code refuses."""

MANIFEST = "manifest.json"
SCHEMA = "schema.json"
ENCODER = "encoder.json"
VOCABULARIES = "vocabularies.arrow"
SETTINGS = "settings.json"
WEIGHTS = "weights.safetensors"
CARD = "card.json"
DOCUMENTS = (SCHEMA, ENCODER, SETTINGS, CARD)
FILES = (*DOCUMENTS, VOCABULARIES, WEIGHTS)

Documents = dict[str, Any]
"""The JSON files as read, before validation: file name -> content."""


class _FileRecord(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    format: str
    format_version: int
    fieldwise: str
    files: dict[str, _FileRecord]


def write_predictor(
    path: Path, encoder: Encoder, model: CTRModel, settings: Settings, card: ModelCard, *, overwrite: bool
) -> Path:
    """Write all files into a new directory beside `path`, then rename it to `path`.

    Raises PredictorFormatError where `path` exists and `overwrite` is False, and for what could not be read back;
    StorageError where it cannot be written. Nothing is then left behind, and what stood at `path` still stands there.
    """
    require_free(path, overwrite=overwrite)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    require_finite(weights)
    with new_directory(path, replace=overwrite) as work:
        _write_files(work, encoder, weights, settings, card)
        require_free(path, overwrite=overwrite)  # again, for another writer may have been quicker
    return path


def require_free(path: Path, *, overwrite: bool) -> None:
    """Refuse to write over something. Raises PredictorFormatError."""
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise PredictorFormatError(f"{path} exists already; choose another name, or replace it with --overwrite")
    if not (path / MANIFEST).is_file():
        raise PredictorFormatError(f"{path} exists and is no predictor; it is not overwritten")


def read_predictor(path: Path) -> tuple[Encoder, CTRModel, Settings, ModelCard]:
    """Read the parts of a predictor, of this format version or an older one.

    Raises PredictorFormatError, naming the file, for whatever is not as written, and no other error; nothing in the
    files is run, and memory is taken for what they hold, not for what they say.
    """
    with blaming(path):
        if not path.is_dir():
            raise PredictorFormatError("there is no such directory")
    with blaming(path / MANIFEST):
        manifest = _read_manifest(path / MANIFEST)
    documents: Documents = {}
    for name in DOCUMENTS:
        with blaming(path / name):
            documents[name] = parse_json(_read_whole(path / name, manifest.files[name]))
    with blaming(path):
        for version in range(manifest.format_version, FORMAT_VERSION):
            _MIGRATIONS[version](documents)
    with blaming(path / SCHEMA):
        schema = validate(Schema, documents[SCHEMA])
    with blaming(path / CARD):
        card = validate(ModelCard, documents[CARD])
    with blaming(path / ENCODER):
        state = validate(EncoderState, documents[ENCODER])
    with blaming(path / VOCABULARIES):
        content = _read_whole(path / VOCABULARIES, manifest.files[VOCABULARIES])
        vocabularies = parse_table(content, VOCABULARY_SCHEMA)
    with blaming(path):
        encoder = Encoder.from_state(schema, state, vocabularies)
    with blaming(path / SETTINGS):
        settings = validate(Settings, documents[SETTINGS])
        with torch.device("meta"), _WithoutDrawing():
            sketch = _build(settings, encoder.layout)
    with blaming(path / WEIGHTS):
        model = _read_model(path / WEIGHTS, manifest.files[WEIGHTS], settings, sketch)
    return encoder, model, settings, card


def _from_1(documents: Documents) -> None:
    """Version 1 did not record the environment."""
    _add(documents[CARD], "environment", {"device": None, "threads": None})


def _from_2(documents: Documents) -> None:
    """Version 2 knew one way to carry out a step: the reference."""
    training = documents[SETTINGS].get("training")
    if isinstance(training, dict):  # else it is refused in its turn
        reference = {"precision": "float32", "embedding_optimizer": "adam", "allocator": "system"}
        for name, value in {**reference, "micro_batch": training.get("batch_size")}.items():
            _add(training, name, value)


def _from_3(documents: Documents) -> None:
    """Version 3 knew no kernels but torch's."""
    training = documents[SETTINGS].get("training")
    if isinstance(training, dict):
        _add(training, "kernels", "torch")


def _from_4(documents: Documents) -> None:
    """Version 4 knew no model that searches."""
    _add(documents[SETTINGS], "search", None)


def _add(document: dict[str, Any], key: str, value: Any) -> None:
    # What is there already would be lost without a word where only the manifest's version number is damaged.
    if key in document:
        raise PredictorFormatError(f"'{key}' did not exist in the format version that the manifest names")
    document[key] = value


_MIGRATIONS: dict[int, Callable[[Documents], None]] = {1: _from_1, 2: _from_2, 3: _from_3, 4: _from_4}
"""Format version -> what turns the documents of that version, in place, into those of the next one."""


def _read_manifest(path: Path) -> _Manifest:
    with open_regular(path) as file:
        if file.size > MOST_JSON:
            raise PredictorFormatError(f"a manifest cannot have {file.size:,} bytes")
        data = parse_json(file.read(file.size))
    # Format and version come first: in a newer version the rest may look different.
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise PredictorFormatError(f"this is not the manifest of a {FORMAT}")
    version = data.get("format_version")
    if type(version) is not int or version < min(_MIGRATIONS):
        raise PredictorFormatError(f"there is no format version {version!r:.20}")
    if version > FORMAT_VERSION:
        raise PredictorFormatError(
            f"format version {version}, written by fieldwise {data.get('fieldwise')!s:.20}; this is fieldwise "
            f"{__version__}, which reads up to version {FORMAT_VERSION}. Install a newer fieldwise"
        )
    manifest = validate(_Manifest, data)
    for name in sorted(manifest.files.keys() ^ set(FILES)):
        raise PredictorFormatError(f"'{name}' is {'not listed' if name in FILES else 'no file of a predictor'}")
    for name in DOCUMENTS:
        if manifest.files[name].size > MOST_JSON:
            raise PredictorFormatError(f"'{name}' has {manifest.files[name].size:,} bytes; {MOST_JSON:,} are read")
    return manifest


def _read_whole(path: Path, record: _FileRecord) -> bytearray:
    """The content of a file, once its size and hash are found to be the recorded ones."""
    with open_regular(path, hashed=True) as file:
        _require_size(file.size, record)
        content = file.read(file.size)
        file.require(record.sha256)
    return content


def _require_size(size: int, record: _FileRecord) -> None:
    if size != record.size:
        raise PredictorFormatError(f"it is not as it was written: {size:,} bytes instead of {record.size:,}")


class _WithoutDrawing(TorchFunctionMode):
    """Leaves out random numbers on the meta device, which holds none: torch would load its compiler to draw them."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call `func`, unless it is the one that `torch.nn.init` has no quick form of."""
        if func is torch.nn.init.normal_:
            return (kwargs or {}).get("tensor", args[0] if args else None)
        return func(*args, **(kwargs or {}))


def _build(settings: Settings, layout: Layout) -> CTRModel:
    return registry.build(settings.model, layout, settings.model_settings)


def _read_model(path: Path, record: _FileRecord, settings: Settings, sketch: CTRModel) -> CTRModel:
    """The model with its weights, which are read straight to where they belong.

    sketch: the same model on the meta device, which takes no memory: the real one is built only when the file
        is known to have as many bytes as its tensors.
    """
    with open_regular(path, hashed=True) as file:
        _require_size(file.size, record)
        order = read_tensor_order(file, sketch.state_dict())
        with torch.device("cpu"), torch.random.fork_rng(devices=[]):
            model = _build(settings, sketch.layout)
        weights = model.state_dict()
        read_tensors(file, weights, order)
        file.require(record.sha256)
    require_finite(weights)
    return model


def _write_files(work: Path, encoder: Encoder, weights: dict[str, Tensor], settings: Settings, card: ModelCard) -> None:
    state, vocabularies = encoder.state()
    if settings.model_settings.get("architecture") is not None:
        # For people and for other models; what is read back is the one among the settings.
        architecture = Architecture.model_validate(settings.model_settings["architecture"])
        _write_json(work / ARCHITECTURE, architecture.to_json())
    _write_json(work / SCHEMA, encoder.schema.to_json())
    _write_json(work / ENCODER, state.model_dump_json(indent=2))
    _write_json(work / SETTINGS, settings.model_dump_json(indent=2))
    _write_json(work / CARD, card.model_dump_json(indent=2))
    with open_new(work / VOCABULARIES) as file, pa.ipc.new_file(file, vocabularies.schema) as writer:
        writer.write_table(vocabularies)
    write_tensors(work / WEIGHTS, weights)
    manifest = _Manifest(
        format=FORMAT,
        format_version=FORMAT_VERSION,
        fieldwise=__version__,
        files={name: _record(work / name) for name in FILES},
    )
    _write_json(work / MANIFEST, manifest.model_dump_json(indent=2))


def _write_json(path: Path, text: str) -> None:
    data = text.encode("utf-8")
    if len(data) > MOST_JSON:
        raise PredictorFormatError(f"cannot save: {path.name} would have {len(data):,} bytes, {MOST_JSON:,} are read")
    write_bytes(path, data)


def _record(path: Path) -> _FileRecord:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return _FileRecord(size=path.stat().st_size, sha256=digest)
