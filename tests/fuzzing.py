"""Damage to the files of predictors, for the short fuzz test and the long one, and the contract that both check.

Either a damaged predictor loads, and is then whole, or loading raises PredictorFormatError: no other exception, no
code run, no file outside the directory opened, no memory beyond a bound.

    python tests/fuzzing.py CASES      runs the long one: half of the cases with the manifest made consistent again
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fieldwise as fw
from fieldwise.errors import FieldwiseError, PredictorFormatError
from fieldwise.predictor import files as predictor_files
from fieldwise.predictor.files import CARD, COMBINATIONS, ENCODER, MANIFEST, SETTINGS, VOCABULARIES, WEIGHTS

Files = dict[str, bytes]
Draw = Callable[[st.SearchStrategy[Any]], Any]

FILES, DOCUMENTS = predictor_files.FILES["network"], predictor_files.DOCUMENTS["network"]
FIXTURE = Path(__file__).parent / "fixtures" / "predictor-v1"
GIGABYTE = 2**30


@dataclass(frozen=True)
class Whole:
    """A predictor as files, and what it predicts for a few rows."""

    files: Files
    rows: list[dict[str, Any]]
    predictor: fw.Predictor
    probabilities: np.ndarray[Any, Any]

    @classmethod
    def read(cls, directory: Path, rows: list[dict[str, Any]]) -> Whole:
        """Load a directory and remember its bytes."""
        predictor = fw.load(directory)
        return cls(read_files(directory), rows, predictor, predictor.predict_rows(rows))


def wholes(folder: Path) -> list[Whole]:
    """The predictors to damage: one of version 1, and one small network with everything that a network can have."""
    rows = json.loads((FIXTURE / "expected.json").read_text(encoding="utf-8"))["rows"]
    rng = np.random.default_rng(0)
    table = {name: [rows[i][name] for i in rng.integers(0, len(rows), 60)] for name in rows[0]}
    network = {"epochs": 1, "embedding_dim": 4, "num_layers": 2, "attention_dim": 4, "dnn_hidden": [3, 2]}
    fw.train(
        {"click": (np.arange(60) % 2).tolist(), **table},
        schema=fw.load(FIXTURE / "predictor").schema,
        model="autoint+",
        settings={**network, "dnn_batch_norm": True, "wide": True, "combinations": "auto"},
        out=folder / "network",
        progress=False,
    )
    return [Whole.read(path, rows) for path in (FIXTURE / "predictor", folder / "network")]


def read_files(directory: Path) -> Files:
    """The bytes of a predictor's files."""
    return {name: (directory / name).read_bytes() for name in (*FILES, MANIFEST) if (directory / name).exists()}


def write_files(directory: Path, files: Files) -> Path:
    """Make the directory hold these files and no others."""
    directory.mkdir(exist_ok=True)
    for name in (*FILES, MANIFEST):
        if name in files:
            (directory / name).write_bytes(files[name])
        else:
            (directory / name).unlink(missing_ok=True)
    return directory


def remake_manifest(files: Files) -> None:
    """Make the manifest fit the other files again, so that the readers behind it are reached."""
    manifest = json.loads(files[MANIFEST])
    for name in manifest["files"].keys() & files.keys():
        manifest["files"][name] = {"size": len(files[name]), "sha256": hashlib.sha256(files[name]).hexdigest()}
    files[MANIFEST] = json.dumps(manifest).encode()


def split_weights(content: bytes) -> tuple[Any, bytes]:
    """The header of a safetensors file and the numbers behind it."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def join_weights(header: Any, numbers: bytes) -> bytes:
    """A safetensors file of a header, whatever it says, and numbers."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + numbers


def write_table(table: pa.Table, compression: str | None = None) -> bytes:
    """A table as the bytes of an Arrow file."""
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def read_table(content: bytes) -> pa.Table:
    """The table of an Arrow file."""
    return pa.ipc.open_file(content).read_all()


# Damage: each function changes one thing in the files.

_NUMBERS = [-1, 0, 1, 2, 3, 257, 65_536, 10**6, 10**9, 2**31 - 1, 2**31, 2**63, 2**64, 10**40, 0.5, -1e308, 1e-320]
_WORDS = [
    "",
    "x",
    "a\x00b",
    "\ud800",
    "\x1b[2J",
    "../x",
    "/etc/passwd",
    "1",
    "lr",
    "autoint",
    "vocabulary",
    "a" * 10_000,
]
_ODD = [None, True, False, [], {}, [[]], float("nan"), float("inf"), [1] * 20_000, {"kind": "categorical"}]
_values = st.sampled_from([*_NUMBERS, *_WORDS, *_ODD]) | st.integers() | st.floats() | st.text(max_size=5)


