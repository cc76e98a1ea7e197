"""Voxels of data.ignore_label count in no loss and no metric, in every way to train."""

from multiprocessing.context import BaseContext
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import runs
from ucf_vit.core.errors import DataError
from ucf_vit.data.batch import Batch, Sample
from ucf_vit.data.values.label_map import IGNORED
from ucf_vit.models import SAP
from ucf_vit.options import EncoderOptions, InputOptions
from ucf_vit.patching.adaptive import AdaptivePatcher
from ucf_vit.patching.tree.cut import cut_labels
from ucf_vit.patching.tree.forest import Forest
from ucf_vit.patching.tree.grow import grow_trees
from ucf_vit.tasks import Segmentation, TokenSegmentation, dice
from ucf_vit.tasks.segmentation import segmentation_loss
from ucf_vit.tasks.threshold_baseline import fit_threshold

CLASSES = 3


def drawn(seed: int, share: float) -> tuple[Tensor, Tensor]:
    """Logits `[2, K, 6, 5]` and a label of which a `share` is ignored."""
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, CLASSES, 6, 5, generator=random)
    label = torch.randint(CLASSES, (2, 6, 5), generator=random)
    label[torch.rand(label.shape, generator=random) < share] = IGNORED
    label[:, 0, 0] = 1
    return logits, label


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(0, 0.9))
def test_the_loss_is_that_of_the_other_voxels(seed: int, share: float) -> None:
    logits, label = drawn(seed, share)
    logits.requires_grad_()
    found = segmentation_loss(logits, label, label >= 0)
    for one, part, truth in zip(found, logits, label, strict=True):
        kept = truth >= 0
        alone = segmentation_loss(part[:, kept][None], truth[kept][None])
        torch.testing.assert_close(one, alone[0])
    found.sum().backward()
    grad = logits.grad
    assert grad is not None and not grad.movedim(1, -1)[label < 0].any()
    assert grad.movedim(1, -1)[label >= 0].any(dim=-1).all()


def test_a_sample_without_a_label_has_no_loss_and_no_gradient() -> None:
    logits, label = drawn(0, 0.5)
    label[1] = IGNORED
    logits.requires_grad_()
    found = segmentation_loss(logits, label, label >= 0)
    assert found[0] > 0 and found[1] == 0
    found.sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all() and not logits.grad[1].any()


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(0, 1))
def test_dice_is_that_of_the_other_voxels(seed: int, share: float) -> None:
    logits, label = drawn(seed, share)
    predicted = logits.argmax(dim=1)
    alone = [
        dice.totals_of_labels(p[t >= 0][None], t[t >= 0][None], CLASSES)
        for p, t in zip(predicted, label, strict=True)
    ]
    assert torch.equal(dice.totals_of_labels(predicted, label, CLASSES), alone[0] + alone[1])


class Known(torch.nn.Module):
    """Gives the logits that its image holds."""

    def forward(self, image: Tensor) -> Tensor:
        return image


def test_evaluation_counts_only_the_other_voxels() -> None:
    logits, label = drawn(0, 0.4)
    label[1] = IGNORED
    task = Segmentation(Known(), CLASSES, (6, 5), ignores=True)
    batch = Batch(logits, label, ("a", "b", "c"), "x", ("f", "g"), torch.zeros(2, dtype=torch.int64))
    totals = task.evaluate(batch)
    assert totals["loss"][1] == 1
    first = segmentation_loss(logits[:1], label[:1], label[:1] >= 0)
    assert totals["loss"][0] == pytest.approx(float(first))
    assert torch.equal(totals["dice"], dice.totals_of_labels(logits.argmax(1), label, CLASSES))
    other = label.clone()
    other[0][other[0] < 0] = 2
    changed = task.evaluate(Batch(logits, other, batch.variables, "x", batch.files, batch.keys))
    assert not torch.equal(changed["dice"], totals["dice"])


def test_the_threshold_baseline_does_not_see_them() -> None:
    noise = np.random.default_rng(0)
    image, label = noise.random((1, 8, 8, 8)).astype(np.float32), noise.integers(0, 2, (8, 8, 8))
    label[image[0] > 0.5], label[image[0] <= 0.5] = 1, 0
    hidden = noise.random((8, 8, 8)) < 0.3
    label[hidden] = IGNORED
    wrong = np.where(hidden, 1 - (image[0] > 0.5), label)
    baseline = fit_threshold([Sample(image, label, ("x",), "f")], 2)
    assert baseline.dice([Sample(image, label, ("x",), "f")])["dice_1"] > 0.99
    assert baseline.dice([Sample(image, wrong, ("x",), "f")])["dice_1"] < 0.9


def test_thresholds_are_not_fitted_to_them() -> None:
    """As background, the darker part of the object would raise the threshold."""
    noise = np.random.default_rng(0)
    image = noise.random((1, 16, 16, 16)).astype(np.float32)
    truth = (image[0] > 0.5).astype(np.int64)
    label = np.where((image[0] < 0.7) & (noise.random(truth.shape) < 0.9) & (truth == 1), IGNORED, truth)
    baseline = fit_threshold([Sample(image, label, ("x",), "f")], 2)
    assert baseline.dice([Sample(image, truth, ("x",), "f")])["dice_1"] > 0.97


