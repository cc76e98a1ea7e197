"""Pictures: curves and panels are drawn from whatever there is, and never end a run."""

import gc
import io
import logging
import weakref
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread
from torch import nn

from ucf_vit.core.errors import UserError
from ucf_vit.data.batch import Batch
from ucf_vit.drawing.curves import draw_curves, metric_series, smooth_values
from ucf_vit.drawing.panels import _cut, _cuts, draw_panels
from ucf_vit.drawing.style import class_colour, colour_classes
from ucf_vit.tasks.task import Panel, Task
from ucf_vit.training.hooks.jsonl import JsonlHook
from ucf_vit.training.hooks.pictures import PicturesHook


class Doubling(Task):
    """Shows its input and twice of it; fails as it is told to."""

    def __init__(self, fail: Exception | None = None) -> None:
        super().__init__(nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5)))
        self.fail = fail
        self.seen: list[tuple[bool, bool, bool]] = []

    def pictures(self, batch: Batch) -> list[Panel]:
        self.seen.append((self.training, self.model.training, torch.is_grad_enabled()))
        if self.fail is not None:
            raise self.fail
        image = batch.image[0, 0].numpy()
        return [Panel("input", image), Panel("twice", 2 * image)]


def _batch() -> Batch:
    image = torch.rand(2, 1, 12, 8, generator=torch.Generator().manual_seed(0))
    return Batch(image, None, ("ct",), "tiny", ("a", "b"), torch.zeros(2, dtype=torch.int64))


def _state(task: Task, step: int = 0) -> Any:
    return SimpleNamespace(
        step=step, epoch=0, total_steps=4, steps_per_epoch=2, task=task, averaged=nullcontext
    )


def _pixels(png: bytes) -> Any:
    return imread(io.BytesIO(png), format="png")


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("**/*") if path.is_file())


def _light(name: str, panels: list[Panel]) -> bytes:
    return draw_panels(name, panels)[f"{name}.png"]


def _files(*names: str) -> list[str]:
    """The files of figures, for light and dark pages."""
    return sorted(f"{name}{end}" for name in names for end in (".png", ".svg", "_dark.png"))


def test_pictures_after_a_validation_and_at_the_end(tmp_path: Path) -> None:
    asked = []
    task = Doubling().train()
    state = _state(task)
    jsonl, pictures = JsonlHook(tmp_path), PicturesHook(tmp_path, lambda: asked.append(1) or _batch())  # type: ignore[func-returns-value]
    for hook in (jsonl, pictures):
        hook.on_start(state)
    for state.step in (1, 2):
        jsonl.on_step(state, {"loss": 1.0 / state.step, "lr": 1e-4})
    jsonl.on_validation(
        state, {"validation/loss": 0.4, "validation/dice_1": 0.5, "validation/dice_mean": 0.5}
    )
    pictures.on_validation(state, {})
    expected = _files("example", "learning_rate", "loss", "validation_dice")
    assert _names(tmp_path / "pictures") == expected
    drawn = [name for name in expected if name.endswith(".png")]
    assert all(_pixels((tmp_path / "pictures" / name).read_bytes()).ndim == 3 for name in drawn)
    pictures.on_end(state)
    assert len(task.seen) == 1, "nothing new since the last validation"
    state.step = 3
    pictures.on_end(state)
    assert task.seen == [(False, False, False)] * 2
    assert task.training and task.model.training
    assert len(asked) == 1


def test_curves_alone_where_nothing_is_held_out(tmp_path: Path) -> None:
    task = Doubling()
    JsonlHook(tmp_path).on_step(_state(task, 1), {"loss": 1.0})
    PicturesHook(tmp_path).on_end(_state(task, 1))
    assert _names(tmp_path / "pictures") == _files("loss")
    assert not task.seen


