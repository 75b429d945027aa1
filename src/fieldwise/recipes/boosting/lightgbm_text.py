"""LightGBM's model text: counting the numbers in it, and checking one that may come from a stranger.

LightGBM's reader takes such a text at its word: a feature or a child that does not exist is read from beyond the
arrays. So a text is read here first, line by line, and what LightGBM gets is written anew from what was understood.

    tree                      the word that begins the file
    version=v4                and further lines `key=value` about the model as a whole
    tree_sizes=788 774        bytes of each tree's block
    (blank)
    Tree=0                    a tree's block: lines `key=value` with one value per split or per leaf
    ...
    end of trees              what follows is about the training and of no use to a prediction
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable

from fieldwise.errors import PredictorFormatError

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_INFINITE = ("inf", "-inf")
_THRESHOLD = re.compile(rf"{_NUMBER.pattern}|-?inf")
_LARGEST_LEAVES = 2**20

_HEADER = (
    "version",
    "num_class",
    "num_tree_per_iteration",
    "label_index",
    "max_feature_idx",
    "objective",
    "feature_names",
    "feature_infos",
    "tree_sizes",
)
_PER_SPLIT = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
_UNUSED = ("split_gain", "leaf_weight", "leaf_count", "internal_value", "internal_weight", "internal_count")
"""Of a tree, but of no use to a prediction."""
_SETS = ("cat_boundaries", "cat_threshold")
_TREE = ("num_leaves", "num_cat", *_PER_SPLIT, "leaf_value", *_SETS, "is_linear", "shrinkage")


def count_numbers(text: str) -> int:
    r"""The numbers in the trees: thresholds, tokens that splits list, and leaves.

    Args:
        text: a model file.

    Returns:
        How many.

    Example:
        >>> count_numbers("num_cat=0\nthreshold=0.5 1.5\nleaf_value=1 2 3\n")
        5
    """
    count = 0
    for line in text.splitlines():
        key, _, values = line.partition("=")
        if key in ("leaf_value", "threshold"):
            count += len(values.split())
        elif key == "num_cat":
            count -= int(values)  # the threshold of a split into sets only says which set
        elif key == "cat_threshold":
            count += sum(int(word).bit_count() for word in values.split())
    return count


def checked(content: bytes, *, objective: str, num_columns: int) -> str:
    """The text of the same trees, in which nothing stands but what a prediction needs and has been checked.

    Args:
        content: a model file.
        objective: what its line of that name must say.
        num_columns: columns of the rows that the trees were trained on.

    Returns:
        The text.

    Raises:
        PredictorFormatError: it is no such file; the message names the tree and the entry.
    """
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        raise PredictorFormatError("the trees are no text of LightGBM: not ASCII") from None
    head, *blocks = text.partition("\nend of trees\n")[0].split("\nTree=")
    first, _, rest = head.partition("\n")
    if first != "tree" or "\nend of trees\n" not in text:
        raise PredictorFormatError("the trees are no text of LightGBM, which goes from 'tree' to 'end of trees'")
    header = _entries(rest.splitlines(), "the text of the trees", {*_HEADER})
    expected = {
        "version": "v4",
        "num_class": "1",
        "num_tree_per_iteration": "1",
        "label_index": "0",
        "max_feature_idx": str(num_columns - 1),
        "objective": objective,
    }
    for key, value in expected.items():
        if header.get(key) != value:
            raise PredictorFormatError(
                f"the text of the trees has {key}={header.get(key, '')[:60]}, expected {key}={value}"
            )
    trees = [_tree(i, block, num_columns) for i, block in enumerate(blocks)]
    names = " ".join(f"Column_{i}" for i in range(num_columns))
    infos = " ".join(["none"] * num_columns)
    return "\n".join(
        [
            "tree",
            *(f"{key}={value}" for key, value in expected.items()),
            f"feature_names={names}",
            f"feature_infos={infos}",
            f"tree_sizes={' '.join(str(len(tree)) for tree in trees)}",
            "",
            "".join(trees) + "end of trees",
            "",
        ]
    )


def _tree(i: int, block: str, num_columns: int) -> str:
    """One tree's block, checked and written anew."""
    where = f"tree {i}"
    number, _, rest = block.partition("\n")
    if number != str(i):
        raise PredictorFormatError(f"the trees are not numbered one by one: tree {i} is called {number[:20]!r}")
    entries = _entries(rest.splitlines(), where, {*_TREE, *_UNUSED})
    missing = [key for key in ("num_leaves", "num_cat", *_PER_SPLIT, "leaf_value") if key not in entries]
    if missing:
        raise PredictorFormatError(f"{where} has no '{missing[0]}'")

    def whole(key: str, count: int | None, fits: Callable[[int], bool]) -> list[int]:
        words = _words(entries[key], where, key, count, _WHOLE)
        values = [int(word) for word in words]
        if not all(map(fits, values)):
            raise PredictorFormatError(f"{where}: '{key}' holds a value out of its range")
        return values

    (leaves,) = whole("num_leaves", 1, lambda n: 1 <= n <= _LARGEST_LEAVES)
    splits = leaves - 1
    (sets,) = whole("num_cat", 1, lambda n: 0 <= n <= splits)
    if entries.get("is_linear", "0") != "0":
        raise PredictorFormatError(f"{where} is linear in its leaves; expected constants")
    whole("split_feature", splits, lambda n: 0 <= n < num_columns)
    kinds = whole("decision_type", splits, lambda n: 0 <= n < 16)
    left, right = (whole(key, splits, lambda n: -leaves <= n < splits) for key in ("left_child", "right_child"))
    _require_tree(where, left, right, leaves)
    for key, count in (("leaf_value", leaves), ("threshold", splits), ("shrinkage", 1)):
        # A threshold of infinity parts all numbers from the missing ones.
        words = _words(entries.get(key, "1"), where, key, count, _THRESHOLD if key == "threshold" else _NUMBER)
        if not all(math.isfinite(float(word)) for word in words if word not in _INFINITE):
            raise PredictorFormatError(f"{where}: '{key}' holds a number that is not finite")
    listing = [word for word, kind in zip(entries["threshold"].split(), kinds, strict=True) if kind & 1]
    if len(listing) != sets or not all(_WHOLE.fullmatch(word) and 0 <= int(word) < sets for word in listing):
        raise PredictorFormatError(f"{where}: its splits into sets of tokens do not fit num_cat={sets}")
    keys = ["num_leaves", "num_cat", *_PER_SPLIT, "leaf_value"]
    if sets:
        keys += _SETS
        if not {*_SETS} <= entries.keys():
            raise PredictorFormatError(f"{where} splits by sets of tokens, but lists none")
        bounds = whole("cat_boundaries", sets + 1, lambda n: n >= 0)
        if bounds[0] != 0 or sorted(set(bounds)) != bounds:
            raise PredictorFormatError(f"{where}: 'cat_boundaries' must increase from 0")
        whole("cat_threshold", bounds[-1], lambda n: 0 <= n < 2**32)
    lines = [f"{key}={' '.join(entries[key].split())}" for key in keys]
    return "\n".join([f"Tree={i}", *lines, "is_linear=0", f"shrinkage={entries.get('shrinkage', '1')}", "", "", ""])


