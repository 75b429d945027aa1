"""Pictures of architectures: which are drawn, and that they show what they should."""

import itertools
import re
import sys
from pathlib import Path

import pytest

from fieldwise.architecture import Architecture, FieldSummary, Interaction
from fieldwise.errors import SettingsError, StorageError
from fieldwise.explain.pictures import draw, letters_of

FIELDS = {
    "user": FieldSummary(kind="categorical", size=6040),
    "movie": FieldSummary(kind="categorical", size=3706),
    "tags": FieldSummary(kind="multi_valued", size=20),
    "price ($) or ($$)": FieldSummary(kind="numeric", size=2),
    "age": FieldSummary(kind="numeric", size=2),
}
PRICE = "price ($) or ($$)"
INTERACTIONS = (
    Interaction(fields=("user", "movie"), function="inner", gate=-0.9),
    Interaction(fields=("user", "movie"), function="outer", gate=0.5),
    Interaction(fields=("user", "tags"), function="outer", gate=0.4),
    Interaction(fields=("movie", PRICE), function="inner", gate=0.3),
    Interaction(fields=("user", "movie", "age"), function="inner", gate=0.2),
)
STATISTICS = {
    **{fields: 0.5 + i / 50 for i, fields in enumerate(itertools.combinations(FIELDS, 2))},
    **{fields: 0.5 + i / 70 for i, fields in enumerate(itertools.combinations(FIELDS, 3))},
}


@pytest.fixture(autouse=True)
def _matplotlib():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")