@pytest.mark.parametrize(
    "fail", [RuntimeError("out of memory"), UserError("no label"), NotImplementedError()]
)
def test_a_failing_picture_is_a_warning(
    tmp_path: Path, fail: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    task = Doubling(fail).train()
    hook = PicturesHook(tmp_path, _batch)
    JsonlHook(tmp_path).on_step(_state(task, 1), {"loss": 1.0})
    hook.on_validation(_state(task, 1), {})
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.getMessage() == f"no picture of the example: {type(fail).__name__}: {fail}"
    assert _names(tmp_path / "pictures") == _files("loss")
    assert task.training


def test_an_unwritable_directory_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "pictures").write_text("in the way")
    PicturesHook(tmp_path, _batch).on_end(_state(Doubling(), 1))
    assert "no picture of the example" in caplog.text


def test_an_unreadable_held_out_file_is_an_error(tmp_path: Path) -> None:
    def sample() -> Batch:
        raise UserError("held-out file is damaged")

    with pytest.raises(UserError, match="damaged"):
        PicturesHook(tmp_path, sample).on_end(_state(Doubling(), 1))


@pytest.mark.parametrize(
    ("entries", "names"),
    [
        ([], []),
        ([{"step": 1, "loss": 2.0, "lr": 0.0}], ["learning_rate", "loss"]),
        ([{"step": 1, "loss": float("nan")}], []),
        ([{"step": 1, "validation/loss": 2.0}], ["loss"]),
        ([{"step": 1, "validation/top1": 0.5, "validation/top5": 0.9}], ["validation_top"]),
        ([{"step": 1, "validation/a$b$_1": 0.5, "validation/../x": 1.0, "validation/_3": 2.0}],
         ["validation_a", "validation_other"]),
        ([{"step": 1, **{f"validation/dice_{k}": k / 104 for k in range(104)}}], ["validation_dice"]),
    ],
)  # fmt: skip
def test_curves_of_what_there_is(entries: list[dict[str, Any]], names: list[str]) -> None:
    assert sorted(draw_curves(entries)) == _files(*names)


def test_curves_of_classes_have_their_names_and_colours(tmp_path: Path) -> None:
    metrics = {"validation/dice": 0.4, "validation/dice_1": 0.5, "validation/dice_2": 0.25}
    jsonl, task = JsonlHook(tmp_path), Doubling()
    task.metric_titles, task.class_metrics = {"dice": "Dice"}, {"dice_1": 1, "dice_2": 2}
    jsonl.on_validation(_state(task, 1), metrics)
    PicturesHook(tmp_path, class_names={1: "liver"}).on_end(_state(task, 1))
    drawn = (tmp_path / "pictures/validation_dice.svg").read_text()
    titles = {"dice": "Dice", "dice_1": "Dice: liver", "dice_2": "Dice: class 2"}
    assert task.titles({1: "liver"}) == titles
    for text in ("Validation: Dice", "liver", "class 2", "Dice, all classes"):
        assert f"<!-- {text} -->" in drawn
    for number in (1, 2):
        assert to_hex(class_colour(number)) in drawn


def test_curves_are_the_same_bytes_again() -> None:
    entries = [{"step": step, "loss": 1000.0 / step**2, "lr": 1e-4} for step in range(1, 100)]
    assert draw_curves(entries) == draw_curves(entries)


def test_series_leaves_out_what_is_not_finite() -> None:
    entries = [
        {"step": 1, "loss": 2.0},
        {"step": 2},
        {"step": 3, "loss": float("nan")},
        {"step": 4, "loss": 1.0},
    ]
    steps, values = metric_series(entries, "loss")
    assert steps.tolist() == [1, 4]
    assert values.tolist() == [2.0, 1.0]


@given(value=st.floats(-1e6, 1e6), count=st.integers(1, 300))
def test_smoothing_keeps_a_constant(value: float, count: int) -> None:
    np.testing.assert_allclose(smooth_values(np.full(count, value)), value, rtol=1e-9, atol=1e-12)


def test_smoothing_follows_and_damps() -> None:
    noisy = 1.0 + np.random.default_rng(0).normal(size=400)
    assert smooth_values(noisy)[100:].std() < 0.5 * noisy.std()
    assert abs(smooth_values(noisy)[-1] - 1.0) < 0.8