def _require_tree(where: str, left: list[int], right: list[int], leaves: int) -> None:
    """Every split but the first, and every leaf, must be the child of one split that stands before it."""
    met: set[int] = set()
    for node, children in enumerate(zip(left, right, strict=True)):
        for child in children:
            if child in met or 0 <= child <= node:
                raise PredictorFormatError(f"{where}: its splits do not form a tree")
            met.add(child)
    if leaves > 1 and len(met) != 2 * leaves - 2:
        raise PredictorFormatError(f"{where}: its splits do not form a tree")


def _entries(lines: Iterable[str], where: str, known: set[str]) -> dict[str, str]:
    entries: dict[str, str] = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if not line:
            continue
        if not equals or key not in known or key in entries:
            raise PredictorFormatError(f"{where}: expected one line for each of its entries, got {line[:40]!r}")
        entries[key] = value
    return entries


def _words(text: str, where: str, key: str, count: int | None, form: re.Pattern[str]) -> list[str]:
    words = text.split(" ") if text else []
    if count is not None and len(words) != count:
        raise PredictorFormatError(f"{where}: '{key}' has {len(words)} values, expected {count}")
    for word in words:
        if not form.fullmatch(word):
            raise PredictorFormatError(f"{where}: '{key}' holds {word[:30]!r}, expected a number")
    return words
