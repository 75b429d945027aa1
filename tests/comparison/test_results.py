"""Means, differences, significance and average changes, against numbers worked out by hand or by SciPy."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from scipy import stats

from fieldwise.comparison import tables
from fieldwise.comparison.results import Comparison, Run, average_changes
from fieldwise.errors import SettingsError


def run(contender: str, seed: int, auc: float | None, log_loss: float = 0.4, **more: object) -> Run:
    return Run(
        contender=contender,
        model=more.pop("model", contender),
        seed=seed,
        settings={},
        metrics={"valid": {"log_loss": log_loss}, "test": {"auc": auc, "log_loss": log_loss}},
        parameters={"all": 1000, "without_embeddings": 10},
        train_rows_per_s=100.0 * (seed + 1),
        predict_rows_per_s=1.0,
        epochs=seed + 1,
        seconds=2.0,
        **more,
    )


def comparison(runs: list[Run], **changes: object) -> Comparison:
    order = list(dict.fromkeys(r.contender for r in runs))
    return Comparison(
        **{
            "source": "clicks.csv",
            "rows": {"train": 80, "valid": 10, "test": 10},
            "split_seed": 0,
            "base": "lr",
            "ours": ["autoint"],
            "order": order,
            "runs": runs,
            **changes,
        }
    )


LR, FM, AUTOINT = (0.70, 0.71, 0.72), (0.80, 0.81, 0.82), (0.84, 0.85, 0.86)
WHOLE = [
    run(name, s, auc) for name, aucs in (("lr", LR), ("fm", FM), ("autoint", AUTOINT)) for s, auc in enumerate(aucs)
]


def test_means_deviations_and_differences() -> None:
    lr, fm, autoint = comparison(WHOLE).summaries()
    assert fm.auc.mean == pytest.approx(0.81)
    assert fm.auc.std == pytest.approx(0.01)
    assert (lr.auc_change, lr.relative) == (None, None)
    assert fm.auc_change == pytest.approx(0.10)
    assert fm.relative == pytest.approx(0.81 / 0.71 - 1)
    assert fm.log_loss_change == pytest.approx(0.0)
    assert (fm.train_rows_per_s, fm.epochs, fm.seeds) == (200.0, 2.0, 3)
    assert autoint.parameters_without_embeddings == 10


def test_ours_is_held_against_the_best_of_the_others() -> None:
    lr, fm, autoint = comparison(WHOLE).summaries()
    assert autoint.p_auc == pytest.approx(stats.ttest_ind(AUTOINT, FM, equal_var=False).pvalue)
    assert autoint.auc_stars == "**"
    assert (lr.p_auc, fm.p_auc, fm.auc_stars) == (None, None, "")
    # Log losses are all the same.
    assert (autoint.p_log_loss, autoint.log_loss_stars) == (pytest.approx(1.0), "")


@pytest.mark.parametrize(
    ("aucs", "stars"),
    [((0.829, 0.839, 0.834), "*"), ((0.811, 0.821, 0.816), ""), ((0.70, 0.71, 0.72), ""), ((0.90,), "")],
)
def test_stars_are_for_a_significantly_better_figure(aucs: tuple[float, ...], stars: str) -> None:
    runs = [*(r for r in WHOLE if r.contender != "autoint"), *(run("autoint", s, auc) for s, auc in enumerate(aucs))]
    assert comparison(runs).summaries()[-1].auc_stars == stars


def test_a_smaller_log_loss_is_the_better_one() -> None:
    losses = {"lr": 0.5, "autoint": 0.4}
    runs = [run(name, s, 0.7, loss + s / 1000) for name, loss in losses.items() for s in range(3)]
    autoint = comparison(runs).summaries()[1]
    assert autoint.log_loss_stars == "**"
    swapped = comparison(runs, ours=["lr"]).summaries()[0]
    assert swapped.p_log_loss == autoint.p_log_loss
    assert swapped.log_loss_stars == ""


def test_failed_runs_do_not_count_and_are_told() -> None:
    broken = run("fm", 1, 0.9).model_copy(update={"error": "the loss is not a number", "metrics": {}})
    whole = comparison([run("lr", 0, 0.7), run("fm", 0, 0.8), broken, run("autoint", 0, None)])
    _, fm, autoint = whole.summaries()
    assert (fm.seeds, fm.failed, fm.auc.mean, fm.auc.std) == (2, 1, 0.8, None)
    assert (autoint.auc, autoint.auc_change) == (None, None)
    text = tables.to_markdown(whole)
    assert "* fm, seed 1: the loss is not a number" in text
    assert "| 1 of 2 |" in text
    all_failed = comparison([run("lr", 0, 0.7), broken]).summaries()[1]
    assert (all_failed.auc, all_failed.seeds, all_failed.failed) == (None, 1, 1)


def test_published_figures_stand_beside_models_of_that_name_only() -> None:
    runs = [run("lr", 0, 0.7), run("without residual", 0, 0.7, model="autoint"), run("autoint", 0, 0.7)]
    lr, other, autoint = comparison(runs, dataset="movielens-1m").summaries()
    assert lr.published == (0.7716, 0.4424)
    assert autoint.published == (0.8456, 0.3797)
    assert other.published is None
    assert all(s.published is None for s in comparison(runs).summaries())


def test_average_changes_of_joint_models() -> None:
    first = comparison([run("fm", 0, 0.80, 0.40), run("deepfm", 0, 0.82, 0.38), run("lr", 0, 0.7)])
    second = comparison([run("fm", 0, 0.70, 0.50), run("deepfm", 0, 0.71, 0.49)])
    (row,) = average_changes([first, second])
    assert (row["model"], row["base"], row["data_sets"]) == ("deepfm", "fm", 2)
    assert row["auc_change"] == pytest.approx(0.015)
    assert row["log_loss_change"] == pytest.approx(-0.015)


def test_files_hold_what_the_table_shows(tmp_path: Path) -> None:
    whole = comparison(WHOLE, dataset="movielens-1m")
    paths = {path.name for path in tables.write(whole, tmp_path)}
    assert {"comparison.json", "comparison.csv", "comparison.md"} <= paths
    assert tables.read(tmp_path) == whole
    lines = list(csv.DictReader((tmp_path / "comparison.csv").read_text(encoding="utf-8").splitlines()))
    assert [line["name"] for line in lines] == ["lr", "fm", "autoint"]
    assert float(lines[1]["auc"]) == pytest.approx(0.81)
    assert float(lines[2]["published_auc"]) == 0.8456
    text = (tmp_path / "comparison.md").read_text(encoding="utf-8")
    assert "| autoint | 0.8500** ± 0.0100 |" in text
    assert "| AUC to lr |" in text
    assert json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))["summaries"][2]["auc_stars"] == "**"


def test_pictures_show_every_contender(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    names = {path.name for path in tables.draw(comparison(WHOLE), tmp_path)}
    assert names == {f"auc-against-{what}.{kind}" for what in ("parameters", "time") for kind in ("png", "svg")}
    drawn = (tmp_path / "auc-against-parameters.svg").read_text(encoding="utf-8")
    assert all(f"<!-- {name} -->" in drawn for name in ("lr", "fm", "autoint"))


def test_a_directory_without_a_comparison(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no comparison"):
        tables.read(tmp_path)
    (tmp_path / "comparison.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SettingsError, match="cannot be read"):
        tables.read(tmp_path)
