# ruff: noqa: E501
"""Adaptive patching in a config: what is checked, and what follows."""

import inspect
import json
from math import prod

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from test_config_checks import good, message

from ucf_vit.config import dump, from_dict, load
from ucf_vit.config.checks.adaptive import DETAILS
from ucf_vit.config.sections.adaptive import Adaptive
from ucf_vit.config.sections.input import Input
from ucf_vit.core.errors import ConfigError
from ucf_vit.core.per_axis import per_axis
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.training.build import build_patcher

sides = st.lists(st.integers(1, 300), min_size=2, max_size=3)


def adaptive(**changes):
    return {"model__adaptive_patching": True, "trainer__task": "token_segmentation"} | {
        f"model__{key}": value for key, value in changes.items()
    }


def roots_of(tile, leaf):
    """Blocks of the largest side leaf * 2**k that divides all sides; and the smallest leaves."""
    root = leaf
    while all(side % (2 * root) == 0 for side in tile):
        root *= 2
    return prod(side // root for side in tile), prod(side // leaf for side in tile)


@given(st.integers(1, 2000), st.sampled_from([[32, 32], [48, 32], [64, 64], [16, 16, 16], [24, 16, 8]]))
def test_a_length_that_no_tree_of_the_tile_has_is_refused_with_near_ones(length, tile):
    more = 2 ** len(tile) - 1
    roots, cells = roots_of(tile, 2)
    change = adaptive(tile_size=tile, fixed_length=length)
    good(model__tile_size=tile, model__fixed_length=length, model__patch_size=4)
    if roots <= length <= cells and (length - roots) % more == 0:
        run = good(**change)
        assert run.grid == (run.fixed_length,) == (length,)
        assert good(**change, model__separate_channels=True).grid == (2 * length,)
        return
    text = message(**change)
    if length < roots:
        assert f"model.tile_size = {tile}: the tile {tile} has {roots} roots of side" in text
        return
    assert f"model.fixed_length = {length}: expected {roots} + {more}n tokens, up to {cells}, since" in text
    for better in map(int, text.split("such as ")[1].split(" or ")):
        good(**adaptive(tile_size=tile, fixed_length=better))
    good(**change, model__split_rule="threshold")


@given(sides, st.integers(1, 16))
def test_tiles_of_any_sides_get_the_usual_length_or_a_way_to_get_it(tile, leaf):
    usual, more = (196, 3) if len(tile) == 2 else (512, 7)
    change = adaptive(tile_size=tile, min_leaf=leaf)
    if any(side % leaf for side in tile):
        assert f"the smallest leaf, {leaf} pixels a side, does not divide the tile {tile}" in message(
            **change
        )
        return
    roots, cells = roots_of(tile, leaf)
    if roots <= usual:
        length = good(**change).adaptive.fixed_length
        assert (length - roots) % more == 0 and min(usual - more, cells - 1) < length <= min(usual, cells)
        return
    text = message(**change)
    wider = json.loads(text.split("take the tile ")[1].split("]")[0] + "]")
    good(**adaptive(tile_size=wider, min_leaf=leaf))
    good(**change, model__fixed_length=int(text.split("or fixed_length ")[1]))
    if "], min_leaf " in text:
        good(**adaptive(tile_size=tile, min_leaf=int(text.split("], min_leaf ")[1].split()[0])))


def test_a_tile_of_too_many_roots():
    assert message(**adaptive(tile_size=[196, 196])) == (
        "config: model.tile_size = [196, 196]: the tile [196, 196] has 2401 roots of side 4 (min_leaf 2, "
        "doubled as often as all sides allow), more than fixed_length 196; take the tile [192, 192], min_leaf 7 "
        "or fixed_length 2401"
    )


def test_the_patch_need_not_divide_the_tile_but_in_a_unetr():
    change = adaptive(patch_size=10)
    for task in ("token_segmentation", "masked", "classification"):
        assert good(**change | {"trainer__task": task}).grid == (196,)
    assert "patch_size 10 does not divide every side of the tile [32, 32]" in message(
        **change | {"trainer__task": "segmentation"}
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"detail": "cany"}, "model.detail = 'cany': expected one of auto, canny, gradient, variance, or "
         "path/to/file.py:function (did you mean 'canny'?)"),
        ({"detail": "mine.py"}, "model.detail = 'mine.py': expected one of"),
        ({"detail": "canny", "tile_size": [16] * 3}, "model.detail = 'canny': finds edges in 2D tiles only; take"),
        ({"detail_smoothing": [3, 4]}, "model.detail_smoothing = [3, 4]: a blur has a middle; expected odd numbers, "
         "such as [3, 5]"),
        ({"detail_smoothing": [1, 33]}, "model.detail_smoothing = [1, 33]: a blur is no wider than the tile; expected at "
         "most 32"),
        ({"detail_smoothing": []}, "model.detail_smoothing = []: expected a list of 1 or more, each a whole number"),
        ({"canny_low": [50, 40]}, "model.canny_low = [50.0, 40.0]: expected the smaller first: [40.0, 50.0]"),
        ({"canny_high": [300, 200]}, "model.canny_high = [300.0, 200.0]: expected the smaller first"),
        ({"canny_low": [50, 200], "canny_high": [100, 300]}, "model.canny_low = [50.0, 200.0]: expected at most 100"),
        ({"canny_low": [-1]}, "model.canny_low.0 = -1: expected a number >= 0"),
        ({"canny_low": [1, 2, 3]}, "model.canny_low = [1, 2, 3]: expected a list of 1 to 2, each a number >= 0"),
        ({"split_threshold": -1}, "model.split_threshold = -1: expected a number >= 0"),
        ({"adaptive_patching": False}, "model.adaptive_patching = false: task token_segmentation works on adaptive patches; set"),
    ],
)  # fmt: skip
def test_keys_that_do_not_fit_together(change, expected):
    assert f"config: {expected}" in message(**adaptive(**change))


