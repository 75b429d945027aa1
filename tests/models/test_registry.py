"""The registry: settings derived from signatures, resolved in order, and refused with the name of what is wrong."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import pytest
import torch
from pydantic import Field
from torch import Tensor

from fieldwise.data.batch import Batch
from fieldwise.errors import SettingsError
from fieldwise.layout import FieldLayout, Layout
from fieldwise.models import CTRModel, build, names, presets, register, registry, resolve, settings_model, summary
from fieldwise.models.autoint import AutoInt
from fieldwise.models.searchable import SearchHooks

LAYOUT = Layout((FieldLayout("a", "categorical", 4), FieldLayout("b", "numeric", 2)))


class Toy(CTRModel):
    """Keeps what it was built with."""

    def __init__(
        self,
        layout: Layout,
        *,
        width: Annotated[int, Field(ge=1)] = 3,
        rate: float = 0.5,
        flag: bool = False,
        mode: Literal["a", "b"] = "a",
        hidden: tuple[int, ...] = (),
        note: str | None = None,
    ) -> None:
        super().__init__(layout)
        self.built = (width, rate, flag, mode, hidden, note)

    def forward(self, batch: Batch) -> Tensor:
        return batch.numeric.sum(1)


@pytest.fixture
def toy():
    """Registers `toy` for one test."""
    with registry.temporary():
        register("toy", summary="a toy", presets={"wide": {"width": 9, "mode": "b"}}, defaults={"hidden": (4,)})(Toy)
        yield


def test_what_is_registered_temporarily_is_forgotten():
    def fail():
        with registry.temporary():
            register("toy", summary="a toy")(Toy)
            assert "toy" in names()
            raise ZeroDivisionError

    before = names()
    with pytest.raises(ZeroDivisionError):
        fail()
    assert names() == before


@pytest.mark.parametrize("name", names())
def test_a_sketch_is_the_model_without_its_numbers(name):
    layout = Layout((FieldLayout("a", "categorical", 50_000_000), FieldLayout("b", "numeric", 2)))
    state = torch.get_rng_state()
    drawn = registry.sketch(name, layout)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(tensor.is_meta for tensor in drawn.state_dict().values())
    shapes = {key: value.shape for key, value in registry.sketch(name, LAYOUT).state_dict().items()}
    assert shapes == {key: value.shape for key, value in build(name, LAYOUT).state_dict().items()}


def test_a_sketch_refuses_what_build_refuses():
    with pytest.raises(SettingsError, match="attention_dim 64 and num_heads 3"):
        registry.sketch("autoint", LAYOUT, {"num_heads": 3})


def test_searching_is_said_at_registration(toy):
    assert registry.search_defaults("toy") is None
    with pytest.raises(SettingsError, match=r"model 'toy' does not search .*: aim, autofis$"):
        registry.require_searchable("toy")
    hooks = SearchHooks(defaults={"threshold": 0.1}, while_searching={"width": 7})
    register("seeker", summary="a toy", search=hooks)(Toy)
    assert registry.search_defaults("seeker") == {"threshold": 0.1}
    assert registry.build_for_search("seeker", LAYOUT, {"width": 2, "rate": 1.5}).built[:2] == (7, 1.5)


def test_known_models():
    assert {"autoint", "autoint+", "lr"} <= set(names())
    assert names() == sorted(names())
    for name in names():
        assert summary(name)
        assert "\n" not in summary(name)


def test_settings_are_layered_defaults_then_preset_then_given(toy):
    plain = {"width": 3, "rate": 0.5, "flag": False, "mode": "a", "hidden": [4], "note": None}
    assert resolve("toy") == plain
    assert resolve("toy", preset="wide") == plain | {"width": 9, "mode": "b"}
    assert resolve("toy", preset="wide", settings={"width": 5, "note": "x"}) == plain | {
        "width": 5,
        "mode": "b",
        "note": "x",
    }


def test_resolved_settings_pass_through_json_and_build_the_model(toy):
    settings = resolve("toy", settings={"hidden": [8, 2], "rate": 1})
    model = build("toy", LAYOUT, json.loads(json.dumps(settings)))
    assert isinstance(model, Toy)
    assert model.built == (3, 1.0, False, "a", (8, 2), None)
    assert build("toy", LAYOUT).built == (3, 0.5, False, "a", (4,), None)


@pytest.mark.parametrize("name", names())
def test_every_models_settings_survive_json(name):
    for preset in [None, *presets(name)]:
        settings = resolve(name, preset=preset)
        assert json.loads(json.dumps(settings)) == settings
        assert resolve(name, settings=settings) == settings


def test_presets_are_copies(toy):
    presets("toy")["wide"]["width"] = 1000
    assert resolve("toy", preset="wide")["width"] == 9


def test_settings_have_a_json_schema(toy):
    schema = settings_model("toy").model_json_schema()
    assert schema["additionalProperties"] is False
    assert schema["properties"]["width"] == {"default": 3, "minimum": 1, "title": "Width", "type": "integer"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "autoimt"}, "unknown model 'autoimt'; did you mean 'autoint'"),
        ({"name": "autoint", "preset": "referense"}, "no preset 'referense'; did you mean 'reference'"),
        (
            {"name": "autoint", "settings": {"num_head": 2}},
            "model 'autoint' has no setting 'num_head'; did you mean 'num_heads'",
        ),
        ({"name": "autoint", "settings": {"num_heads": 0}}, "'num_heads' cannot be 0: .*greater than or equal to 1"),
        ({"name": "autoint", "settings": {"dropout": 1.0}}, "'dropout' cannot be 1.0: .*less than 1"),
        ({"name": "autoint", "settings": {"dropout": float("nan")}}, "'dropout' cannot be nan"),
        ({"name": "autoint", "settings": {"readout": "first"}}, "'readout' cannot be 'first': .*'last' or 'all'"),
        (
            {"name": "autoint", "settings": {"dnn_hidden": [400, 0]}},
            r"'dnn_hidden\.2' cannot be 0: it must",
        ),
        ({"name": "lr", "settings": {"missing": None}}, "'missing' cannot be None"),
    ],
)
def test_what_is_wrong_is_named(arguments, message):
    with pytest.raises(SettingsError, match=message):
        resolve(**arguments)


def test_build_refuses_what_contradicts_itself_or_is_unknown():
    with pytest.raises(SettingsError, match="attention_dim 64 and num_heads 3"):
        build("autoint", LAYOUT, {"num_heads": 3})
    with pytest.raises(SettingsError, match="did you mean 'wide'"):
        build("autoint", LAYOUT, {"wid": True})
    with pytest.raises(SettingsError, match="unknown model"):
        build("nothing", LAYOUT)
    with pytest.raises(SettingsError, match="at least one field"):
        build("lr", Layout(()))


def test_one_class_under_two_names_differs_by_its_defaults():
    assert type(build("autoint", LAYOUT)) is type(build("autoint+", LAYOUT)) is AutoInt
    plain, joint = resolve("autoint"), resolve("autoint+")
    assert {key: (plain[key], joint[key]) for key in plain if plain[key] != joint[key]} == {
        "dnn_hidden": ([], [400, 400]),
        "dnn_dropout": (0.0, 0.5),
    }


class TestRegisteringIsChecked:
    @pytest.fixture(autouse=True)
    def _entries(self, toy):
        """Within a copy of the registry."""

    def test_a_taken_name(self):
        with pytest.raises(ValueError, match="'toy' is taken by Toy"):
            register("toy", summary="")(Toy)

    def test_a_preset_that_is_no_setting(self):
        with pytest.raises(ValueError, match="depth"):
            register("other", summary="", presets={"deep": {"depth": 3}})(Toy)
        assert "other" not in names()

    def test_a_default_that_is_no_setting_or_out_of_range(self):
        with pytest.raises(ValueError, match="no setting 'depth'"):
            register("other", summary="", defaults={"depth": 3})(Toy)
        with pytest.raises(ValueError, match="greater than or equal to 1"):
            register("other", summary="", defaults={"width": 0})(Toy)

    def test_a_setting_without_default(self):
        class NoDefault(Toy):
            def __init__(self, layout: Layout, *, width: int) -> None:
                super().__init__(layout)

        with pytest.raises(ValueError, match="'width' must be keyword-only and have a default"):
            register("other", summary="")(NoDefault)