def example(**changes) -> Architecture:
    return Architecture.model_validate({"embedding_dim": 4, "fields": FIELDS, "interactions": INTERACTIONS, **changes})


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """A folder with all pictures of the example."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    folder = tmp_path_factory.mktemp("pictures") / "new" / "folder"
    written = draw(example(settings={"functions": ["inner", "outer", "never"]}), folder, statistics=STATISTICS)
    assert sorted(written) == sorted(folder.iterdir())
    return folder


def texts(path: Path) -> str:
    """What an SVG says: it draws glyphs, and names each text in a comment."""
    return "\n".join(re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8"), re.DOTALL))


def names(paths: list[Path]) -> set[str]:
    assert all(path.stat().st_size > 1000 for path in paths)
    assert {path.suffix for path in paths} <= {".png", ".svg"}
    assert len(paths) == 2 * len({path.stem for path in paths})
    return {path.stem for path in paths}


def test_all_pictures_as_png_and_svg(drawn):
    written = list(drawn.iterdir())
    assert names(written) == {"embedding-sizes", "functions", "gates", "pairs"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written if path.suffix == ".png")


def test_without_statistics_gates_are_not_drawn(tmp_path):
    assert names(draw(example(), tmp_path)) == {"embedding-sizes", "functions", "pairs"}
    assert "statistics_AUC" not in texts(tmp_path / "functions.svg")


def test_gates_tell_kept_tuples_from_the_others(drawn):
    shown = texts(drawn / "gates.svg")
    # Order 2: 3 of 10 tuples, two of them strongest by inner; order 3: 1 of 10.
    for text in ("order 2", "not kept (7)", "inner (2)", "outer (1)", "order 3", "not kept (9)", "inner (1)"):
        assert text in shown
    assert "user × movie" in shown
    assert "rank correlation" in shown


def test_statistics_of_some_tuples_only_and_in_any_order_of_fields(tmp_path):
    statistics = {("movie", "user"): 0.7, ("tags", "age"): 0.6}
    draw(example(), tmp_path, statistics=statistics)
    shown = texts(tmp_path / "gates.svg")
    assert "order 2 (2 kept tuples without statistics_AUC are not shown)" in shown
    assert "order 3" not in shown
    assert "not kept (1)" in shown


def test_statistics_of_other_orders_draw_nothing(tmp_path):
    assert "gates" not in names(draw(example(), tmp_path, statistics={("user",): 0.7}))


def test_functions_are_counted_by_order(drawn):
    shown = texts(drawn / "functions.svg")
    for text in ("order 2: 3 of 10 field tuples are kept", "2 (20.0%)", "never", "0 (0.0%)", "not kept"):
        assert text in shown


def test_sizes_name_every_field(drawn):
    shown = texts(drawn / "embedding-sizes.svg")
    for text in ("user", "movie", "tags", PRICE, "age", "categorical (2)", "numeric (2)", "nothing removed (12)"):
        assert text in shown


def test_fields_of_one_vocabulary_size_share_a_label(tmp_path):
    fields = {f"f{i}": FieldSummary(kind="numeric", size=2) for i in range(8)}
    interactions = [Interaction(fields=("f0", f"f{i}"), function="inner") for i in range(1, 8)]
    kept = {f"f{i}": tuple(range(40 if i < 6 else 41)) for i in range(8)}
    architecture = Architecture(
        embedding_dim=100, fields=fields, interactions=interactions, dimensions={2: {"inner": kept}}
    )
    draw(architecture, tmp_path)
    shown = texts(tmp_path / "embedding-sizes.svg")
    assert "41: f6, f7" in shown
    assert "40: f0, f1, f2, f3,\n   f4, f5" in shown
    # The line of what nothing removed would be is too far up to be shown.
    assert "nothing removed" not in shown
    draw(architecture.model_copy(update={"dimensions": None}), tmp_path)
    assert "f0, f1, f2, f3,\n   f4, f5, f6, f7" in texts(tmp_path / "embedding-sizes.svg")


def test_the_map_of_pairs(drawn):
    shown = texts(drawn / "pairs.svg")
    for text in ("3 of 10 pairs of fields are kept", "I\N{NBSP}inner\N{NBSP}(2)", "O\N{NBSP}outer\N{NBSP}(2)"):
        assert text in shown.replace("\n", " ")
    lines = shown.splitlines()
    assert lines.count("IO") == lines.count("O") == lines.count("I") == 1
    # The first field has no row and the last no column.
    assert (lines.count("user"), lines.count("age"), lines.count("tags")) == (1, 1, 2)


def test_orders_above_two_have_no_map(tmp_path):
    triples = [i for i in INTERACTIONS if i.order == 3]
    assert names(draw(example(interactions=triples), tmp_path)) == {"embedding-sizes", "functions"}


def test_letters_of_functions():
    assert letters_of(["inner", "outer", "vector_kernel"]) == {"inner": "I", "outer": "O", "vector_kernel": "V"}
    assert letters_of(["inner", "identity", "in"]) == {"inner": "I", "identity": "D", "in": "N"}
    assert letters_of(["_", "é!"]) == {"_": "A", "é!": "É"}
    assert letters_of([f"{i}" for i in range(10)] + ["0"] + ["+" * i for i in range(1, 28)])["+" * 27] == "?"


def test_no_interactions_no_pictures(tmp_path):
    assert draw(example(interactions=()), tmp_path / "new", statistics=STATISTICS) == []
    assert not (tmp_path / "new").exists()


def test_without_matplotlib_nothing_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert draw(example(), tmp_path / "new", statistics=STATISTICS) == []
    assert not (tmp_path / "new").exists()


def test_gates_of_zero_and_fields_without_positions(tmp_path):
    weak = [i.model_copy(update={"gate": 0.0}) for i in INTERACTIONS]
    nothing = dict.fromkeys(FIELDS, ())
    dimensions = {2: {"inner": nothing, "outer": nothing}, 3: {"inner": nothing}}
    written = draw(example(interactions=weak, dimensions=dimensions), tmp_path, statistics=STATISTICS)
    assert names(written) == {"embedding-sizes", "functions", "gates", "pairs"}


def test_too_many_functions_for_a_cell_have_no_letters_and_long_names_are_cut(tmp_path):
    many = [f"a_field_with_quite_a_long_name_{i}" for i in range(12)]
    architecture = Architecture(
        embedding_dim=4,
        fields={name: FieldSummary(kind="categorical", size=3 + i) for i, name in enumerate(many)},
        interactions=[Interaction(fields=tuple(many[:2]), function=f) for f in "ABCDEFGHIJ"],
    )
    draw(architecture, tmp_path)
    shown = texts(tmp_path / "pairs.svg")
    assert "ABCDEFGHIJ" not in shown
    assert "a_field_with_quite_a_lo…" in shown


def test_a_tuple_of_unknown_fields_is_named(tmp_path):
    with pytest.raises(SettingsError, match="there is no field 'usr'; did you mean 'user'"):
        draw(example(), tmp_path, statistics={("usr", "movie"): 0.5})


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*Not a directory"):
        draw(example(), tmp_path / "file")
