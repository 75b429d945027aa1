"""The files of a predictor: older versions load, damage is refused by name, saving is all or nothing."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

import fieldwise as fw
from fieldwise.data.dataset import Dataset
from fieldwise.environment import Environment
from fieldwise.errors import PredictorFormatError, StorageError
from fieldwise.models import registry
from fieldwise.predictor import files as predictor_files
from fieldwise.predictor.files import (
    CARD,
    ENCODER,
    MANIFEST,
    SCHEMA,
    SETTINGS,
    VOCABULARIES,
    WEIGHTS,
)
from fieldwise.predictor.migrations import FORMAT_VERSION, MIGRATIONS
from fieldwise.storage import replacing
from fieldwise.storage import untrusted as strict_files
from fieldwise.storage.tensors import read_tensors
from fieldwise.training.evaluation import predict_logits

FILES = predictor_files.FILES["network"]
VERSION_1 = Path(__file__).parent.parent / "fixtures" / "predictor-v1"
EXPECTED = json.loads((VERSION_1 / "expected.json").read_text(encoding="utf-8"))


def _load_fuzzing() -> ModuleType:
    # The tests are no package, so a helper that two of them share is loaded by its path.
    spec = importlib.util.spec_from_file_location("fuzzing", Path(__file__).parent.parent / "fuzzing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzzing"] = module
    spec.loader.exec_module(module)
    return module


fuzzing = _load_fuzzing()


@pytest.fixture(scope="module")
def predictor() -> fw.Predictor:
    """A network on every kind of field, with a vocabulary of some kilobytes and weights larger than that."""
    rng = np.random.default_rng(0)
    rows = 600
    table = {
        "click": rng.integers(0, 2, rows).tolist(),
        "user": [f"user-{i:010d}" for i in rng.permutation(rows)],
        "price": rng.random(rows).tolist(),
        "age": rng.integers(18, 70, rows).tolist(),
        "tags": rng.choice(["a", "a|b", "b|c", ""], rows).tolist(),
    }
    schema = fw.Schema(
        label="click",
        fields={
            "user": fw.Categorical(min_count=1),
            "price": fw.Numeric(),
            "age": fw.Numeric(buckets=4),
            "tags": fw.MultiValued(separator="|"),
        },
    )
    small = {"epochs": 1, "embedding_dim": 16, "num_layers": 1, "attention_dim": 8, "dnn_hidden": [4]}
    return fw.train(table, schema=schema, model="autoint+", settings=small, progress=False)


ROWS = [
    {"user": "user-0000000003", "price": 0.5, "age": 33, "tags": "a|c"},
    {"user": None, "price": None, "age": None, "tags": None},
]


@pytest.fixture
def saved(predictor: fw.Predictor, tmp_path: Path) -> Path:
    return predictor.save(tmp_path / "model")


def change(directory: Path, name: str, content: bytes, *, consistent: bool = True) -> None:
    """Put another content into a file; consistent: with a manifest that says so."""
    files = fuzzing.read_files(directory)
    files[name] = content
    if consistent:
        fuzzing.remake_manifest(files)
    fuzzing.write_files(directory, files)


def edit(directory: Path, name: str, edit_data: Callable[[Any], object]) -> None:
    """Change the data of a JSON file, and the manifest with it."""
    data = json.loads((directory / name).read_bytes())
    edit_data(data)
    change(directory, name, json.dumps(data).encode(), consistent=name != MANIFEST)


def refused(directory: Path, message: str) -> None:
    with pytest.raises(PredictorFormatError) as caught:
        fw.load(directory)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(directory))


# Versions


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION))
def test_older_versions_load_with_the_same_predictions(tmp_path: Path, version: int) -> None:
    directory = VERSION_1.with_name(f"predictor-v{version}") / "predictor"
    assert json.loads((directory / MANIFEST).read_bytes())["format_version"] == version
    old = fw.load(directory)
    logits = predict_logits(
        old.model.network, Dataset(old.model.encoder.layout, old.model.encoder.encode_rows(EXPECTED["rows"]))
    )
    # The fixture's weights are multiples of 1/256, so that its logits are the same in whatever order they are summed.
    np.testing.assert_array_equal(logits, np.array(EXPECTED["logits"], dtype=np.float32))
    probabilities = old.predict_rows(EXPECTED["rows"])
    np.testing.assert_allclose(probabilities, EXPECTED["probabilities"], rtol=1e-15)  # exp may differ in its last bit
    assert old.card.environment == Environment(device=None, threads=None)
    training = old.settings.training
    assert (training.precision, training.embedding_optimizer, training.kernels) == ("float32", "adam", "torch")
    assert training.micro_batch == training.batch_size == 64
    new = old.save(tmp_path / "new")
    assert json.loads((new / MANIFEST).read_bytes())["format_version"] == FORMAT_VERSION
    np.testing.assert_array_equal(fw.load(new).predict_rows(EXPECTED["rows"]), probabilities)


def test_every_older_version_has_a_migration() -> None:
    assert sorted(MIGRATIONS) == list(range(1, FORMAT_VERSION))


def test_a_version_lower_than_the_files_is_refused(saved: Path) -> None:
    # Otherwise a migration would replace what the files hold.
    edit(saved, MANIFEST, lambda m: m.update(format_version=1))
    refused(saved, "'combinations.arrow' is no file of a predictor")
    version_5 = VERSION_1.with_name("predictor-v5") / "predictor"
    for path in saved.iterdir():
        path.unlink()
    fuzzing.write_files(saved, fuzzing.read_files(version_5))
    edit(saved, MANIFEST, lambda m: m.update(format_version=1))
    refused(saved, "'environment' did not exist in the format version that the manifest names")


def test_a_newer_version_is_refused_whatever_else_it_holds(saved: Path) -> None:
    edit(saved, MANIFEST, lambda m: m.update(format_version=FORMAT_VERSION + 1, fieldwise="9.1", files=[], more=1))
    refused(saved, f"format version {FORMAT_VERSION + 1}, written by fieldwise 9.1; this is fieldwise {fw.__version__}")
    refused(saved, f"reads up to version {FORMAT_VERSION}. Install a newer fieldwise")


@pytest.mark.parametrize("version", [0, -1, True, "2", 1.5, None, []])
def test_no_version(saved: Path, version: Any) -> None:
    edit(saved, MANIFEST, lambda m: m.update(format_version=version))
    refused(saved, "there is no format version")


@pytest.mark.parametrize("content", [b"{}", b"[]", b"3", b'{"format": "other"}'])
def test_another_format(saved: Path, content: bytes) -> None:
    change(saved, MANIFEST, content, consistent=False)
    refused(saved, "this is not the manifest of a fieldwise predictor")


def test_the_environment_is_recorded() -> None:
    assert Environment.current(device=torch.device("cpu")) == Environment(device="cpu", threads=torch.get_num_threads())
    assert Environment.current().device is None


# Files that are not as written


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_a_missing_file(saved: Path, name: str) -> None:
    (saved / name).unlink()
    refused(saved, f"{name} is missing")


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file(saved: Path, name: str) -> None:
    content = (saved / name).read_bytes()
    for other, message in [
        (content[:-1], "bytes instead of"),
        (content + b" ", "bytes instead of"),
        (content[:-9] + bytes([content[-9] ^ 1]) + content[-8:], "it is not as it was written (its SHA-256 differs)"),
    ]:
        change(saved, name, other, consistent=False)
        refused(saved, message)
        refused(saved, name)


@pytest.mark.skipif(sys.platform == "win32", reason="needs the right to make links")
@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_pipes_and_directories_are_no_files(saved: Path, tmp_path: Path, name: str) -> None:
    path, elsewhere = saved / name, tmp_path / "elsewhere"
    path.unlink()
    os.mkfifo(path)
    refused(saved, f"{name}: expected a regular file, not a device or a pipe")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    refused(saved, f"{name}: expected a regular file, not a link to a device or a pipe")
    path.unlink()
    path.mkdir()
    refused(saved, f"{name}: expected a regular file, not a directory")
    path.rmdir()
    path.symlink_to(tmp_path)
    refused(saved, f"{name}: expected a regular file, not a link to a directory")
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    refused(saved, f"{name}: expected a regular file, not a link that leads nowhere")
    path.unlink()
    path.symlink_to(path)
    refused(saved, f"{name}: expected a regular file, not a link that leads back to itself")


@pytest.mark.skipif(sys.platform == "win32", reason="needs the right to make links")
def test_files_may_be_links_as_in_caches_and_mounted_volumes(saved: Path, tmp_path: Path) -> None:
    expected = fw.load(saved).predict_rows(ROWS)
    (tmp_path / "blobs").mkdir()
    (saved / "..data").symlink_to(tmp_path / "blobs")  # Kubernetes puts a link to a folder in between
    for name in (*FILES, MANIFEST):
        (saved / name).rename(tmp_path / "blobs" / name)
        (saved / name).symlink_to(Path("..data") / name)
    np.testing.assert_array_equal(fw.load(saved).predict_rows(ROWS), expected)
    (tmp_path / "blobs" / WEIGHTS).write_bytes(b"others")
    refused(saved, f"{WEIGHTS}: it is not as it was written")


@pytest.mark.skipif(sys.platform == "win32", reason="needs the right to make links")
def test_saving_does_not_write_through_links(saved: Path, tmp_path: Path) -> None:
    before = fuzzing.read_files(saved)
    (tmp_path / "link").symlink_to(saved)
    fw.load(VERSION_1 / "predictor").save(tmp_path / "link", overwrite=True)
    assert not (tmp_path / "link").is_symlink()
    assert fuzzing.read_files(saved) == before
    assert listing(tmp_path) == ["link", "model"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs the right to make links")
def test_the_directory_may_be_reached_through_a_link(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(saved)
    assert fw.load(tmp_path / "link").predict_rows(ROWS).shape == (2,)


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be replaced")
@pytest.mark.parametrize("by", ["a file", "a pipe", "a link"])
def test_a_file_exchanged_while_it_is_opened(saved: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    real = os.open

    def exchange(path: str, flags: int) -> int:
        if Path(path).is_dir():
            return real(path, flags)
        monkeypatch.setattr(os, "open", real)
        new = Path(path).with_name("new")
        if by == "a pipe":
            os.mkfifo(new)
        elif by == "a link":
            new.symlink_to(VERSION_1 / "predictor" / MANIFEST)
        else:
            new.write_bytes(Path(path).read_bytes())
        new.replace(path)
        return real(path, flags)

    monkeypatch.setattr(os, "open", exchange)
    refused(saved, "it was exchanged while it was opened")


def test_other_files_in_the_directory_are_left_alone(saved: Path) -> None:
    (saved / "README.txt").write_text("mine")
    assert fw.load(saved).predict_rows(ROWS).shape == (2,)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "x.pkl", "", "\x1b[2J"])
def test_names_in_the_manifest(saved: Path, name: str) -> None:
    edit(saved, MANIFEST, lambda m: m["files"].update({name: m["files"][CARD]}))
    refused(saved, "is no file of a predictor")


def test_a_file_that_the_manifest_does_not_list(saved: Path) -> None:
    edit(saved, MANIFEST, lambda m: m["files"].pop(CARD))
    refused(saved, "'card.json' is not listed")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"size": 10**15}, f"1,000,000,000,000,000 bytes; {strict_files.MOST_JSON:,} are read"),
        ({"size": 1000}, "bytes instead of 1,000"),
        ({"size": -1}, "greater than or equal to 0"),
        ({"sha256": "x"}, "should match pattern"),
        ({"more": 1}, "unknown entry"),
    ],
)
def test_sizes_and_hashes_in_the_manifest(saved: Path, record: dict[str, Any], message: str) -> None:
    edit(saved, MANIFEST, lambda m: m["files"][CARD].update(record))
    refused(saved, message)


def test_a_huge_manifest_is_not_read(saved: Path) -> None:
    with (saved / MANIFEST).open("r+b") as file:
        file.truncate(10**12)  # a hole, which takes no room
    refused(saved, "a manifest cannot have 1,000,000,000,000 bytes")


# What a consistent manifest may hide


@pytest.mark.parametrize("name", [SCHEMA, ENCODER, SETTINGS, CARD, MANIFEST])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 10**6, "it is nested too deeply"),
        (b'{"a": 1, "b": 2, "a": 1}', "the key 'a' stands twice"),
        (b'{"a": NaN}', "NaN is not a number in JSON"),
        (b'{"a": -Infinity}', "-Infinity is not a number in JSON"),
        (b'{"a": 1e999}', "1e999 is out of range"),
        (b'{"a": 18446744073709551616}', "18446744073709551616 is out of range"),
        (b'{"a": ' + b"9" * 10**6 + b"}", "is out of range"),
        (b'{"a": "\xff"}', "can't decode byte 0xff"),
        ("{}".encode("utf-16"), "decode"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"{}{}", "Extra data"),
        (b"", "Expecting value"),
    ],
)
def test_what_is_no_strict_json(saved: Path, name: str, content: bytes, message: str) -> None:
    change(saved, name, content, consistent=name != MANIFEST)
    refused(saved, message)
    refused(saved, name)


def _set(*path: Any, to: Any) -> Callable[[Any], None]:
    def edit_data(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = to

    return edit_data


@pytest.mark.parametrize(
    ("name", "edit_data", "message"),
    [
        (SCHEMA, _set("fields", "user", "kind", to="other"), "'fields.user'"),
        (SCHEMA, _set("surprise", to=1), "unknown entry 'surprise'"),
        (SCHEMA, _set("fields", to={}), "the schema has no fields"),
        (ENCODER, _set("fields", 2, "bounds", to=[1.0, 1.0]), "the bounds between buckets must increase"),
        (ENCODER, _set("fields", 2, "bounds", to=[1.0, 2.0, 3.0, 4.0]), "'age' has 5 buckets, at most 4 expected"),
        (ENCODER, _set("fields", 1, "scaling", to={"name": "none"}), "'price' is scaled by none, standard expected"),
        (ENCODER, _set("fields", 1, "scaling", "deviation", to=0), "greater than 0"),
        (ENCODER, _set("fields", 0, to={"encoding": "buckets", "bounds": []}), "'user' has no vocabulary, but"),
        (ENCODER, _set("fields", to=[]), "the encoder holds 0 fields, the schema 4"),
        (SETTINGS, _set("model", to="pickle"), "unknown model 'pickle'"),
        (SETTINGS, _set("model", to="lr"), "model 'lr' has no setting"),
        (SETTINGS, _set("model_settings", "surprise", to=1), "no setting 'surprise'"),
        (SETTINGS, _set("model_settings", "num_heads", to=3), "num_heads must divide it"),
        (SETTINGS, _set("training", "epochs", to=0), "training.epochs"),
        (CARD, _set("parameters", to={"all": 3}), "expected the counts 'all' and 'without_embeddings'"),
        (CARD, _set("environment", "threads", to=0), "environment.threads"),
        (CARD, _set("created", to="\ud800"), "surrogates not allowed"),
        # Networks that would take all memory, or never be finished, were they built
        (SETTINGS, _set("model_settings", "embedding_dim", to=10**9), "less than or equal to"),
        (SETTINGS, _set("model_settings", "num_layers", to=10**9), "less than or equal to"),
        (SETTINGS, _set("model_settings", "num_heads", to=10**9), "less than or equal to"),
        (SETTINGS, _set("model_settings", "dnn_hidden", to=[4] * 10**5), "at most 64 items"),
        (SETTINGS, _set("model_settings", "embedding_dim", to=65_536), "but the model needs torch.float32"),
        (SETTINGS, _set("model_settings", "dnn_hidden", to=[65_536] * 64), "is missing"),
    ],
)
def test_documents_that_contradict(saved: Path, name: str, edit_data: Callable[[Any], None], message: str) -> None:
    edit(saved, name, edit_data)
    refused(saved, message)


def _vocabularies(directory: Path) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = fuzzing.read_table((directory / VOCABULARIES).read_bytes()).to_pydict()
    return columns


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("token", 0, None, "has empty cells"),
        ("field", 0, None, "has empty cells"),
        ("count", 0, -1, "'user': the vocabulary file has counts below 0"),
        ("token", 0, "user-0000000003", "'user': the vocabulary file has a token twice"),
        ("field", -1, 4, "must hold the tokens of fields 0 to 3, in order"),
        ("field", 0, -1, "must hold the tokens of fields 0 to 3, in order"),
        ("field", 0, 3, "must hold the tokens of fields 0 to 3, in order"),
    ],
)
def test_vocabularies_that_contradict(saved: Path, column: str, row: int, value: Any, message: str) -> None:
    columns = _vocabularies(saved)
    columns["token"][1] = "user-0000000003" if column == "token" else columns["token"][1]
    columns[column][row] = value
    table = pa.table(columns, schema=fuzzing.read_table((saved / VOCABULARIES).read_bytes()).schema)
    change(saved, VOCABULARIES, fuzzing.write_table(table))
    refused(saved, message)


def test_fewer_tokens_than_the_weights_have(saved: Path) -> None:
    table = fuzzing.read_table((saved / VOCABULARIES).read_bytes())
    change(saved, VOCABULARIES, fuzzing.write_table(table.slice(1)))
    refused(saved, "weights.safetensors: tensor 'embedding.table.weight' is F32")


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_vocabularies_are_refused_before_they_are_read(saved: Path, codec: str) -> None:
    table = fuzzing.read_table((saved / VOCABULARIES).read_bytes())
    bomb = pa.table([[0], ["a" * 10**8], [1]], schema=table.schema)
    content = fuzzing.write_table(bomb, codec)
    assert len(content) < 10**6
    change(saved, VOCABULARIES, content)
    before = pa.total_allocated_bytes()
    pool = pa.default_memory_pool().max_memory()
    refused(saved, "compressed and dictionary-encoded columns are not read")
    assert pa.total_allocated_bytes() <= before + 10**6
    assert pa.default_memory_pool().max_memory() == pool


def test_vocabularies_of_other_columns_are_refused(saved: Path) -> None:
    table = fuzzing.read_table((saved / VOCABULARIES).read_bytes())
    for other in (
        table.set_column(1, "token", table["token"].dictionary_encode()),
        table.set_column(0, "field", table["field"].cast(pa.int64())),
        table.select(["token", "field", "count"]),
        table.drop_columns(["count"]),
    ):
        change(saved, VOCABULARIES, fuzzing.write_table(other))
        refused(saved, "expected the columns field int32, token string, count int64; got")
    change(saved, VOCABULARIES, b"PAR1" + b"\0" * 100)
    refused(saved, "this is not an Arrow file")


def test_weights_that_do_not_fit_the_model(saved: Path) -> None:
    weights = load((saved / WEIGHTS).read_bytes())
    table = "embedding.table.weight"
    for other, message in [
        ({**weights, table: weights[table][:-1].clone()}, f"tensor '{table}' is F32"),
        ({**weights, table: weights[table].T.contiguous()}, f"tensor '{table}' is F32"),
        ({**weights, table: weights[table].double()}, f"tensor '{table}' is F64"),
        ({**weights, "surprise": torch.zeros(1)}, "tensor 'surprise' is not one of the model"),
        ({n: w for n, w in weights.items() if n != table}, f"tensor '{table}' is missing"),
        (
            {**weights, table: torch.full_like(weights[table], torch.nan)},
            f"tensor '{table}' holds numbers that are not",
        ),
        ({**weights, table: torch.full_like(weights[table], -torch.inf)}, f"tensor '{table}' holds numbers that are n"),
    ]:
        change(saved, WEIGHTS, save(other))
        refused(saved, message)
    change(saved, WEIGHTS, save(weights, metadata={"format": "pt"}))
    fw.load(saved)


def test_safetensors_headers_that_lie(saved: Path) -> None:
    header, numbers = fuzzing.split_weights((saved / WEIGHTS).read_bytes())
    first, second, *_ = sorted(header, key=lambda name: header[name]["data_offsets"])

    def with_offsets(name: str, offsets: list[int]) -> bytes:
        content: bytes = fuzzing.join_weights({**header, name: {**header[name], "data_offsets": offsets}}, numbers)
        return content

    start, stop = header[second]["data_offsets"]
    for content, message in [
        (with_offsets(second, header[first]["data_offsets"]), "does not lie where the one before it ends"),
        (with_offsets(second, [start, stop + 4]), "does not lie where the one before it ends"),
        (with_offsets(second, [-4, stop]), "does not lie where the one before it ends"),
        (fuzzing.join_weights(header, numbers + b"hidden"), "it goes on behind the last tensor"),
        (fuzzing.join_weights(header, numbers[:-4]), "or ends before it"),
        (b"\xff" * 8 + numbers, "its header cannot have 18,446,744,073,709,551,615 bytes"),
        ((10**6).to_bytes(8, "little"), "its header cannot have 1,000,000 bytes"),
        (b"abc", "it became shorter"),
        (fuzzing.join_weights([], numbers), "weights.safetensors: ValidationError"),
    ]:
        change(saved, WEIGHTS, content)
        refused(saved, message)


def test_bytes_that_are_no_booleans(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"\0\1\2")
    with (tmp_path / "weights").open("rb", buffering=0) as file:
        mask = {"mask": torch.zeros(3, dtype=torch.bool)}
        with pytest.raises(PredictorFormatError, match="'mask' holds bytes that are neither true nor false"):
            read_tensors(strict_files.CheckedFile(file, hashed=False), mask, ["mask"])


@pytest.mark.parametrize("model", registry.names())
def test_every_size_of_a_model_has_an_upper_bound(model: str) -> None:
    """Without one, a few bytes of settings.json could ask for networks without end."""

    def kinds(schema: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            part for kind in schema.get("anyOf", [schema]) for part in (kind, *kinds(kind.get("items", {"anyOf": []})))
        ]

    for name, schema in registry.settings_model(model).model_json_schema()["properties"].items():
        for kind in kinds(schema):
            assert kind.get("type") != "integer" or "maximum" in kind, name
            assert kind.get("type") != "array" or "maxItems" in kind, name


def test_loading_leaves_the_random_numbers_alone(saved: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    fw.load(saved)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    "error", [KeyError("x"), MemoryError(), RecursionError(), ZeroDivisionError("\x1b[2Jx" * 1000)]
)
def test_whatever_goes_wrong_is_the_files_fault(saved: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(predictor_files, "parse_table", fail)
    with pytest.raises(PredictorFormatError) as caught:
        fw.load(saved)
    assert str(caught.value).startswith(f"{saved / VOCABULARIES}: ")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    assert caught.value.__cause__ is error


# Saving


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="has no file size limit")
def test_a_full_disk_leaves_nothing(saved: Path, tmp_path: Path) -> None:
    # The three limits are met by a JSON file, the vocabularies and the weights.
    limits = (100, 7_000, 25_000)
    sizes = sorted((saved / name).stat().st_size for name in FILES)
    assert sizes[-3] < limits[1] < sizes[-2] < limits[2] < sizes[-1]
    before = fuzzing.read_files(saved)
    code = (
        "import resource, sys, fieldwise as fw\n"
        "path = sys.argv[1]\n"
        "predictor = fw.load(path)\n"
        "for limit in map(int, sys.argv[2:]):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))\n"
        "    for out, overwrite in ((path, True), (path + '-2', False), (path + '-3/a/b', False)):\n"
        "        try:\n"
        "            predictor.save(out, overwrite=overwrite)\n"
        "        except fw.FieldwiseError as error:\n"
        "            print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(saved), *map(str, limits)], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 9
    for line in lines:
        assert line.startswith(f"StorageError cannot write {saved}")
        assert line.endswith(": File too large; nothing was written")
    assert listing(tmp_path) == ["model"]
    assert fuzzing.read_files(saved) == before


@pytest.mark.parametrize(
    ("place", "name", "error", "message"),
    [
        (predictor_files, "write_tensors", PredictorFormatError, "exists already"),
        (Path, "rename", StorageError, "Directory not empty; nothing was written"),
    ],
)
def test_two_writers_of_one_path(
    predictor: fw.Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: Any,
    name: str,
    error: type[Exception],
    message: str,
) -> None:
    other = fw.load(VERSION_1 / "predictor")
    real = getattr(place, name)

    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        monkeypatch.setattr(place, name, real)
        other.save(tmp_path / "model", overwrite=True)
        return real(*arguments, **keywords)

    monkeypatch.setattr(place, name, wrapped)
    with pytest.raises(error, match=message):
        predictor.save(tmp_path / "model")
    assert fw.load(tmp_path / "model").settings == other.settings
    assert listing(tmp_path) == ["model"]
    monkeypatch.setattr(place, name, wrapped)
    predictor.save(tmp_path / "model", overwrite=True)
    assert fw.load(tmp_path / "model").settings == predictor.settings
    assert listing(tmp_path) == ["model"]


def test_what_stood_there_comes_back(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fuzzing.read_files(saved)
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if target == saved and self.name.startswith(".new-"):
            raise OSError(5, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(replacing, "exchange", lambda *_: False)
    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(StorageError, match="Input/output error; nothing was written"):
        fw.load(VERSION_1 / "predictor").save(saved, overwrite=True)
    assert fuzzing.read_files(saved) == before
    assert listing(tmp_path) == ["model"]

    saved.rename(tmp_path / "moved")
    with pytest.raises(StorageError, match="Input/output error; nothing was written"):
        fw.load(VERSION_1 / "predictor").save(saved)
    assert listing(tmp_path) == ["moved"]


@pytest.mark.parametrize("exchange", [True, False])
def test_a_predictor_is_read_while_it_is_replaced(
    predictor: fw.Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    if not exchange:
        monkeypatch.setattr(replacing, "exchange", lambda *_: False)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # as quick as can be
    predictors = [predictor, fw.load(VERSION_1 / "predictor")]
    names = [one.settings.model for one in predictors]
    weights = [one.model.network.state_dict() for one in predictors]
    predictor.save(tmp_path / "model")
    loaded: list[fw.Predictor] = []
    failures: list[BaseException] = []
    ready = threading.Event()

    def load_on() -> None:
        try:
            while len(loaded) < 60 or saves <= 10:
                loaded.append(fw.load(tmp_path / "model"))
        except BaseException as error:
            failures.append(error)
        finally:
            ready.set()

    saves = 0
    reader = threading.Thread(target=load_on)
    reader.start()
    while not ready.is_set():
        saves += 1
        predictors[saves % 2].save(tmp_path / "model", overwrite=True)
    reader.join()
    assert not failures
    for one in loaded:
        expected = weights[names.index(one.settings.model)]
        assert all(torch.equal(tensor, expected[name]) for name, tensor in one.model.network.state_dict().items())
    assert listing(tmp_path) == ["model"]


def test_a_predictor_replaced_in_the_midst_of_loading_is_read_anew(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = fw.load(VERSION_1 / "predictor")
    real = predictor_files._read_manifest

    def replaced(path: Path) -> Any:
        manifest = real(path)
        monkeypatch.undo()
        other.save(saved, overwrite=True)
        return manifest

    monkeypatch.setattr(predictor_files, "_read_manifest", replaced)
    assert fw.load(saved).settings == other.settings


def test_what_a_killed_writer_left_aside_is_loaded_and_not_written_over(saved: Path, predictor: fw.Predictor) -> None:
    saved.rename(replacing._aside(saved))
    assert fw.load(saved).settings == predictor.settings
    with pytest.raises(PredictorFormatError, match="exists already"):
        predictor.save(saved)
    fw.load(VERSION_1 / "predictor").save(saved, overwrite=True)
    assert listing(saved.parent) == ["model"]


def test_what_could_not_be_read_back_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = fw.load(VERSION_1 / "predictor")
    monkeypatch.setattr(predictor_files, "MOST_JSON", 1000)
    with pytest.raises(PredictorFormatError, match=r"cannot save: card.json would have .* 1,000 are read"):
        predictor.save(tmp_path / "in" / "new" / "folders" / "model")
    monkeypatch.undo()
    with torch.no_grad():
        next(predictor.model.network.parameters()).fill_(torch.nan)
    with pytest.raises(PredictorFormatError, match="'bias' holds numbers that are not finite"):
        predictor.save(tmp_path / "model")
    assert listing(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="has other permissions")
def test_others_may_read_all_files(saved: Path) -> None:
    assert len({path.stat().st_mode for path in saved.iterdir()}) == 1
    assert saved.stat().st_mode & 0o777 == 0o755


@pytest.mark.skipif(sys.platform == "win32", reason="needs the right to make links")
def test_a_link_to_nowhere_is_not_written_over(predictor: fw.Predictor, tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(tmp_path / "nowhere")
    with pytest.raises(PredictorFormatError, match="exists already"):
        predictor.save(tmp_path / "model")


# Fuzzing; tests/slow has the long one


@pytest.fixture(scope="module")
def wholes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return fuzzing.wholes(tmp_path_factory.mktemp("wholes"))


@pytest.mark.parametrize("consistent", [False, True])
@settings(max_examples=75, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damage_is_refused_or_harmless(
    data: st.DataObject, wholes: Any, tmp_path_factory: pytest.TempPathFactory, *, consistent: bool
) -> None:
    whole = data.draw(st.sampled_from(wholes), label="whole")
    files, _ = data.draw(fuzzing.damages(whole, consistent=consistent), label="damage")
    folder = tmp_path_factory.getbasetemp() / "fuzzing"
    folder.mkdir(exist_ok=True)
    fuzzing.check_contract(whole, files, folder, consistent=consistent)
