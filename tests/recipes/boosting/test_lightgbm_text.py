"""LightGBM's text: the numbers in it are counted, and nothing that was not understood gets to the library."""

from __future__ import annotations

import pytest

from fieldwise.errors import PredictorFormatError
from fieldwise.recipes.boosting.lightgbm_text import checked, count_numbers

# The first split asks whether column 0 holds one of the tokens {0, 2, 32}, the second whether column 1 is at most 0.5.
TREE = """num_leaves=3
num_cat=1
split_feature=0 1
split_gain=10 5
threshold=0 0.5
decision_type=1 8
left_child=1 -1
right_child=-2 -3
leaf_value=0.1 -0.2 1e-3
leaf_weight=1 1 1
leaf_count=1 1 1
internal_value=0 0
internal_weight=2 2
internal_count=2 2
cat_boundaries=0 2
cat_threshold=5 1
is_linear=0
shrinkage=0.1
"""
TEXT = f"""tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=1
objective=binary sigmoid:1
feature_names=Column_0 Column_1
feature_infos=-1:0:2:32 [0:1]
tree_sizes={len(TREE) + 10}

Tree=0
{TREE}

end of trees

feature_importances:
Column_0=1
"""


def read(text: str, *, objective: str = "binary sigmoid:1", num_columns: int = 2) -> str:
    return checked(text.encode(), objective=objective, num_columns=num_columns)


def test_thresholds_listed_tokens_and_leaves_are_counted() -> None:
    assert count_numbers(TEXT) == 1 + 3 + 3


def test_a_split_of_the_missing_from_all_others() -> None:
    assert "threshold=0 inf\n" in read(TEXT.replace("threshold=0 0.5", "threshold=0 inf"))
    for wrong in (TEXT.replace("threshold=0 0.5", "threshold=inf 0.5"), TEXT.replace("1e-3", "inf")):
        with pytest.raises(PredictorFormatError):
            read(wrong)


def test_the_same_trees_come_out_and_nothing_of_the_training() -> None:
    text = read(TEXT)
    assert count_numbers(text) == count_numbers(TEXT)
    assert "leaf_value=0.1 -0.2 1e-3\n" in text
    assert "leaf_count" not in text
    assert "feature_importances" not in text
    assert read(text) == text


def test_what_lightgbm_reads_is_what_was_checked() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    booster = lightgbm.Booster(model_str=read(TEXT))
    rows = [[2, 0.4], [2, 0.6], [1, 0.4], [32, 0.5], [33, 0.5]]
    raw = booster.predict(rows, raw_score=True, num_threads=1)
    assert raw.tolist() == [0.1, 1e-3, -0.2, 0.1, -0.2]


def test_a_tree_may_be_a_single_leaf() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    empty = "\n".join(f"{key}=" for key in ("split_feature", "threshold", "decision_type", "left_child", "right_child"))
    tree = f"num_leaves=1\nnum_cat=0\n{empty}\nleaf_value=0.25\nis_linear=0\nshrinkage=1\n"
    booster = lightgbm.Booster(model_str=read(TEXT.replace(TREE, tree)))
    assert booster.predict([[0, 0]], raw_score=True, num_threads=1).tolist() == [0.25]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("split_feature=0 1", "split_feature=0 2", "'split_feature' holds a value out of its range"),
        ("split_feature=0 1", "split_feature=0 -1", "'split_feature' holds a value out of its range"),
        ("split_feature=0 1", "split_feature=0", "'split_feature' has 1 values, expected 2"),
        ("left_child=1 -1", "left_child=1 1", "do not form a tree"),
        ("left_child=1 -1", "left_child=0 -1", "do not form a tree"),
        ("left_child=1 -1", "left_child=2 -1", "'left_child' holds a value out of its range"),
        ("right_child=-2 -3", "right_child=-2 -2", "do not form a tree"),
        ("right_child=-2 -3", "right_child=-2 -4", "'right_child' holds a value out of its range"),
        ("num_leaves=3", "num_leaves=4", "has 2 values, expected 3"),
        ("num_leaves=3", "num_leaves=99999999999999999999", "holds '99999999999999999999', expected a number"),
        ("num_leaves=3", "num_leaves=0", "'num_leaves' holds a value out of its range"),
        ("num_cat=1", "num_cat=0", "sets of tokens do not fit num_cat=0"),
        ("num_cat=1", "num_cat=2", "sets of tokens do not fit num_cat=2"),
        ("threshold=0 0.5", "threshold=1 0.5", "sets of tokens do not fit"),
        ("threshold=0 0.5", "threshold=0 nan", "holds 'nan', expected a number"),
        ("decision_type=1 8", "decision_type=8 8", "sets of tokens do not fit"),
        ("leaf_value=0.1", "leaf_value=1e999", "'leaf_value' holds a number that is not finite"),
        ("leaf_value=0.1", "leaf_value=inf", "holds 'inf', expected a number"),
        ("cat_boundaries=0 2", "cat_boundaries=0 9", "'cat_threshold' has 2 values, expected 9"),
        ("cat_boundaries=0 2", "cat_boundaries=1 2", "'cat_boundaries' must increase from 0"),
        ("cat_threshold=5 1", "cat_threshold=5 4294967296", "'cat_threshold' holds a value out of its range"),
        ("cat_threshold=5 1\n", "", "splits by sets of tokens, but lists none"),
        ("is_linear=0", "is_linear=1", "is linear in its leaves"),
        ("shrinkage=0.1", "shrinkage=x", "'shrinkage' holds 'x', expected a number"),
        ("shrinkage=0.1", "shrinkage=0.1\nleaf_const=1 1 1", "got 'leaf_const=1 1 1'"),
        ("shrinkage=0.1", "shrinkage=0.1\nshrinkage=0.2", "got 'shrinkage=0.2'"),
        ("leaf_value=0.1 -0.2 1e-3\n", "", "tree 0 has no 'leaf_value'"),
        ("Tree=0", "Tree=7", "tree 0 is called '7'"),
        ("num_class=1", "num_class=3", "has num_class=3, expected num_class=1"),
        ("version=v4", "version=v3", "has version=v3, expected version=v4"),
        ("label_index=0", "label_index=0\naverage_output", "got 'average_output'"),
        ("end of trees", "end", "from 'tree' to 'end of trees'"),
        ("tree\nversion", "forest\nversion", "from 'tree' to 'end of trees'"),
    ],
)
def test_what_is_not_so_is_refused(old: str, new: str, complaint: str) -> None:
    assert old in TEXT
    with pytest.raises(PredictorFormatError, match=complaint):
        read(TEXT.replace(old, new, 1))


def test_another_number_of_columns_and_another_objective_are_refused() -> None:
    with pytest.raises(PredictorFormatError, match="max_feature_idx=1, expected max_feature_idx=4"):
        read(TEXT, num_columns=5)
    with pytest.raises(PredictorFormatError, match="objective=binary sigmoid:1, expected objective=regression"):
        read(TEXT, objective="regression")
    with pytest.raises(PredictorFormatError, match="not ASCII"):
        checked(b"\xff" + TEXT.encode(), objective="binary sigmoid:1", num_columns=2)
