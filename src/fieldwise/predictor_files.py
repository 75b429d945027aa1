"""The files of a predictor: written under a temporary name and renamed, read back strictly."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.ipc
from pydantic import BaseModel, ConfigDict, ValidationError

from fieldwise._version import __version__
from fieldwise.card import Card
from fieldwise.encoding.encoder import Encoder, EncoderState
from fieldwise.errors import FieldwiseError, PredictorFormatError
from fieldwise.models import registry
from fieldwise.models.base import CTRModel
from fieldwise.schema import Schema
from fieldwise.settings import Settings

FORMAT = "fieldwise predictor"
FORMAT_VERSION = 1

MANIFEST = "manifest.json"
SCHEMA = "schema.json"
ENCODER = "encoder.json"
VOCABULARIES = "vocabularies.arrow"
SETTINGS = "settings.json"
WEIGHTS = "weights.safetensors"
CARD = "card.json"
FILES = (SCHEMA, ENCODER, VOCABULARIES, SETTINGS, WEIGHTS, CARD)

Model = TypeVar("Model", bound=BaseModel)


class _FileRecord(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int
    sha256: str


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    format: str
    format_version: int
    fieldwise: str
    files: dict[str, _FileRecord]


def write_predictor(
    path: Path, encoder: Encoder, model: CTRModel, settings: Settings, card: Card, *, overwrite: bool
) -> Path:
    """Write all files into a new directory beside `path`, then rename it to `path`.

    Raises PredictorFormatError where `path` exists and `overwrite` is False, or where writing fails; nothing is
    then left behind, and what stood at `path` still stands there.
    """
    from safetensors.torch import save_file

    require_free(path, overwrite=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        work.chmod(0o755)  # mkdtemp hides its directories from everybody else
        state, vocabularies = encoder.state()
        (work / SCHEMA).write_text(encoder.schema.to_json(), encoding="utf-8")
        (work / ENCODER).write_text(state.model_dump_json(indent=2), encoding="utf-8")
        (work / SETTINGS).write_text(settings.model_dump_json(indent=2), encoding="utf-8")
        (work / CARD).write_text(card.model_dump_json(indent=2), encoding="utf-8")
        with pa.ipc.new_file(str(work / VOCABULARIES), vocabularies.schema) as writer:
            writer.write_table(vocabularies)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
        save_file(weights, work / WEIGHTS)
        manifest = _Manifest(
            format=FORMAT,
            format_version=FORMAT_VERSION,
            fieldwise=__version__,
            files={name: _record(work / name) for name in FILES},
        )
        (work / MANIFEST).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")
        for name in (*FILES, MANIFEST):
            _flush(work / name)
        _replace(work, path)
    except OSError as error:
        raise PredictorFormatError(f"cannot save to {path}: {error.strerror or error}; nothing was written") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return path


def require_free(path: Path, *, overwrite: bool) -> None:
    """Refuse to write over something. Raises PredictorFormatError."""
    if not path.exists():
        return
    if not overwrite:
        raise PredictorFormatError(f"{path} exists already; choose another name, or replace it with --overwrite")
    if not (path / MANIFEST).is_file():
        raise PredictorFormatError(f"{path} exists and is no predictor; it is not overwritten")


def read_predictor(path: Path) -> tuple[Encoder, CTRModel, Settings, Card]:
    """Read the parts of a predictor. Raises PredictorFormatError, naming the file, where one is not as written."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_dir():
        raise PredictorFormatError(f"{path}: there is no such directory")
    manifest = _read_json(path / MANIFEST, _Manifest)
    if manifest.format != FORMAT:
        raise PredictorFormatError(f"{path / MANIFEST}: this is not a {FORMAT}")
    if manifest.format_version > FORMAT_VERSION:
        raise PredictorFormatError(
            f"{path} has format version {manifest.format_version}, written by fieldwise {manifest.fieldwise}; this "
            f"is fieldwise {__version__}, which reads up to version {FORMAT_VERSION}. Install a newer fieldwise"
        )
    for name in FILES:
        expected = manifest.files.get(name)
        if expected is None or not (path / name).is_file():
            raise PredictorFormatError(f"{path}: {name} is missing")
        if _record(path / name) != expected:
            raise PredictorFormatError(f"{path / name} is not as it was written (size or SHA-256 differs)")
    schema = _read_json(path / SCHEMA, Schema)
    settings = _read_json(path / SETTINGS, Settings)
    card = _read_json(path / CARD, Card)
    try:
        with pa.memory_map(str(path / VOCABULARIES)) as file:
            vocabularies = pa.ipc.open_file(file).read_all()
        encoder = Encoder.from_state(schema, _read_json(path / ENCODER, EncoderState), vocabularies)
        model = registry.build(settings.model, encoder.layout, settings.model_settings)
        model.load_state_dict(load_file(path / WEIGHTS))
    except (pa.ArrowException, SafetensorError, RuntimeError, OSError, FieldwiseError) as error:
        raise PredictorFormatError(f"{path}: {error}") from error
    return encoder, model, settings, card


def _read_json(path: Path, model: type[Model]) -> Model:
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise PredictorFormatError(f"{path.parent} is not a predictor: {path.name} is missing") from None
    except (ValidationError, FieldwiseError, OSError) as error:
        raise PredictorFormatError(f"{path}: {str(error).splitlines()[0]}") from error


def _record(path: Path) -> _FileRecord:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return _FileRecord(size=path.stat().st_size, sha256=digest)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _replace(work: Path, path: Path) -> None:
    """Rename `work` to `path`. A directory cannot be renamed over another, so an old one steps aside first."""
    if not path.exists():
        work.rename(path)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
    path.rename(aside / "old")
    try:
        work.rename(path)
    except OSError:
        (aside / "old").rename(path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
