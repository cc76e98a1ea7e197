"""Losses and metrics of the tasks: definitions, independence of the batch's layout, precision."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.losses import DiceLoss
from torch import Tensor

from tiny_models import build as network
from ucf_vit.core.errors import UserError
from ucf_vit.data.batch import Batch
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.loader.stream import Stream
from ucf_vit.data.loader.whole_items import volumes
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.tasks import Classification, Denoising, MaskedAutoencoding, Segmentation, Task, TokenSegmentation
from ucf_vit.tasks.segmentation import segmentation_loss
from ucf_vit.tasks.task import TASKS

NETWORK = {"tile_size": (8, 12), "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2}
ADAPTIVE = {"adaptive_patching": True, "fixed_length": 12}
NAMES = [*TASKS, *(f"{name} on trees" for name in TASKS if name != "token_segmentation")]
"""Every task, on regular patches and on trees some of whose leaves are not valid."""


def build(name: str) -> Task:
    torch.manual_seed(0)
    name, _, trees = name.partition(" ")
    options = {"in_channels": 2, **NETWORK, **(ADAPTIVE if trees else {})}
    patcher = None
    if trees or name == "token_segmentation":
        rule = {"split_rule": "threshold", "split_threshold": 2.5, "detail": "gradient"}
        patcher = AdaptivePatcher(tile_size=(8, 12), patch_size=4, fixed_length=12, **rule)
    if name == "masked":
        decoder = {"decoder_embed_dim": 8, "decoder_depth": 1, "decoder_num_heads": 2}
        return MaskedAutoencoding(network("mae", options | decoder), patcher=patcher)
    if name == "diffusion":
        return Denoising(network("diffusion", options | {"linear_decoder": True}), patcher=patcher)
    if name == "segmentation":
        model = network("unetr", options | {"num_classes": 3, "feature_size": 4})
        return Segmentation(model, 3, (8, 12), patcher=patcher)
    if name == "token_segmentation":
        model = network("sap", options | {"num_classes": 3, "feature_size": 4, "fixed_length": 12})
        return TokenSegmentation(model, 3, (8, 12), patcher=patcher)
    return Classification(network("vit", options | {"num_classes": 7}), patcher=patcher)


def batch_for(name: str, size: int = 4) -> Batch:
    make = torch.Generator().manual_seed(1)
    name = name.partition(" ")[0]
    shape = {
        "segmentation": (size, 8, 12),
        "token_segmentation": (size, 8, 12),
        "classification": (size,),
    }.get(name)
    label = None if shape is None else torch.randint(0, 3, shape, generator=make)
    return Batch(
        image=torch.rand(size, 2, 8, 12, generator=make),
        label=label,
        variables=("a", "b"),
        dataset="d",
        files=tuple(f"file{i}" for i in range(size)),
        keys=torch.arange(size) + 100,
    )


def rows(batch: Batch, part: slice) -> Batch:
    label = None if batch.label is None else batch.label[part]
    return Batch(
        batch.image[part], label, batch.variables, batch.dataset, batch.files[part], batch.keys[part]
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_of_a_batch_is_the_mean_over_its_parts(name: str) -> None:
    task, batch = build(name).double(), batch_for(name)
    batch = Batch(batch.image.double(), batch.label, batch.variables, batch.dataset, batch.files, batch.keys)
    whole = task(task.draw(batch)).value
    parts = [rows(batch, part) for part in (slice(0, 1), slice(1, 4))]
    values = [task(task.draw(part)).value for part in parts]
    assert torch.isclose(whole, values[0] / 4 + values[1] * 3 / 4, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_close_and_trains(name: str, dtype: torch.dtype) -> None:
    task, batch = build(name), batch_for(name)
    drawn = task.draw(batch)
    exact = task(drawn).value
    with torch.autocast("cpu", dtype):
        loss = task(drawn)
    loss.value.backward()
    assert torch.isclose(loss.value.float(), exact, rtol=0.05)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in task.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_one_batch_can_be_learned(name: str) -> None:
    task, batch = build(name), batch_for(name)
    optimizer = torch.optim.AdamW(task.parameters(), lr=1e-2)
    values = []
    for _ in range(60):
        loss = task(task.draw(batch)).value
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        values.append(loss.item())
    assert values[-1] < 0.6 * values[0]


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_adds_up_over_batches_and_names_all_metrics(name: str) -> None:
    task, batch = build(name).eval(), batch_for(name)
    whole = task.evaluate(batch)
    assert tuple(task.metrics(whole)) == task.metric_names
    assert task.best[0] in task.metric_names
    nothing = task.totals()
    assert {name: part.shape for name, part in whole.items()} == {
        n: part.shape for n, part in nothing.items()
    }
    assert not any(part.any() for part in nothing.values())
    parts = [task.evaluate(rows(batch, part)) for part in (slice(0, 1), slice(1, 4))]
    for metric, pair in whole.items():
        torch.testing.assert_close(pair, parts[0][metric] + parts[1][metric], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_pictures_show_the_first_sample(name: str) -> None:
    with torch.no_grad():
        panels = build(name).eval().pictures(batch_for(name))
    assert panels
    assert all(panel.image.shape == (8, 12) for panel in panels)


def test_trees_of_the_tests_have_leaves_that_are_not_valid() -> None:
    task, batch = build("token_segmentation"), batch_for("token_segmentation")
    patches = task.patches_of(batch)
    assert patches is not None and patches.valid is not None
    assert 0 < int(patches.valid.sum()) < patches.valid.numel()


@pytest.mark.parametrize("training", [True, False])
def test_trees_are_drawn_for_training_and_have_their_middle_for_evaluation(training: bool) -> None:
    size = {"tile_size": (8, 12), "patch_size": 4, "fixed_length": 12}
    patcher = AdaptivePatcher(**size, detail="gradient", detail_smoothing=(1, 7))
    task, batch = build("masked on trees").train(training), batch_for("masked")
    task.patcher = patcher
    patches = task.patches_of(batch)
    assert patches is not None
    drawn, middle = patcher.grow(batch.image, batch.keys).start, patcher.grow(batch.image).start
    assert not drawn.equal(middle)
    assert patches.leaves.start.equal(drawn if training else middle)


@pytest.mark.parametrize(
    "name", ["token_segmentation", "masked on trees", "diffusion on trees", "classification on trees"]
)
def test_invalid_tokens_change_nothing(name: str) -> None:
    """Garbage in the places of missing leaves leaves loss and gradients as they are."""
    task, batch = build(name), batch_for(name)
    drawn = task.draw(batch)
    patches = task.patches_of(batch)
    assert patches is not None and patches.valid is not None
    gradients = []
    for garbage in (0.0, 1e3):
        values = patches.values + garbage * ~patches.valid.view(*patches.valid.shape, 1, 1, 1)
        task.patcher.cut = lambda image, leaves, values=values: replace(patches, values=values)
        task.zero_grad()
        task(drawn).value.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in task.parameters()]))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)


def test_samples_without_patches_to_reconstruct_do_not_count() -> None:
    """Trees of one leaf, all that there is of a constant image: nothing can be removed."""
    size = {"tile_size": (8, 8), "patch_size": 4, "fixed_length": 4}
    patcher = AdaptivePatcher(**size, split_rule="threshold", split_threshold=1.0, detail="gradient")
    model = network("mae", {"in_channels": 2, **NETWORK, **size, "adaptive_patching": True})
    task = MaskedAutoencoding(model, patcher=patcher)
    image = torch.ones(4, 2, 8, 8)
    batch = replace(batch_for("masked"), image=image)
    loss = task(task.draw(batch)).value
    loss.backward()
    assert float(loss.detach()) == 0 and all(p.grad is not None for p in task.parameters())
    assert task.evaluate(batch)["loss"].tolist() == [0, 0]

    image[1, :, :3] = torch.rand(2, 3, 8, generator=torch.Generator().manual_seed(0))
    one = rows(batch, slice(1, 2))
    assert torch.isclose(4 * task(task.draw(batch)).value, task(task.draw(one)).value)
    torch.testing.assert_close(task.evaluate(batch)["loss"], task.evaluate(one)["loss"])
    assert task.evaluate(one)["loss"][0] > 0


@pytest.mark.parametrize("name", ["masked", "masked on trees"])
def test_the_input_of_a_masked_autoencoder_is_shown_as_it_is(name: str) -> None:
    batch = batch_for("masked")
    with torch.no_grad():
        panels = {panel.title: panel.image for panel in build(name).eval().pictures(batch)}
    tokens = ["held by tokens"] if "trees" in name else []
    assert list(panels) == ["input", *tokens, "masked input", "reconstruction"]
    assert (panels["input"] == batch.image[0, 0].numpy()).all()


def test_a_network_from_elsewhere_needs_no_names_of_channels() -> None:
    task = Segmentation(torch.nn.Conv2d(2, 3, 3, padding=1), 3, (8, 12))
    task(batch_for("segmentation")).value.backward()
    assert tuple(task.metrics(task.eval().evaluate(batch_for("segmentation")))) == task.metric_names


def test_segmentation_loss_is_cross_entropy_plus_monais_dice_loss() -> None:
    logits, label = torch.randn(3, 4, 5, 6, 7), torch.randint(0, 4, (3, 5, 6, 7))
    dice = DiceLoss(softmax=True, to_onehot_y=True, reduction="none", smooth_nr=1e-5, smooth_dr=1e-5)
    expected = torch.nn.functional.cross_entropy(logits, label) + dice(logits, label[:, None]).mean()
    assert torch.isclose(segmentation_loss(logits, label).mean(), expected, rtol=1e-5)


def test_an_absent_class_counts_only_in_cross_entropy() -> None:
    logits, label = torch.randn(1, 3, 10), torch.randint(0, 2, (1, 10))
    dice = DiceLoss(softmax=True, to_onehot_y=True, reduction="none", smooth_nr=0, smooth_dr=0)
    expected = torch.nn.functional.cross_entropy(logits, label) + dice(logits, label[:, None])[:, :2].mean()
    assert torch.isclose(segmentation_loss(logits, label)[0], expected, rtol=1e-5)


class Broken(torch.nn.Module):
    """A network whose outputs are not finite for some samples."""

    def __init__(self, network: torch.nn.Module, value: float) -> None:
        super().__init__()
        self.network, self.value = network, value
        self.broken = False

    def forward(self, *inputs: Tensor, variables: Sequence[str] | None = None) -> Tensor:
        out = self.network(*inputs, variables=variables)
        if self.broken:
            out = out.clone()
            out[1:, ..., 0] = self.value
        return out


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "name", ["segmentation", "token_segmentation", "classification", "segmentation on trees"]
)
def test_a_network_that_breaks_down_on_some_samples_has_no_finite_metric(name: str, value: float) -> None:
    task, batch = build(name).eval(), batch_for(name)
    task.model = network = Broken(task.model, value)
    with torch.no_grad():
        good = task.metrics(task.evaluate(batch))
        network.broken = True
        bad = task.metrics(task.evaluate(batch))
        assert not task(batch).value.isfinite()
    assert set(good) == set(bad)
    assert all(map(math.isfinite, good.values()))
    assert not any(map(math.isfinite, bad.values()))


def test_a_finite_loss_of_a_broken_output_does_not_choose_the_best() -> None:
    """Cross-entropy is finite where a class that no label has is -inf; the output is broken all the same."""
    task, batch = build("segmentation").eval(), batch_for("segmentation")

    def forward(image: Tensor, variables: Sequence[str] | None = None) -> Tensor:
        logits = torch.zeros(len(image), 3, *image.shape[2:])
        logits[1, 2, 0, 0] = -torch.inf
        return logits

    task.predict = lambda image, patches=None, variables=None: forward(image)
    batch = replace(batch, label=torch.zeros_like(batch.label))
    with torch.no_grad():
        metrics = task.metrics(task.evaluate(batch))
    name, _ = task.best_by(metrics)
    assert name == "loss" and math.isnan(metrics[name]) and math.isnan(metrics["dice"])


@pytest.mark.parametrize("name", ["masked", "masked on trees", "diffusion", "diffusion on trees"])
def test_a_sample_whose_loss_is_not_finite_counts(name: str) -> None:
    task, batch = build(name).eval(), batch_for(name)
    batch.image[2, 0, 0, 0] = float("nan")
    if batch.leaves is None and task.patcher is not None:
        batch = replace(batch, leaves=task.patcher.grow(batch_for(name).image, None))
    with torch.no_grad():
        summed, count = task.evaluate(batch)["loss"]
    assert count == 4
    assert summed.isnan()


def test_whole_volumes_are_predicted_slice_by_slice_by_a_2d_network() -> None:
    task = build("segmentation").eval()
    volume = torch.rand(1, 2, 8, 12, 5)
    with torch.no_grad():
        whole = task.predict_whole(volume)
        slices = [task.predict_whole(volume[..., z]) for z in range(5)]
    torch.testing.assert_close(whole, torch.stack(slices, dim=-1), rtol=1e-4, atol=1e-5)


def test_an_item_smaller_or_larger_than_the_tile_is_predicted_at_its_own_size() -> None:
    task = build("segmentation").eval()
    with torch.no_grad():
        for shape in ((5, 7), (8, 12), (19, 30)):
            assert task.predict_whole(torch.rand(1, 2, *shape)).shape == (1, 3, *shape)


def test_an_item_smaller_than_the_tile_is_predicted_where_training_puts_it(tmp_path: Path) -> None:
    """In the corner of the tile, filled up with 0 at its end: the very tile that the loader makes."""
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / "images/a.npy", rng.random((5, 12, 2)).astype(np.float32))
    np.save(tmp_path / "labels/a.npy", np.zeros((5, 12), np.uint8))
    scratch = Scratch(tmp_path / "s")
    options = {"tile_size": (8, 12), "variables": ("a", "b"), "scratch": scratch, "num_classes": 3}
    data = build_dataset("d", "npy_pairs", tmp_path, normalization={"kind": "none"}, **options)
    (tile,), (whole,) = Stream([data], batch_size=1, seed=0), volumes([data])
    task = build("segmentation").eval()
    with torch.no_grad():
        expected = task.predict(tile.image)[..., :5, :12]
        torch.testing.assert_close(task.predict_whole(whole.image), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["segmentation", "classification"])
def test_missing_labels_are_named(name: str) -> None:
    batch = batch_for("masked")
    with pytest.raises(UserError, match=r"label per voxel|class per image"):
        build(name)(batch)


def test_the_noise_of_a_sample_depends_only_on_its_key() -> None:
    task = build("masked")
    batch = batch_for("masked")
    noise: Tensor = task.draw(batch).drawn["noise"]
    alone: Tensor = task.draw(rows(batch, slice(2, 3))).drawn["noise"]
    assert noise[2].equal(alone[0])
    assert not noise[0].equal(noise[1])
