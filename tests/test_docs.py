"""What the documents show is run: the README's Python and shell blocks, the schema and model examples."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.csv
import pytest

import fieldwise as fw
from fieldwise import cli
from fieldwise.comparison.contenders import plan
from fieldwise.encoding.encoded import EncodingReport
from fieldwise.models import registry
from fieldwise.settings import resolve_settings

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def in_folder_with_clicks(tmp_path: Path, clicks: pa.Table, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    table = clicks.append_column("item", clicks["user"])
    pa.csv.write_csv(table, "clicks.csv")
    pa.csv.write_csv(table.drop_columns(["click"]).slice(0, 20), "new.csv")
    return tmp_path


def test_the_python_of_the_readme(in_folder_with_clicks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks(README, "python")
    assert len([line for line in code.splitlines() if line]) <= 5
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102
    assert "AUC" in capsys.readouterr().out


def test_the_commands_of_the_readme(in_folder_with_clicks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = blocks(README, "bash")[2].strip().splitlines()
    assert len(commands) == 4
    for command in commands:
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code
    assert pa.csv.read_csv("predictions.csv").column_names == ["user", "item", "probability"]


def test_the_papers_are_cited_as_in_the_citation_file() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    papers = re.findall(
        r'title: "([^"\n]*)"\n    authors:\n((?:      - [^\n]*\n)+).*?year: (\d+)\n    url: (\S+)', citation, re.DOTALL
    )
    (entries,) = blocks(README, "bibtex")
    cited = entries.replace("{", "").replace("}", "").split("@")[1:]
    assert len(papers) == len(cited) == 2
    for (title, authors, year, url), entry in zip(papers, cited, strict=True):
        names = re.findall(r"family-names: (.*?), given-names: (.*?)}", authors)
        for part in (title, " and ".join(f"{family}, {given}" for family, given in names), year, url):
            assert part in entry


def test_the_schema_example(tmp_path: Path) -> None:
    (example,) = blocks(ROOT / "docs" / "data.md", "toml")
    path = tmp_path / "schema.toml"
    path.write_text(example)
    schema = fw.Schema.load(path)
    assert schema.group == "user"
    assert schema.fields["seen.hour"] == fw.Categorical(column="seen", part="hour")


def test_the_settings_example(tmp_path: Path) -> None:
    (example,) = blocks(ROOT / "docs" / "training.md", "toml")
    path = tmp_path / "run.toml"
    path.write_text(example)
    settings = resolve_settings(config=path)
    assert (settings.model, settings.training.epochs, settings.seed) == ("autoint+", 30, 1)


def test_the_links_of_the_documents() -> None:
    for document in [README, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), f"{document}: {target}"


def test_the_model_of_the_contributing_guide() -> None:
    (code,) = blocks(ROOT / "CONTRIBUTING.md", "python")
    with registry.temporary():
        exec(compile(code, "CONTRIBUTING.md", "exec"), {"__name__": "example"})  # noqa: S102
        assert registry.resolve("mean") == {"embedding_dim": 16}
        layout = fw.Layout((fw.FieldLayout("a", "categorical", 4),))
        assert registry.build("mean", layout, {"embedding_dim": 3}).layout is layout


@pytest.mark.data
def test_criteo_by_names_and_schema_file(data_dir: Path) -> None:
    names = ["label", *(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))]
    predictor = fw.train(
        data_dir / "criteo" / "train_10k.txt",
        names=names,
        schema=ROOT / "examples" / "criteo.toml",
        model="lr",
        progress=False,
    )
    assert len(predictor.model.encoder.layout) == 39
    assert predictor.card.metrics["test"]["auc"] > 0.65
    report = EncodingReport()
    predictor.predict(data_dir / "criteo" / "test_unlabelled_10k.txt", names=names[1:], report=report)
    assert len(report.unseen) > 20


@pytest.mark.data
def test_a_built_in_data_set_from_training_to_its_test_split(data_dir: Path, tmp_path: Path) -> None:
    predictor = fw.train("movielens-1m", model="lr", settings={"epochs": 1}, out=tmp_path / "m", progress=False)
    assert any("timestamp" in note for note in predictor.card.notes)
    metrics = fw.load(tmp_path / "m").evaluate("movielens-1m")
    assert metrics.rows == 73_902
    assert metrics.to_dict() == predictor.card.metrics["test"]


class TestYourOwnModel:
    """docs/your-own-model.md: the file, and every command that the page shows."""

    PAGE = ROOT / "docs" / "your-own-model.md"

    @pytest.fixture
    def module(self, in_folder_with_clicks: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        code, *_ = blocks(self.PAGE, "python")
        assert len(code.splitlines()) <= 45
        (in_folder_with_clicks / "gated_fm.py").write_text(code)
        monkeypatch.syspath_prepend(str(in_folder_with_clicks))
        with registry.temporary():
            yield in_folder_with_clicks
        sys.modules.pop("gated_fm", None)

    def test_python(self, module: Path) -> None:
        _, usage, exporting = blocks(self.PAGE, "python")
        usage = usage.replace("seeds=3", "seeds=1, settings={'epochs': 1}")
        namespace: dict[str, object] = {}
        exec(compile(usage, "your-own-model.md", "exec"), namespace)  # noqa: S102
        assert [run.contender for run in namespace["comparison"].runs] == ["fm", "gated_fm"]
        assert fw.load("model").settings.model == "gated_fm"
        exec(compile(exporting, "your-own-model.md", "exec"), namespace)  # noqa: S102
        assert namespace["program"].module() is not None

    def test_commands(self, module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for command in blocks(self.PAGE, "bash")[0].strip().splitlines():
            short = ["--seeds", "1", "--set", "epochs=1"] if "compare" in command else []
            monkeypatch.setattr(sys, "argv", [*shlex.split(command), *short])
            with pytest.raises(SystemExit) as stop:
                cli.main()
            assert not stop.value.code
        assert (module / "predictions.csv").exists()
        assert fw.load("gated").settings.model_settings["reduction"] == 1

    def test_contract(self, module: Path) -> None:
        command = shlex.split(blocks(self.PAGE, "bash")[1])
        paths = os.pathsep.join([str(module), *sys.path])
        done = subprocess.run(
            [sys.executable, "-m", *command, "-q", "-p", "no:cacheprovider"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 19


def test_a_module_that_cannot_be_imported_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fieldwise", "--import", "no_such_module", "models"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    assert "--import no_such_module" in capsys.readouterr().err


def test_the_settings_of_a_comparison(tmp_path: Path) -> None:
    whole, ranges = blocks(ROOT / "docs" / "compare.md", "toml")
    path = tmp_path / "compare.toml"
    path.write_text(whole)
    found = plan(config=path)
    assert [contender.model for contender in found.contenders] == ["fm", "autoint", "autoint", "lightgbm"]
    assert found.contenders[2].resolve(seed=0).training.learning_rate == 5e-4
    path.write_text(ranges)
    assert set(plan(config=path).contenders[0].ranges) == {"model.dnn_dropout", "training.learning_rate"}


def test_the_python_of_predicting(in_folder_with_clicks: Path) -> None:
    (code,) = blocks(ROOT / "docs" / "data.md", "python")
    fw.train("clicks.csv", label="click", model="lr", settings={"epochs": 1}, out="model", progress=False)
    exec(compile(code, "data.md", "exec"), {"fw": fw})  # noqa: S102


def test_the_python_of_comparing(in_folder_with_clicks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks(ROOT / "docs" / "compare.md", "python")
    exec(compile(code.replace("seeds=3", "seeds=1, settings={'epochs': 1}"), "compare.md", "exec"), {})  # noqa: S102
    assert capsys.readouterr().out.splitlines()[-1].startswith("autoint 0.")


class TestSearching:
    """docs/aim.md: its Python, and every command that it shows, one after another."""

    PAGE = ROOT / "docs" / "aim.md"
    SETTINGS: ClassVar = {"epochs": 1, "threshold": 0.5, "dimension_threshold": 0.5, "search.epochs": 1}

    def test_python(self, in_folder_with_clicks: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (code,) = blocks(self.PAGE, "python")
        code = code.replace('label="click"', f'label="click", settings={self.SETTINGS}')
        exec(compile(code, "aim.md", "exec"), {})  # noqa: S102
        assert re.match(r"\w+\((\w+, )+\w+\) -?0\.\d+", capsys.readouterr().out.splitlines()[0])

    def test_commands(self, in_folder_with_clicks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (in_folder_with_clicks / "today.csv").write_bytes((in_folder_with_clicks / "clicks.csv").read_bytes())
        commands = [command for block in blocks(self.PAGE, "bash") for command in block.strip().splitlines()]
        assert len(commands) == 6
        for command in [commands[0], commands[0].replace("runs/aim", "runs/other"), *commands[1:]]:
            words = shlex.split(command, comments=True)
            words = ["1s" if word == "5ms" else word for word in words]  # what a slow machine can keep
            settings = [f"--set={name}={value}" for name, value in self.SETTINGS.items()]
            quick = {"search": [*settings, f"--seed={int('other' in command)}"], "train": settings[:1]}
            monkeypatch.setattr(sys, "argv", [*words, *quick.get(words[1], [])])
            with pytest.raises(SystemExit) as stop:
                cli.main()
            assert not stop.value.code, command
        assert len(fw.Architecture.load("small.json").interactions) == 20
        assert fw.load("runs/today").architecture == fw.Architecture.load("runs/aim")
        assert list(Path("runs/aim/pictures").glob("*.png"))


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("movielens-*/*.toml")), ids=lambda path: path.stem)
def test_the_settings_files_of_movielens(path: Path) -> None:
    assert len(plan(config=path).contenders) > 1


def test_the_settings_of_aim_are_the_same_in_both_files() -> None:
    """The programs in benchmarks/aim take their settings from here, and the two comparisons share a contender."""
    folder = ROOT / "examples" / "movielens-1m-ids"
    tables = {path.stem: {c.name: c.resolve(seed=0) for c in plan(config=path).contenders} for path in folder.iterdir()}
    assert tables["aim"]["AIM order 2"] == tables["ablations"]["AIM order 2"]
    everyone = [settings for table in tables.values() for settings in table.values()]
    assert {settings.training for settings in everyone} == {everyone[0].training}
    sizes = {
        (name.endswith("(D = 40)"), s.model_settings["embedding_dim"]) for t in tables.values() for name, s in t.items()
    }
    assert sizes == {(False, 16), (True, 40)}
    searches = {name: settings.search for name, settings in tables["aim"].items() if settings.search is not None}
    assert {name: search.orders for name, search in searches.items()} == {
        f"{model} order {order}": tuple(range(2, order + 1)) for model in ("AutoFIS", "AIM") for order in (2, 3, 4)
    }
    assert all((search.functions == ("inner",)) == name.startswith("AutoFIS") for name, search in searches.items())
    ablations = {name: settings.search for name, settings in tables["ablations"].items()}
    assert {name: (s.functions, s.embedding_sizes, s.shared_embedding) for name, s in ablations.items()} == {
        "FIS": (("inner",), False, False),
        "FIS + IFS shared": (None, False, True),
        "FIS + IFS": (None, False, False),
        "AIM order 2": (None, True, False),
        "FIS + IFS (D = 40)": (None, False, False),
        "AIM order 2 (D = 40)": (None, True, False),
    }
