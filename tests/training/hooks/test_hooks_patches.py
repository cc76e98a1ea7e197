"""Pictures of adaptive patches show what the patcher did, for any tile."""

import io
import logging
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray
from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.data.batch import Batch
from ucf_vit.drawing import patches
from ucf_vit.drawing.patched_tile import PatchedTile, View, patched, views
from ucf_vit.drawing.patches import draw_examples, draw_patches, in_words
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.tasks.task import Task
from ucf_vit.training.hooks.pictures import PicturesHook


def _image(*shape: int) -> Tensor:
    """Dark noise with a bright, noisy block in a corner."""
    image = 0.05 * torch.rand(shape, generator=torch.Generator().manual_seed(0))
    image[(slice(None), *[slice(0, side // 3) for side in shape[1:]])] *= 20
    return image


def _patcher(image: Tensor, length: int, **options: Any) -> AdaptivePatcher:
    return AdaptivePatcher(
        tile_size=image.shape[1:], **{"patch_size": 4, "fixed_length": length, "detail": "gradient"} | options
    )


@pytest.mark.parametrize("shape", [(1, 32, 32), (2, 48, 32), (1, 16, 24, 16)])
def test_each_pixel_has_the_number_of_its_token(shape: tuple[int, ...]) -> None:
    image = _image(*shape)
    tile = patched(image, _patcher(image, 50))
    assert tile.covered == 1
    assert tile.counts == [len(np.unique(tile.order))]
    for number, (start, sides) in enumerate(zip(tile.leaves.start[0], tile.leaves.sides[0], strict=True)):
        box = tuple(slice(int(first), int(first + side)) for first, side in zip(start, sides, strict=True))
        assert (tile.order[0][box] == number).all() or sides[0] == 0


@pytest.mark.parametrize("leaf", [2, [1, 3, 2]])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_is_tiled_by_the_leaves_in_view(axis: int, leaf: int | list[int]) -> None:
    image = _image(1, 16, 24, 32)
    tile = patched(image, _patcher(image, 64, min_leaf=leaf))
    for index in (0, 7, 15):
        view = View(image.shape[1:], axis, index)
        seen = view.cut(tile.order[0])
        width, height = view.size
        assert seen.shape == (height, width)
        starts, sides = view.boxes(tile.leaves, 0)
        assert sides.prod(axis=1).sum() == seen.size
        for (x, y), (right, up) in zip(starts, sides, strict=True):
            assert len(np.unique(seen[height - y - up : height - y, x : x + right])) == 1, "y points up"


def test_volumes_are_cut_where_there_is_most_detail() -> None:
    detail = np.zeros((8, 10, 12), np.uint8)
    detail[2, 3, 4] = 250
    detail[:, 3, :] += 3
    assert [(view.axis, view.index) for view in views(detail)] == [(2, 4), (1, 3), (0, 2)]
    assert [view.name for view in views(detail)] == ["z = 4", "y = 3", "x = 2"]
    assert views(detail[0]) == [View((10, 12))]


def test_psnr_is_against_the_range_and_infinite_where_leaves_fit_a_patch() -> None:
    image = _image(3, 32, 32) * 100
    tile = patched(image, _patcher(image, 25))
    error = (torch.from_numpy(tile.back) - image).square().mean()
    expected = 10 * math.log10(float((image.max() - image.min()) ** 2 / error))
    assert tile.psnr() == pytest.approx(expected, abs=1e-3)
    assert math.isinf(patched(image, _patcher(image, 256)).psnr())
    assert math.isinf(patched(torch.ones(1, 32, 32), _patcher(image, 25)).psnr())


def test_what_was_dropped_is_nowhere() -> None:
    image = _image(1, 32, 32)
    dropping = {"split_rule": "threshold", "split_threshold": 0.0, "split_overflow": "drop"}
    tile = patched(image, _patcher(image, 16, **dropping))
    kept = int(tile.leaves.sides.prod(dim=-1).sum()) / 32**2
    assert tile.counts == [16] and 0 < kept < 1
    assert tile.covered == pytest.approx(kept)
    assert np.isnan(tile.back[0]).mean() == pytest.approx(1 - kept)
    assert math.isfinite(tile.psnr())


@pytest.mark.parametrize(
    ("image", "length", "options"),
    [
        (_image(1, 32, 32), 40, {}),
        (_image(3, 48, 32), 40, {}),
        (_image(3, 32, 32), 40, {"separate_channels": True}),
        ((255 * _image(3, 32, 32)).byte(), 40, {"detail": "canny"}),
        (_image(2, 16, 16, 32), 40, {}),
        (_image(3, 16, 16, 16), 40, {"separate_channels": True}),
        (_image(1, 32, 32), 64, {"split_rule": "threshold", "split_overflow": "drop"}),
        (_image(1, 32, 32), 64, {"split_rule": "threshold", "split_threshold": 1e9}),
        (torch.zeros(1, 16, 16), 16, {}),
        (_image(1, 8, 256), 64, {}),
        (_image(1, 6, 6), 4, {"min_leaf": 3}),
        (_image(1, 3, 3), 1, {"min_leaf": 3}),
    ],
    ids=lambda value: "x".join(map(str, value.shape)) if isinstance(value, Tensor) else None,
)
def test_any_tile_can_be_drawn(image: Tensor, length: int, options: dict[str, Any]) -> None:
    png = draw_patches(patched(image, _patcher(image, length, **options)), "a $title")
    pixels = imread(io.BytesIO(png), format="png")
    assert pixels.ndim == 3
    assert pixels.std() > 0


def test_the_picture_says_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(patches, "render_png", lambda figure, dpi: drawn.append(figure) or b"")
    image = _image(1, 32, 64)
    tile = patched(image, _patcher(image, 42))
    draw_patches(tile, "one.png")
    texts = [drawn[0].get_suptitle(), *(axes.get_title() for axes in drawn[0].axes)]
    assert texts[0] == "one.png\n32 x 64  ·  41 of 42 tokens of 4 x 4  ·  uniform patches of that size: 128"
    assert texts[2] == "detail: gradient"
    assert texts[4].startswith("pasted back: ") and texts[4].endswith(" dB")
    assert in_words(tile) == ", ".join([*texts[0].split("\n")[1].split("  ·  "), texts[1], texts[4]])
    (lines,) = [c for c in drawn[0].axes[0].collections if isinstance(c, LineCollection)]
    assert len(lines.get_segments()) == 2 * 41
    image = _image(2, 16, 16, 16)
    draw_patches(patched(image, _patcher(image, 15, separate_channels=True)))
    assert "2 x 15 tokens of 4 x 4 x 4" in drawn[1].get_suptitle()
    rows = [axes.get_ylabel() for axes in drawn[1].axes[::4]]
    assert [row.split(" = ")[0] for row in rows] == [f"channel {c}, {axis}" for c in (1, 2) for axis in "zyx"]


def test_the_same_bytes_again_and_no_other_size() -> None:
    image = _image(1, 32, 32)
    first, again = (draw_patches(patched(image, _patcher(image, 40))) for _ in range(2))
    assert first == again
    with pytest.raises(UserError, match="tile_size"):
        patched(_image(1, 32, 16), _patcher(image, 40))


def _shown(monkeypatch: pytest.MonkeyPatch, tile: PatchedTile) -> tuple[list[NDArray[Any]], str]:
    """The four images of a picture, as numbers from 0 to 1, and its heading."""
    drawn: list[Figure] = []
    monkeypatch.setattr(patches, "render_png", lambda figure, dpi: drawn.append(figure) or b"")
    draw_patches(tile)
    return [np.asarray(axes.images[0].get_array()) for axes in drawn[0].axes], drawn[0].get_suptitle()


def test_a_window_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (0.0, 51.0):
        image = torch.full((1, 16, 16), value)
        shown, _ = _shown(monkeypatch, patched(image, _patcher(image, 4), (0.0, 255.0)))
        assert np.allclose([shown[0], shown[3]], value / 255)


def test_a_bright_spot_on_black_is_white_on_black(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.zeros(1, 32, 32)
    image[:, 4:6, 4:6] = 3
    shown, _ = _shown(monkeypatch, patched(image, _patcher(image, 16)))
    assert np.array_equal(shown[0], image[0] / 3)


def test_what_is_larger_than_the_paper_is_averaged_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing a plane takes some 60 bytes a pixel: of 21 million pixels more than a gigabyte."""
    monkeypatch.setattr(patches, "_DPI", 3)
    image = _image(3, 128, 64)
    tile = patched(image, _patcher(image, 40))
    shown, _ = _shown(monkeypatch, tile)
    assert [plane.shape[:2] for plane in shown] == [(32, 16)] * 4
    blocks = image.unflatten(2, (16, 4)).unflatten(1, (32, 4)).mean((2, 4))
    low, high = np.percentile(blocks, (1, 99))
    expected = ((blocks - low) / (high - low)).clamp(0, 1).movedim(0, -1)
    assert np.allclose(shown[0], expected, atol=1e-5)
    assert np.array_equal(shown[2], tile.order[0][2::4, 2::4] / (tile.counts[0] - 1))


def test_order_has_the_whole_scale_whatever_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    image = _image(1, 16, 16)
    shown, _ = _shown(monkeypatch, patched(image, _patcher(image, 200)))
    assert (shown[2].min(), shown[2].max()) == (0, 1)


def test_a_grid_that_is_not_there_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    image = _image(1, 16, 24)
    for side, there in ((4, True), (7, False)):
        _, heading = _shown(monkeypatch, patched(image, _patcher(image, 30, patch_size=side)))
        assert ("uniform" in heading) == there


class Patched(Task):
    """A task that cuts 16 x 16 images into 4 tokens, or none."""

    def __init__(self, patcher: AdaptivePatcher | None) -> None:
        super().__init__(nn.Linear(1, 1), patcher)


def _batches(*datasets: str) -> list[Batch]:
    image, keys = _image(1, 16, 16)[None], torch.zeros(1, dtype=torch.int64)
    return [Batch(image, None, ("ct",), name, (f"/data/{name}.nii",), keys) for name in datasets]


def _start(directory: Path, task: Task, batches: list[Batch]) -> list[str]:
    PicturesHook(directory, None, lambda: batches).on_start(SimpleNamespace(task=task))  # type: ignore[arg-type]
    return sorted(path.name for path in directory.glob("pictures/*"))


def test_a_run_draws_a_tile_of_each_data_set_at_its_start(tmp_path: Path) -> None:
    task = Patched(_patcher(_image(1, 16, 16), 4))
    assert _start(tmp_path, task, _batches("ct", "a/b c")) == ["patches_a_b_c.png", "patches_ct.png"]
    names = [one.name for one in draw_examples(_batches("ct", "a/b c"), task.patcher)]  # type: ignore[arg-type]
    assert names == ["ct", "a_b_c"]


def test_no_picture_without_a_patcher_or_examples(tmp_path: Path) -> None:
    assert _start(tmp_path, Patched(None), _batches("ct")) == []
    PicturesHook(tmp_path).on_start(SimpleNamespace(task=Patched(_patcher(_image(1, 16, 16), 4))))  # type: ignore[arg-type]
    assert not (tmp_path / "pictures").exists()


def test_a_tile_that_cannot_be_drawn_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert _start(tmp_path, Patched(_patcher(_image(1, 32, 32), 4)), _batches("ct")) == []
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "no picture of the patches: UserError: " in warning.getMessage()