def test_where_detail_is_looked_for():
    assert good(**adaptive()).adaptive.detail == "canny"
    assert good(**adaptive(tile_size=[16, 16, 16])).adaptive.detail == "gradient"
    assert good(**adaptive(tile_size=[16, 16, 40], twoD=True)).adaptive.detail == "canny"
    assert good(**adaptive(detail="here/mine.py:edges")).adaptive.detail == "here/mine.py:edges"


def test_cells_that_leaves_are_placed_on_have_the_side_of_a_leaf():
    change = adaptive(tile_size=[48, 96]) | {"trainer__task": "segmentation"}
    for patch in (2, 4, 8, 16):
        good(**change, model__patch_size=patch)
    text = "model.patch_size = 24: leaves can't be placed on cells of this side; expected one of their sides: 2, 4, "
    assert text in message(**change, model__patch_size=24)
    good(**change | {"model__adaptive_patching": False}, model__patch_size=24)
    good(
        **change,
        model__patch_size=24,
        model__token_placement="square",
        model__fixed_length=8,
        model__min_leaf=24,
    )


@pytest.mark.parametrize(
    ("patch", "given", "leaf"),
    [
        (8, 2, 2),
        ([8, 8, 8], [2, 2, 2], 2),
        ([16, 16, 8], 2, [4, 4, 2]),
        ([12, 12, 8], 2, [3, 3, 2]),
        ([16, 16, 8], [2, 2, 2], [2, 2, 2]),
        ([16, 16, 8], [8, 8, 2], [8, 8, 2]),
    ],
)
def test_leaves_have_the_shape_of_a_patch_unless_their_sides_are_given(patch, given, leaf):
    change = adaptive(tile_size=[48, 48, 32], patch_size=patch, min_leaf=given)
    run = good(**change)
    assert run.adaptive.min_leaf == leaf
    assert from_dict(run.model_dump(exclude_none=True)) == run
    patcher = build_patcher(run)
    assert patcher.patch_size == run.patch and patcher.forest.leaf == per_axis(leaf, 3, "")
    assert good(**change | {"model__adaptive_patching": False, "trainer__task": "masked"}).patch == run.patch


def test_leaves_of_slices_have_two_sides():
    change = adaptive(tile_size=[48, 96, 7], twoD=True, patch_size=[4, 8, 3], min_leaf=[2, 4, 9])
    assert good(**change).adaptive.min_leaf == [2, 4]


def test_sides_of_leaves_that_are_no_whole_pixels_are_refused_with_others():
    text = message(**adaptive(tile_size=[48, 48, 32], patch_size=[12, 12, 8], min_leaf=3))
    assert "model.min_leaf = 3: min_leaf 3: leaves in the ratio of patch_size [12, 12, 8] would have" in text
    better = json.loads(text.split("such as ")[1])
    good(**adaptive(tile_size=[48, 48, 32], patch_size=[12, 12, 8], min_leaf=better))


def test_cells_of_different_sides():
    change = adaptive(tile_size=[48, 48, 32], min_leaf=[3, 3, 2]) | {"trainer__task": "segmentation"}
    for patch in ([3, 3, 2], [6, 6, 4], [12, 12, 8]):
        good(**change, model__patch_size=patch)
    assert "expected one of their sides: [3, 3, 2], [6, 6, 4], [12, 12, 8]" in message(
        **change, model__patch_size=[8, 8, 8]
    )


