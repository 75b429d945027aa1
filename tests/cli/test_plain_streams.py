"""Every command where the streams know ASCII only, with names that are not: shown escaped, and no error of encoding."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fieldwise import cli
from fieldwise.architecture import Architecture, FieldSummary

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line in this process; what it has written, on both streams."""

    def run(*words: object) -> str:
        buffers = {name: io.BytesIO() for name in ("stdout", "stderr")}
        streams = {name: io.TextIOWrapper(buffer, encoding="ascii") for name, buffer in buffers.items()}
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["fieldwise", *map(str, words)])
            for name, stream in streams.items():
                patch.setattr(sys, name, stream)
            code: object = None
            try:
                cli.main()
            except SystemExit as stop:
                code = stop.code
        for stream in streams.values():
            stream.flush()
        said = b"".join(buffer.getvalue() for buffer in buffers.values()).decode()
        assert code in (0, None), said
        return said

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain") / "größe"
    folder.mkdir()
    rows = [f"{'groß' if i % 3 else 'klein'},{'äöü'[i % 7 % 3]},{i % 2}" for i in range(200)]
    (folder / "klicks-ü.csv").write_text("\n".join(["größe,farbe,klick", *rows, ""]), encoding="utf-8")
    (folder / "einstellungen-ü.toml").write_text("[training]\nepochs = 1 # größe\n", encoding="utf-8")
    return folder


def test_every_command(folder: Path, run: Run) -> None:
    data, model, compared = folder / "klicks-ü.csv", folder / "modell-ü", folder / "vergleich-ü"
    label = ["--label", "klick"]
    config = ["--config", folder / "einstellungen-ü.toml"]
    architecture = Architecture(embedding_dim=1, fields={"größe": FieldSummary(kind="numeric", size=2)}).save(
        folder / "architektur-ü.json"
    )
    lines = [
        ["inspect", data, *label],
        ["inspect", data, *label, "--out", folder / "schema-ü.json"],
        ["train", data, *label, "--model", "lr", *config, "--out", model],
        ["train", data, *label, "--model", "lr", *config, "--out", model, "--overwrite", "--json"],
        ["evaluate", model, data],
        ["evaluate", model, data, "--json"],
        ["predict", model, data, "--keep", "größe"],
        ["predict", model, data, "--out", folder / "antwort-ü.csv", "--json"],
        ["compare", data, *label, "--models", "lr", *config, "--out", compared],
        ["results", compared],
        ["architecture", "show", architecture],
    ]
    for words in lines:
        out = run(*words)
        if words[0] in ("inspect", "train") and words[-1] not in ("--json", folder / "schema-ü.json"):
            assert r"gr\xf6\xdfe" in out, out
        if words[0] == "predict" and "--keep" in words:
            assert '"größe","probability"' in out  # predictions are UTF-8 wherever they go


@pytest.mark.parametrize("words", [["settings", "autoint+"], ["models"], ["models", "--shape", "criteo"], ["--help"]])
def test_what_needs_no_data(words: list[str], run: Run) -> None:
    assert run(*words)