def _flip(draw: Draw, files: Files) -> None:
    name = draw(st.sampled_from(sorted(files)))
    content = bytearray(files[name])
    for _ in range(draw(st.integers(1, 4)) if content else 0):
        content[draw(st.integers(0, len(content) - 1))] ^= 1 << draw(st.integers(0, 7))
    files[name] = bytes(content)


def _overwrite(draw: Draw, files: Files) -> None:
    """Put extreme numbers over some bytes; lengths and offsets are such numbers."""
    name = draw(st.sampled_from([name for name in (VOCABULARIES, COMBINATIONS, WEIGHTS) if name in files]))
    content = bytearray(files[name])
    number = draw(st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31), 2**40, 2**62, -(2**63), 0x7FC00000, 0x7F800000]))
    packed = struct.pack("<q", number)[: draw(st.sampled_from([2, 4, 8]))]
    start = draw(st.integers(0, max(0, len(content) // 2 - 8))) * 2
    content[start : start + len(packed)] = packed
    files[name] = bytes(content)


def _cut(draw: Draw, files: Files) -> None:
    name = draw(st.sampled_from(sorted(files)))
    files[name] = files[name][: draw(st.integers(0, len(files[name])))]


def _splice(draw: Draw, files: Files) -> None:
    """Take some bytes out and put others in."""
    name = draw(st.sampled_from(sorted(files)))
    start = draw(st.integers(0, len(files[name])))
    stop = draw(st.integers(start, min(start + 20, len(files[name]))))
    files[name] = files[name][:start] + draw(st.binary(max_size=20)) + files[name][stop:]


def _swap(draw: Draw, files: Files) -> None:
    one, other = draw(st.sampled_from(sorted(files))), draw(st.sampled_from(sorted(files)))
    files[one], files[other] = files[other], files[one]


def _drop(draw: Draw, files: Files) -> None:
    del files[draw(st.sampled_from(sorted(files)))]


def _json(draw: Draw, files: Files) -> None:
    name = draw(st.sampled_from([name for name in (*DOCUMENTS, SETTINGS, ENCODER, MANIFEST) if name in files]))
    tree = json.loads(files[name])
    files[name] = json.dumps(_damage_tree(draw, tree)).encode()


def _json_text(draw: Draw, files: Files) -> None:
    """What only the text can have: keys twice, nesting without end, other encodings, numbers of many digits."""
    name = draw(st.sampled_from([name for name in (*DOCUMENTS, MANIFEST) if name in files]))
    text = files[name].decode()
    twice = text[0] + json.dumps(next(iter(json.loads(text)))) + ": 0, " + text[1:]
    bomb, digits = "[" * 100_000, "9" * draw(st.integers(15, 6000))
    files[name] = draw(
        st.sampled_from(
            [
                twice.encode(),
                bomb.encode(),
                ('{"a":' * 50_000).encode(),
                text.encode("utf-16"),
                b"\xef\xbb\xbf" + text.encode(),
                text.encode("latin-1", "replace"),
                text.replace("0", digits, 1).encode(),
                text.replace("0", "1e999", 1).encode(),
                text.replace("1", "-Infinity", 1).encode(),
                (text + " " * 1000).encode(),
                (text + "{}").encode(),
            ]
        )
    )


def _settings(draw: Draw, files: Files) -> None:
    """Make the network larger than its weights."""
    content = json.loads(files[SETTINGS])
    chosen = content["model_settings"]
    name = draw(st.sampled_from([*sorted(chosen), "embedding_dim", "num_layers", "dnn_hidden"]))
    sizes = st.sampled_from([0, 1, 2, 64, 256, 1024, 65_536, 65_537, 10**6, 10**9, 2**62])
    chosen[name] = draw(sizes | st.lists(sizes, max_size=70) | st.booleans() | st.sampled_from(["zero", "all", "sum"]))
    files[SETTINGS] = json.dumps(content).encode()


def _header(draw: Draw, files: Files) -> None:
    header, numbers = split_weights(files[WEIGHTS])
    content = join_weights(_damage_tree(draw, header), numbers)
    if draw(st.integers(0, 3)) == 0:
        content = draw(st.integers(0, 2**64 - 1)).to_bytes(8, "little") + content[8:]
    files[WEIGHTS] = content


def _table(draw: Draw, files: Files) -> None:
    """Another table, well written."""
    table = read_table(files[VOCABULARIES])
    rows = list(range(table.num_rows))
    index = draw(st.integers(0, len(rows) - 1))
    number = draw(st.sampled_from([-1, 0, 1, 4, 5, 2**31 - 1, None]))
    columns = {name: table[name].to_pylist() for name in table.column_names}
    match draw(st.integers(0, 6)):
        case 0:
            files[VOCABULARIES] = write_table(table, draw(st.sampled_from(["lz4", "zstd"])))
            return
        case 1:
            table = table.take(draw(st.permutations(rows)))
        case 2:
            table = table.slice(0, index)
        case 3:
            columns["token"][index] = draw(st.sampled_from(columns["token"]) | st.none())
            table = pa.table(columns, schema=table.schema)
        case 4:
            name = draw(st.sampled_from(["field", "count"]))
            columns[name][index] = number
            table = pa.table(columns, schema=table.schema)
        case 5:
            name = draw(st.sampled_from(table.column_names))
            kind = draw(st.sampled_from([pa.large_string(), pa.string_view(), pa.binary(), pa.float64()]))
            array = (
                table[name].dictionary_encode() if kind == pa.float64() else table[name].cast(pa.string()).cast(kind)
            )
            table = table.set_column(table.column_names.index(name), name, array)
        case 6:
            table = pa.concat_tables([table.slice(0, index), table.slice(index)] * draw(st.integers(1, 2)))
    files[VOCABULARIES] = write_table(table)


def _cells(draw: Draw, files: Files) -> None:
    """Other cells of combinations, well written."""
    if COMBINATIONS not in files:
        _table(draw, files)
        return
    table = read_table(files[COMBINATIONS])
    columns = {name: table[name].to_pylist() for name in table.column_names}
    index = draw(st.integers(0, table.num_rows - 1))
    match draw(st.integers(0, 3)):
        case 0:
            columns["rows"][index] = draw(st.sampled_from([-1, 0, 1, 2**62, None]))
        case 1:
            columns["labels"][index] = draw(st.sampled_from([-1.0, 0.5, 1e308, float("nan"), float("inf"), None]))
        case 2:
            columns["combination"][index] = draw(st.sampled_from([0, 2**64 - 1, columns["combination"][0], None]))
        case 3:
            columns = {name: values[:index] for name, values in columns.items()}
    files[COMBINATIONS] = write_table(pa.table(columns, schema=table.schema))


def _damage_tree(draw: Draw, tree: Any) -> Any:
    """Change, add, rename, remove or repeat one entry of a JSON tree."""
    places = list(_places(tree))
    parent, key = draw(st.sampled_from(places))
    match draw(st.integers(0, 5)):
        case 0 | 1:
            parent[key] = draw(_values)
        case 2:
            other_parent, other_key = draw(st.sampled_from(places))
            parent[key] = json.loads(json.dumps(other_parent[other_key]))
        case 3:
            del parent[key]
        case 4 if isinstance(parent, dict):
            parent[draw(st.sampled_from(["x", "", "../x", "/x", "__class__", "extra"]))] = parent[key]
        case _ if isinstance(parent, list):
            parent.extend(parent[key : key + 1] * draw(st.sampled_from([1, 100, 20_000])))
        case _:
            parent[draw(st.text(max_size=5))] = parent.pop(key)
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from _places(tree[key])


_KINDS: list[Callable[[Draw, Files], None]] = [
    *(_flip, _overwrite, _cut, _splice, _swap, _drop),
    *(_json, _json, _json, _json_text, _settings, _settings, _header, _header, _table, _table, _cells),
]


@st.composite
def damages(draw: Draw, whole: Whole, *, consistent: bool) -> tuple[Files, str]:
    """Damaged files and the name of the damage. consistent: the manifest is made to fit afterwards, where it can be."""
    files = dict(whole.files)
    kind = draw(st.sampled_from(_KINDS))
    kind(draw, files)
    if consistent:
        # It cannot be where the manifest itself was damaged, or a file is gone.
        with suppress(ValueError, LookupError, TypeError, AttributeError, RecursionError):
            remake_manifest(files)
    return files, kind.__name__[1:]


def check_contract(whole: Whole, files: Files, folder: Path, *, consistent: bool) -> str:
    """Load damaged files: `refused`, `loaded` with the old predictions, or `loaded, other`.

    Fails outside the contract.
    """
    directory = write_files(folder / "damaged", files)
    try:
        with _watched(directory):
            predictor = fw.load(directory)
    except PredictorFormatError as error:
        _check_error(error, directory)
        return "refused"
    if not consistent:
        assert predictor.card == whole.predictor.card
        assert predictor.settings == whole.predictor.settings
        assert predictor.schema == whole.predictor.schema
        np.testing.assert_array_equal(predictor.predict_rows(whole.rows), whole.probabilities)
        return "loaded"
    repr(predictor)
    try:
        probabilities = _predict(predictor, whole.rows)
    except FieldwiseError:
        return "loaded, other"  # its columns are now other ones
    again = fw.load(predictor.save(folder / "again", overwrite=True))
    np.testing.assert_array_equal(_predict(again, whole.rows), probabilities)
    assert again.card == predictor.card
    return "loaded" if np.array_equal(probabilities, whole.probabilities) else "loaded, other"


def _check_error(error: PredictorFormatError, directory: Path) -> None:
    assert str(error).startswith(str(directory)), error
    assert str(error).isprintable(), error
    causes = repr([error.__cause__, error.__cause__ and error.__cause__.__context__])
    assert not any(word in causes for word in ("MemoryError", "allocate", "bad_alloc")), causes


def _predict(predictor: fw.Predictor, rows: list[dict[str, Any]]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # weights may by now be as large as floats can be
        return predictor.predict_rows(rows)


_FORBIDDEN = {"compile", "exec", "import", "ctypes.dlopen", "os.system", "os.exec", "os.posix_spawn", "os.fork"}
_FORBIDDEN |= {"pickle.find_class", "marshal.loads", "subprocess.Popen", "socket.__new__", "socket.connect"}
_watching: list[Path] = []
_seen: list[str] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event in _FORBIDDEN:
        _seen.append(f"{event} {arguments!r:.100}")
    elif event == "open" and isinstance(arguments[0], str) and _watching[0] not in _self_and_parent(arguments[0]):
        _seen.append(f"open {arguments[0]}")


def _self_and_parent(path: str) -> tuple[Path, Path]:
    """The directory may be opened itself: a reader holds it, to see whether it is replaced meanwhile."""
    return Path(path), Path(path).parent


@contextmanager
def _watched(directory: Path) -> Iterator[None]:
    """Fails where the block runs code or opens files outside the directory, if `_audit` is hooked."""
    _watching.append(directory)
    try:
        yield
    finally:
        _watching.clear()
        seen, _seen[:] = list(_seen), []
        assert not seen, seen


def run(cases: int, folder: Path) -> dict[str, Any]:
    """Run that many cases, half of them with a consistent manifest, in 1 GB more than the first loads needed."""
    import resource

    whole_ones = wholes(folder)
    for whole in whole_ones:  # whatever loads lazily is loaded before anything is measured
        for consistent in (False, True):
            check_contract(whole, whole.files, folder, consistent=consistent)
            _warm_errors(whole, folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + GIGABYTE, size + GIGABYTE))
    sys.addaudithook(_audit)
    counts: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
    kinds: Counter[str] = Counter()

    def one_half(consistent: bool) -> None:
        @settings(
            max_examples=cases // 2,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.data())
        def case(data: st.DataObject) -> None:
            whole = data.draw(st.sampled_from(whole_ones))
            files, kind = data.draw(damages(whole, consistent=consistent))
            outcome = check_contract(whole, files, folder, consistent=consistent)
            counts[consistent][outcome] += 1
            kinds[f"{kind}: {outcome}"] += 1

        case()

    one_half(False)
    one_half(True)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "cases": sum(sum(c.values()) for c in counts.values()),
        "manifest as it was": dict(sorted(counts[False].items())),
        "manifest made consistent": dict(sorted(counts[True].items())),
        "by damage": dict(sorted(kinds.items())),
        "memory taken beyond the first load, MB": round((after - before) / 1e6),
    }


def _warm_errors(whole: Whole, folder: Path) -> None:
    for name in (CARD, WEIGHTS, VOCABULARIES):
        files = {**whole.files, name: whole.files[name][:-20]}
        remake_manifest(files)
        assert check_contract(whole, files, folder, consistent=True) == "refused"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(run(int(sys.argv[1]), Path(name))))