def test_too_many_roots_of_different_sides():
    text = message(**adaptive(tile_size=[196, 196, 98], patch_size=[4, 4, 2], fixed_length=512))
    assert "has 117649 roots of side [4, 4, 2] (min_leaf [4, 4, 2], doubled" in text
    tile = json.loads(text.split("take the tile ")[1].split("]")[0] + "]")
    leaf = json.loads(text.split("], min_leaf ")[1].split("]")[0] + "]")
    good(**adaptive(tile_size=tile, patch_size=[4, 4, 2]))
    good(**adaptive(tile_size=[196, 196, 98], patch_size=[4, 4, 2], min_leaf=leaf))


def test_tokens_in_a_square():
    change = adaptive(token_placement="square", fixed_length=16) | {"trainer__task": "segmentation"}
    assert good(**change).adaptive.token_placement == "square"
    assert "fixed_length = 196: expected as many tokens as the tile has cells of patch_size, 16" in message(
        **change | {"model__fixed_length": 196}
    )
    assert "square': has one token for each cell, but separate_channels gives" in message(
        **change, model__separate_channels=True
    )
    good(**change | {"model__adaptive_patching": False, "model__fixed_length": 7})
    good(**change | {"trainer__task": "masked", "model__fixed_length": 7})


def test_without_adaptive_patching_its_keys_do_no_harm():
    for task in ("segmentation", "masked", "classification"):
        change = {"fixed_length": 5, "min_leaf": 3, "separate_channels": True, "detail_smoothing": [2]}
        assert good(**adaptive(**change, adaptive_patching=False) | {"trainer__task": task}).grid == (4, 4)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"adaptive_patching": False}, ""),
        ({"adaptive_patching": False, "min_leaf": 2, "detail": "auto"}, ""),
        ({"adaptive_patching": False, "fixed_length": 13, "detail": "canny"},
         "config: no effect of model.fixed_length, model.detail: model.adaptive_patching is false"),
        ({"split_threshold": 3}, "config: no effect of model.split_threshold: adaptive.split_rule is length"),
        ({"split_overflow": "drop"}, "config: no effect of model.split_overflow: adaptive.split_rule is length"),
        ({"split_rule": "threshold"}, ""),
        ({"split_rule": "threshold", "split_threshold": 3, "split_overflow": "drop"}, ""),
        ({"fixed_length": 13, "detail_smoothing": [1, 3]}, ""),
    ],
)  # fmt: skip
def test_keys_without_effect_get_a_word(change, expected, caplog):
    run = good(**adaptive(**change) | {"trainer__task": "segmentation"})
    assert caplog.messages == [expected] * bool(expected)
    caplog.clear()
    from_dict(yaml.safe_load(dump(run)))
    moved = expected.replace("model.", "adaptive.")  # a dumped config has every key in its section
    assert caplog.messages == [moved] * bool(moved), "no more words for a file with all defaults in it"


def test_positions_follow_the_masked_autoencoder_that_a_network_starts_from():
    pretrained = {"trainer__use_pretrained_mae_model": True, "trainer__mae_checkpoint_path": "mae"}
    for task, alone in (("masked", "sincos"), ("token_segmentation", "learned"), ("segmentation", "learned")):
        change = adaptive() | {"trainer__task": task}
        assert good(**change).input.pos_embed == alone
        assert good(**change, **pretrained).input.pos_embed == "sincos"
        assert good(**change, **pretrained, model__pos_embed="learned").input.pos_embed == "learned"


def test_the_task_token_segmentation_is_never_guessed(small):
    overrides = ["model.adaptive_patching=true", "model.fixed_length=501"]
    assert load(small, overrides).task == "segmentation"
    assert load(small, overrides, task="token_segmentation").task == "token_segmentation"
    assert load(small, [*overrides, "trainer.task=sap"]).input.pos_embed == "learned"
    with pytest.raises(ConfigError, match="task token_segmentation works on adaptive patches"):
        load(small, task="token_segmentation")


def test_the_same_options_as_the_library_has():
    options = inspect.signature(AdaptivePatcher).parameters
    run = good(**adaptive())
    given = run.adaptive.model_dump() | run.input.model_dump()
    assert set(options) <= set(given)
    assert AdaptivePatcher(**{name: given[name] for name in options}).length == 196
    for name, option in options.items():
        field = (Adaptive.model_fields | Input.model_fields)[name]
        if option.default is not inspect.Parameter.empty:
            default = tuple(field.default) if isinstance(field.default, list) else field.default
            assert default == option.default, name
    detail = pytest.importorskip("ucf_vit.patching.detail.resolve")
    assert list(detail.DETAILS) == DETAILS