def test_volumes_are_cut_where_the_label_is() -> None:
    label = np.zeros((8, 10, 12), dtype=np.int64)
    label[2, 3, 4:9] = 1
    label[2, 7, 4] = 1
    image = np.zeros(label.shape, dtype=np.float32)
    assert _cuts([Panel("image", image), Panel("label", label, "label")]) == [(2, 4), (1, 3), (0, 2)]
    assert _cuts([Panel("image", image)]) == [(2, 6), (1, 5), (0, 4)]
    assert _cuts([Panel("label", np.zeros_like(label), "label")]) == [(2, 6), (1, 5), (0, 4)]


@pytest.mark.parametrize("shape", [(8, 8), (5, 40), (1, 1), (8, 6, 4), (1, 4, 4), (40, 4, 4)])
def test_panels_of_any_shape(shape: tuple[int, ...]) -> None:
    image = np.linspace(0, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    label = (image > 0.5).astype(np.int64)
    drawn = _pixels(_light("p", [Panel("image", image), Panel("label", label, "label")]))
    assert drawn.ndim == 3
    assert drawn.std() > 0


@pytest.mark.parametrize("value", [0.0, 7.5, np.nan, np.inf])
def test_panels_without_contrast(value: float) -> None:
    image = np.full((6, 6), value, dtype=np.float32)
    assert draw_panels("p", [Panel("a title with $one dollar", image)])


def test_images_share_the_window_of_the_first() -> None:
    image = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    same = _pixels(_light("p", [Panel("", image), Panel("", image)]))
    brighter = _pixels(_light("p", [Panel("", image), Panel("", image + 0.5)]))
    half = same.shape[1] // 2
    np.testing.assert_array_equal(same[:, : half - 10], brighter[:, : half - 10])
    assert brighter[:, half:].mean() > same[:, half:].mean() + 0.02


def test_the_first_axis_of_a_volume_is_to_the_right_and_the_last_up() -> None:
    volume = np.zeros((16, 16, 16), dtype=np.float32)
    volume[12:, :, 12:] = 1.0
    seen = _cut(volume, axis=1, index=8)
    assert seen[0].tolist() == [0.0] * 12 + [1.0] * 4, "the top row"
    assert seen[-1].max() == 0.0, "the bottom row"


def test_label_of_bytes_many_classes_and_ignored_voxels() -> None:
    label = np.arange(-1, 119, dtype=np.int16).reshape(10, 12)
    assert draw_panels("p", [Panel("label", label, "label")])
    assert draw_panels("p", [Panel("label", (label % 3).astype(np.uint8), "label")])


@pytest.mark.parametrize(
    "panels",
    [
        [],
        [Panel("line", np.zeros(4))],
        [Panel("4D", np.zeros((2, 2, 2, 2)))],
        [Panel("a", np.zeros((4, 4))), Panel("b", np.zeros((4, 5)))],
    ],
)
def test_panels_that_cannot_be_drawn_are_named(panels: list[Panel]) -> None:
    with pytest.raises(ValueError, match="2D or 3D"):
        draw_panels("p", panels)


def test_class_colours_are_fixed_and_differ() -> None:
    colours = [class_colour(number) for number in range(-1, 15)]
    assert len(set(colours)) == len(colours)
    np.testing.assert_allclose(
        colour_classes(np.array([[0, 1], [1, 7]])),
        [[class_colour(0), class_colour(1)], [class_colour(1), class_colour(7)]],
    )


def test_no_figure_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[Figure]] = []
    initialise = Figure.__init__

    def note(self: Figure, *args: Any, **options: Any) -> None:
        initialise(self, *args, **options)
        made.append(weakref.ref(self))

    monkeypatch.setattr(Figure, "__init__", note)
    draw_panels("p", [Panel("a", np.zeros((4, 4)))])
    gc.collect()
    assert made and all(figure() is None for figure in made)
