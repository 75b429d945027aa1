"""Architecture files: written, read, edited by hand, and refused with a reason."""

import json

import pytest

from fieldwise.architecture import Architecture, FieldSummary, Interaction
from fieldwise.errors import SettingsError, StorageError
from fieldwise.layout import FieldLayout, Layout
from fieldwise.wording import for_commands

FIELDS = {name: FieldSummary(kind="categorical", size=10) for name in ("user", "movie", "hour")}


def example() -> Architecture:
    return Architecture(
        embedding_dim=4,
        fields=FIELDS,
        interactions=(
            Interaction(fields=("user", "movie"), function="inner", gate=-0.9),
            Interaction(fields=("user", "hour"), function="outer", gate=0.4),
            Interaction(fields=("user", "movie", "hour"), function="inner", gate=0.2),
        ),
        dimensions={2: {"inner": {"user": (0, 3), "movie": (1,)}}},
    )


def test_a_file_gives_back_what_was_saved(tmp_path):
    path = example().save(tmp_path / "new" / "architecture.json")
    assert Architecture.load(path) == example()
    assert Architecture.load(path.parent) == example()
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")  # as some editors save it
    assert Architecture.load(path) == example()
    assert sorted(p.name for p in path.parent.iterdir()) == ["architecture.json"]


def test_each_interaction_stands_on_a_line_of_its_own(tmp_path):
    text = example().to_json()
    assert '    {"fields": ["user", "movie"], "function": "inner", "gate": -0.9},\n' in text
    assert json.loads(text)["dimensions"]["2"]["inner"]["user"] == [0, 3]


def test_orders_functions_and_strengths():
    architecture = example()
    assert architecture.orders == (2, 3)
    assert architecture.functions == ("inner", "outer")
    assert [str(i) for i in architecture.of(2)] == ["inner(user, movie)", "outer(user, hour)"]
    assert architecture.of(2, "outer")[0].gate == 0.4
    assert architecture.strengths(2) == {("user", "movie"): 0.9, ("user", "hour"): 0.4}


def test_positions_that_are_not_listed_are_all_kept():
    architecture = example()
    assert architecture.kept_dimensions(2, "inner", "user") == (0, 3)
    assert architecture.kept_dimensions(2, "inner", "hour") == (0, 1, 2, 3)
    assert architecture.kept_dimensions(3, "inner", "user") == (0, 1, 2, 3)
    shared = Architecture.model_validate(
        {**example().model_dump(), "shared_embedding": True, "dimensions": {2: {"shared": {"user": [2]}}}}
    )
    assert shared.kept_dimensions(2, "outer", "user") == (2,)


def test_other_interactions_are_sorted_by_their_gates():
    weak, strong = (Interaction(fields=("user", "movie"), function=f, gate=g) for f, g in (("a", 0.1), ("b", -0.5)))
    assert example().with_interactions([weak, strong]).interactions == (strong, weak)


def test_every_tuple_with_every_function():
    layout = Layout(tuple(FieldLayout(name, "categorical", 10) for name in FIELDS))
    everything = Architecture.everything(layout, order=2, functions=["inner", "outer"], embedding_dim=4)
    assert [i.fields for i in everything.of(2, "outer")] == [("user", "movie"), ("user", "hour"), ("movie", "hour")]
    assert len(everything.interactions) == 6
    assert everything.layout == layout


def test_every_tuple_of_very_many_fields_is_refused():
    layout = Layout(tuple(FieldLayout(f"f{n}", "categorical", 3) for n in range(1000)))
    with pytest.raises(SettingsError, match="499,500 interactions of 1000 fields are too many to build at once"):
        Architecture.everything(layout, functions=["inner"], embedding_dim=4)


def change(path: list, value: object) -> dict:
    content = json.loads(example().to_json())
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["interactions", 0, "fields"], ["usr", "movie"], "interaction 1, inner.usr, movie.: 'usr' is not one"),
        (["interactions", 0, "fields"], ["user", "user"], "a field stands twice"),
        (["interactions", 0, "fields"], ["movie", "user"], "write its fields in the order of 'fields': user, movie"),
        (["interactions", 0, "fields"], ["user"], "interactions.1.fields"),
        (["interactions", 0, "gate"], "big", "interactions.1.gate"),
        (["interactions", 0, "gates"], 1.0, "unknown entry 'interactions.1.gates'"),
        (["interactions", 1], {"fields": ["user", "movie"], "function": "inner", "gate": 1}, "it stands twice"),
        (["dimensions", "2", "inner", "user"], [0, 4], "expected ascending numbers from 0 to 3"),
        (["dimensions", "2", "inner", "user"], [1, 1], "each once"),
        (["dimensions", "2", "inner", "usr"], [1], "did you mean 'user'"),
        (["embedding_dim"], 0, "embedding_dim"),
        (["fields"], {}, "'fields'"),
        (["format"], "a song", "this is no architecture"),
        (["version"], 7, "newer fieldwise"),
        (["dimension"], 3, "unknown entry 'dimension'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, path, value, message):
    file = tmp_path / "a.json"
    file.write_text(json.dumps(change(path, value)))
    with pytest.raises(SettingsError, match=message) as caught:
        Architecture.load(file)
    assert str(caught.value).startswith(str(file))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 1}', "[" * 100_000, '{"a": 1, "a": 2}', "null"])
def test_files_that_hold_something_else_are_refused(tmp_path, text):
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"a\.json"):
        Architecture.load(file)


def test_a_missing_file_says_where_one_comes_from(tmp_path):
    with pytest.raises(SettingsError, match=r"; fieldwise\.search writes one"):
        Architecture.load(tmp_path / "nothing.json")
    with for_commands(), pytest.raises(SettingsError, match="; fieldwise search writes one"):
        Architecture.load(tmp_path / "nothing.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="UTF-8"):
        Architecture.load(tmp_path / "bytes.json")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        example().save(tmp_path / "file" / "architecture.json")


def version_1() -> dict:
    content = json.loads(example().to_json())
    content["positions"] = content.pop("dimensions")
    stages = [{"stage": "order 2", "passes": 3, "seconds": 1.0}, {"stage": "positions", "passes": 1, "seconds": 2.0}]
    stages[1] |= {"valid_log_loss": 0.5, "valid_auc": 0.7}
    return {**content, "version": 1, "settings": {"functions": ["inner"], "stages": stages, "epochs": 4}}


def test_files_of_version_1_are_read_in_today_s_words():
    architecture = Architecture.parse(json.dumps(version_1()))
    assert architecture.version == 2
    assert architecture.dimensions == example().dimensions
    stages = [{"stage": "order 2", "epochs": 3, "seconds": 1.0}, {"stage": "dimensions", "epochs": 1, "seconds": 2.0}]
    stages[1]["valid"] = {"log_loss": 0.5, "auc": 0.7}
    assert architecture.settings == {"functions": ["inner"], "stages": stages, "epochs": 4}
    assert Architecture.parse(architecture.to_json()) == architecture
    by_hand = {name: value for name, value in version_1().items() if name != "version"}
    assert Architecture.parse(json.dumps(by_hand)) == architecture


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dimensions": {}}, "'positions' is the old name of 'dimensions', and both are there"),
        ({"version": True}, "version"),
        ({"version": 0}, "version"),
        ({"version": 2}, "unknown entry 'positions'"),
        ({"positions": 3}, "dimensions"),
        ({"settings": 3}, "settings"),
    ],
)
def test_what_is_wrong_with_a_file_of_version_1_is_named(changes, message):
    with pytest.raises(SettingsError, match=message):
        Architecture.parse(json.dumps({**version_1(), **changes}))