def test_a_pixel_of_a_token_has_the_most_frequent_other_class() -> None:
    forest = Forest((8, 8))
    leaves = grow_trees(torch.zeros(1, 8, 8), forest, 1)
    label = torch.full((1, 8, 8), IGNORED)
    label[0, 0, 0], label[0, 0:2, 4:6], label[0, 4, 4] = 2, 1, 0
    tokens = cut_labels(label, leaves, 4, CLASSES)
    assert tokens.shape == (1, 1, 4, 4)
    expected = torch.full((4, 4), IGNORED)
    expected[0, 0], expected[0, 2], expected[2, 2] = 2, 1, 0
    assert torch.equal(tokens[0, 0], expected)


def test_the_loss_of_tokens_is_that_of_the_others_in_leaves_that_there_are() -> None:
    torch.manual_seed(0)
    rule = {"split_rule": "threshold", "split_threshold": 2.5, "detail": "gradient"}
    patcher = AdaptivePatcher(tile_size=(8, 12), patch_size=4, fixed_length=12, **rule)
    tile = InputOptions(
        in_channels=1, tile_size=(8, 12), patch_size=4, adaptive_patching=True, fixed_length=12
    )
    encoder = EncoderOptions(embed_dim=16, depth=1, num_heads=2)
    model = SAP(tile, encoder, num_classes=CLASSES, feature_size=4)
    task = TokenSegmentation(model, CLASSES, (8, 12), patcher=patcher, ignores=True)
    label = torch.randint(-1, CLASSES, (4, 8, 12))
    keys = torch.arange(4)
    batch = Batch(torch.rand(4, 1, 8, 12), label, ("a",), "x", tuple("abcd"), keys)
    patches = task.patches_of(batch)
    assert patches is not None and patches.valid is not None and not patches.valid.all()
    logits = task.output_of(patches, variables=batch.variables).movedim(2, 1)
    tokens = cut_labels(label, patches.leaves, logits.shape[-1], CLASSES)
    counts = (tokens >= 0) & patches.valid[:, :, None, None]
    alone = [
        segmentation_loss(part[:, kept][None], truth[kept][None])
        for part, truth, kept in zip(logits, tokens, counts, strict=True)
    ]
    torch.testing.assert_close(task(task.draw(batch)).value, torch.cat(alone).mean())


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory, concrete: Path) -> Path:
    """The same volumes with labels of which most voxels are 255, and one tile that has no others."""
    root = tmp_path_factory.mktemp("sparse")
    (root / "imagesTr").symlink_to(concrete / "imagesTr")
    (root / "labelsTr").mkdir()
    for number, path in enumerate(sorted((concrete / "labelsTr").iterdir())):
        found = nib.load(path)
        label = np.asarray(found.dataobj).astype(np.uint8)
        label[np.random.default_rng(number).random(label.shape) < 0.8] = 255
        label[:16, :16, :16] = 255
        nib.save(nib.Nifti1Image(label, found.affine), root / "labelsTr" / path.name)
    return root


@pytest.mark.deep
@pytest.mark.parametrize("task", ["segmentation", "token_segmentation"])
def test_both_modes_equal_one_process(
    tmp_path: Path, sparse: Path, forkserver: BaseContext, task: str
) -> None:
    """Losses, gradients' norms and metrics of two steps and a validation."""
    options = {"trainer": {"max_epochs": 1, "max_steps": 2}, "model": {"lr": 1e-4}}
    for name, batch in (("one", 4), ("two", 2)):
        data = {"batch_size": batch, "ignore_label": 255}
        runs.write_config(tmp_path / name / "c.yaml", task, sparse, data=data, **options)
    runs.train(tmp_path / "one/c.yaml")
    for mode in ("simple", "fsdp"):
        out = tmp_path / mode
        given = [f"trainer.checkpoint_path={out}", f"parallelism.mode={mode}"]
        given += ["parallelism.fsdp_size=2"] if mode == "fsdp" else []
        assert runs.on_ranks(forkserver, 2, tmp_path / "two/c.yaml", *given) == [0, 0]
        for event, key, close in (
            ("step", "loss", 1e-5),
            ("step", "grad_norm", 1e-3),
            ("validation", "validation/loss", 1e-4),
            ("validation", "validation/dice", 1e-4),
        ):
            expected = runs.losses(tmp_path / "one/out", event, key)
            assert expected and all(np.isfinite(list(expected.values())))
            assert runs.losses(out, event, key) == pytest.approx(expected, rel=close)


def test_a_label_without_the_option_names_it(tmp_path: Path, sparse: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "segmentation", sparse)
    with pytest.raises(DataError, match=r"labelsTr/.*label value\(s\) 255 outside.*data\.ignore_label"):
        runs.train(config)
