"""Means, differences, significance and average changes, against numbers worked out by hand or by SciPy."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
from scipy import stats

from fieldwise.comparison import Comparison, MetricSpec, Run, average_changes, read, write
from fieldwise.comparison.pictures import draw
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
    assert fm.figures["auc"].mean == pytest.approx(0.81)
    assert fm.figures["auc"].std == pytest.approx(0.01)
    assert (lr.changes, lr.relative) == ({}, None)
    assert fm.changes["auc"] == pytest.approx(0.10)
    assert fm.relative == pytest.approx(0.81 / 0.71 - 1)
    assert fm.changes["log_loss"] == pytest.approx(0.0)
    assert (fm.train_rows_per_s, fm.epochs, fm.seeds) == (200.0, 2.0, 3)
    assert autoint.parameters_without_embeddings == 10


def test_ours_is_held_against_the_best_of_the_others() -> None:
    lr, fm, autoint = comparison(WHOLE).summaries()
    assert autoint.p_values["auc"] == pytest.approx(stats.ttest_ind(AUTOINT, FM, equal_var=False).pvalue)
    assert autoint.stars.get("auc", "") == "**"
    assert (lr.p_values, fm.p_values, fm.stars) == ({}, {}, {})
    # Log losses are all the same.
    assert (autoint.p_values["log_loss"], autoint.stars.get("log_loss", "")) == (pytest.approx(1.0), "")


@pytest.mark.parametrize(
    ("aucs", "stars"),
    [((0.829, 0.839, 0.834), "*"), ((0.811, 0.821, 0.816), ""), ((0.70, 0.71, 0.72), ""), ((0.90,), "")],
)
def test_stars_are_for_a_significantly_better_figure(aucs: tuple[float, ...], stars: str) -> None:
    runs = [*(r for r in WHOLE if r.contender != "autoint"), *(run("autoint", s, auc) for s, auc in enumerate(aucs))]
    assert comparison(runs).summaries()[-1].stars.get("auc", "") == stars


def test_a_smaller_log_loss_is_the_better_one() -> None:
    losses = {"lr": 0.5, "autoint": 0.4}
    runs = [run(name, s, 0.7, loss + s / 1000) for name, loss in losses.items() for s in range(3)]
    autoint = comparison(runs).summaries()[1]
    assert autoint.stars.get("log_loss", "") == "**"
    swapped = comparison(runs, ours=["lr"]).summaries()[0]
    assert swapped.p_values["log_loss"] == autoint.p_values["log_loss"]
    assert swapped.stars.get("log_loss", "") == ""


def test_failed_runs_do_not_count_and_are_told() -> None:
    broken = run("fm", 1, 0.9).model_copy(update={"error": "the loss is not a number", "metrics": {}})
    whole = comparison([run("lr", 0, 0.7), run("fm", 0, 0.8), broken, run("autoint", 0, None)])
    _, fm, autoint = whole.summaries()
    assert (fm.seeds, fm.failed, fm.figures["auc"].mean, fm.figures["auc"].std) == (2, 1, 0.8, None)
    assert "auc" not in autoint.figures
    assert "auc" not in autoint.changes
    text = whole.to_markdown()
    assert "* fm, seed 1: the loss is not a number" in text
    assert "| 1 of 2 |" in text
    all_failed = comparison([run("lr", 0, 0.7), broken]).summaries()[1]
    assert (all_failed.figures, all_failed.seeds, all_failed.failed) == ({}, 1, 1)


def test_published_figures_stand_beside_models_of_that_name_only() -> None:
    runs = [run("lr", 0, 0.7), run("without residual", 0, 0.7, model="autoint"), run("autoint", 0, 0.7)]
    lr, other, autoint = comparison(runs, dataset="movielens-1m").summaries()
    assert lr.published == {"auc": 0.7716, "log_loss": 0.4424}
    assert autoint.published == {"auc": 0.8456, "log_loss": 0.3797}
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
    paths = {path.name for path in write(whole, tmp_path)}
    assert {"comparison.json", "comparison.csv", "comparison.md"} <= paths
    assert read(tmp_path) == whole
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
    names = {path.name for path in draw(comparison(WHOLE), tmp_path)}
    assert names == {f"auc-against-{what}.{kind}" for what in ("parameters", "time") for kind in ("png", "svg")}
    drawn = (tmp_path / "auc-against-parameters.svg").read_text(encoding="utf-8")
    assert all(f"<!-- {name} -->" in drawn for name in ("lr", "fm", "autoint"))


def test_a_directory_without_a_comparison(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no comparison"):
        read(tmp_path)
    (tmp_path / "comparison.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SettingsError, match="cannot be read"):
        read(tmp_path)


def test_printed_it_is_a_short_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    whole = comparison(WHOLE, dataset="movielens-1m")
    lines = [line.split("  ") for line in str(whole).splitlines() if line.strip()]
    assert lines[0][0] == "clicks.csv, test rows"
    assert [cell.strip() for cell in lines[-1] if cell.strip()] == [
        *("autoint", "0.8500** ± 0.0100", "0.4000 ± 0.0000", "+0.1400", "+19.72%", "+0.0000")
    ]
    assert len(str(whole)) < 1_000
    assert repr(whole) == "Comparison('clicks.csv', lr, fm, autoint; 9 runs)"
    assert "clicks.csv" in str(comparison([], order=["lr"]))


def test_a_notebook_shows_the_table_and_its_notes() -> None:
    broken = run("<fm>", 0, 0.9).model_copy(update={"error": "no | number", "metrics": {}})
    shown = comparison([*WHOLE, broken], order=["lr", "autoint", "<fm>"])
    page = shown._repr_html_()
    assert "<td>0.8500** ± 0.0100</td>" in page
    assert "<p>Failed: &lt;fm&gt;, seed 0: no | number</p>" in page
    assert "Stars of autoint" in page


def test_names_and_errors_do_not_break_the_markdown() -> None:
    broken = run("a|b", 0, 0.9).model_copy(update={"error": "one line\nand another", "metrics": {}})
    text = comparison([run("lr", 0, 0.7), broken]).to_markdown()
    assert "| a\\|b | failed |" in text
    assert "* a|b, seed 0: one line and another" in text


def test_a_data_frame_has_the_columns_of_the_csv() -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    whole = comparison(WHOLE)
    frame = whole.to_pandas()
    assert list(frame.columns) == whole.to_csv().splitlines()[0].split(",")
    assert frame.set_index("name").loc["fm", "auc"] == pytest.approx(0.81)


def test_without_pandas_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(SettingsError, match="pip install pandas"):
        comparison(WHOLE).to_pandas()


def test_the_columns_of_clicks_are_these() -> None:
    assert comparison(WHOLE).to_csv().splitlines()[0] == (
        "name,model,seeds,failed,auc,auc_std,log_loss,log_loss_std,valid_log_loss,valid_log_loss_std,auc_change,"
        "log_loss_change,relative,p_auc,p_log_loss,auc_stars,log_loss_stars,parameters,parameters_without_embeddings,"
        "train_rows_per_s,predict_rows_per_s,epochs,seconds,published_auc,published_log_loss"
    )


def test_other_metrics_make_other_columns(tmp_path: Path) -> None:
    errors = {"lr": (3.0, 3.1, 3.2), "fm": (2.0, 2.1, 2.2), "autoint": (1.0, 1.1, 1.2)}
    runs = [
        run(name, seed, None).model_copy(update={"metrics": {"valid": {"mae": e}, "test": {"rmse": 2 * e, "mae": e}}})
        for name, values in errors.items()
        for seed, e in enumerate(values)
    ]
    metrics = (MetricSpec(name="rmse", label="RMSE", better="min"), MetricSpec(name="mae", label="MAE", better="min"))
    whole = comparison(runs, metrics=metrics, monitor="mae")
    autoint = whole.summaries()[2]
    assert autoint.figures["rmse"].mean == pytest.approx(2.2)
    assert autoint.valid is not None
    assert autoint.valid.mean == pytest.approx(1.1)
    assert autoint.relative == pytest.approx(2.2 / 6.2 - 1)
    assert autoint.stars == {"rmse": "**", "mae": "**"}
    assert autoint.p_values["mae"] == pytest.approx(
        stats.ttest_ind(errors["autoint"], errors["fm"], equal_var=False)[1]
    )
    assert whole.to_markdown().startswith(
        "| model | test RMSE | test MAE | RMSE to lr | relative | MAE to lr | without embeddings |"
    )
    assert "rmse,rmse_std,mae,mae_std,valid_mae,valid_mae_std,rmse_change,mae_change" in whole.to_csv()
    write(whole, tmp_path)
    assert read(tmp_path) == whole


def test_comparisons_of_before_have_the_metrics_of_clicks(tmp_path: Path) -> None:
    whole = comparison(WHOLE)
    content = whole.to_dict()
    del content["comparison"]["metrics"], content["comparison"]["monitor"]
    (tmp_path / "comparison.json").write_text(json.dumps(content), encoding="utf-8")
    assert read(tmp_path) == whole
