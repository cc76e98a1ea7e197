"""Denoising: what is drawn, what is learned, and what comes out of noise."""

from dataclasses import replace

import pytest
import torch

from tiny_models import build
from ucf_vit.core.errors import UserError
from ucf_vit.data.batch import Batch
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.tasks import Denoising
from ucf_vit.training.optimization.optimizer import adamw

TINY = {"embed_dim": 24, "depth": 2, "num_heads": 3, "linear_decoder": True, "patch_size": 4}
CONDITIONS = {"class": ("0", "1", "2"), "dataset": ("a", "b")}
TREES = {"fixed_length": 13, "patch_size": 4}


def task_of(tile=(8, 8), channels=1, adaptive=False, separate=False, varemb=(), **options) -> Denoising:
    torch.manual_seed(0)
    patcher, trees = None, {}
    if adaptive:
        shape = TREES | {"fixed_length": 13 if len(tile) == 2 else 15, "separate_channels": separate}
        patcher = AdaptivePatcher(tile_size=tile, **shape, detail="variance")
        trees = shape | {"adaptive_patching": True}
    counts = [len(values) for values in options.get("conditions", {}).values()]
    named = {"use_varemb": True, "default_vars": varemb} if varemb else {}
    network = TINY | trees | named | {"in_channels": channels, "tile_size": tile, "condition_counts": counts}
    return Denoising(build("diffusion", network), patcher=patcher, **{"num_time_steps": 50} | options)


def batch_of(tile=(8, 8), channels=1, count=4, dataset="b") -> Batch:
    generator = torch.Generator().manual_seed(3)
    return Batch(
        image=torch.rand(count, channels, *tile, generator=generator),
        label=torch.arange(count) % 3,
        variables=tuple("xyz"[:channels]),
        dataset=dataset,
        files=tuple(map(str, range(count))),
        keys=torch.arange(10, 10 + count),
    )


CASES = [
    {"tile": tile, "channels": channels, "adaptive": adaptive, "separate": separate, "varemb": varemb}
    for tile in ((8, 8), (8, 8, 8))
    for adaptive, separate in ((False, False), (True, False), (True, True))
    for channels, varemb in ((1, ()), (2, ()), (2, ("x", "y", "z")))
]


def channels_of(case: dict) -> int:
    return len(case["varemb"]) or case["channels"]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_loss_falls_and_samples_come_out(case):
    prediction = ("epsilon", "v", "clean")[CASES.index(case) % 3]
    task = task_of(**case | {"channels": channels_of(case)}, prediction=prediction, min_snr=5.0)
    batch = batch_of(case["tile"], case["channels"])
    drawn = task.draw(batch)
    optimizer = adamw(task, lr=1e-2, betas=(0.9, 0.95), weight_decay=0.0)
    losses = []
    for _ in range(25):
        loss = task(drawn).value
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert set(task.eval().evaluate(batch)) == {"loss"}
    leaves = None if task.patcher is None else task.patcher.grow(batch.image)
    made = task.generate(batch.keys, steps=3, leaves=leaves, variables=batch.variables)
    assert made.shape == batch.image.shape
    assert made.isfinite().all()
    assert -0.5 < made.min() < made.max() < 1.5
    with torch.no_grad():
        assert len(task.pictures(batch)) == 4


def test_what_is_drawn_belongs_to_the_sample():
    task, batch = task_of(conditions=CONDITIONS), batch_of()
    drawn = task.draw(batch).drawn
    last = task.draw(replace(batch, image=batch.image[3:], keys=batch.keys[3:])).drawn
    for name, tensor in drawn.items():
        assert torch.equal(tensor[3:], last[name]), name
    many = replace(batch, image=batch.image[:1].expand(2000, -1, -1, -1), keys=torch.arange(2000))
    drawn = task.draw(many).drawn
    assert set(drawn["time"].tolist()) == set(range(50))
    assert 0.07 < 1 - drawn["labelled"].float().mean() < 0.13
    assert task.eval().draw(many).drawn["labelled"].all()


def test_a_zero_prediction_has_the_variance_of_noise_as_loss():
    task = task_of()
    torch.nn.init.zeros_(task.model.head.weight)
    batch = batch_of(count=64)
    drawn = task.draw(batch)
    assert task(drawn).value.item() == pytest.approx(drawn.drawn["noise"].square().mean().item(), rel=1e-5)


@pytest.mark.parametrize("case", [CASES[0], CASES[5]], ids=str)
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_sample_does_not_depend_on_its_batch(case, eta):
    task = task_of(**case | {"channels": channels_of(case)}).eval()
    batch = batch_of(case["tile"], case["channels"])
    grow = task.patcher.grow if task.patcher else lambda image: None
    options = {"steps": 5, "eta": eta, "variables": batch.variables}
    together = task.generate(batch.keys, leaves=grow(batch.image), **options)
    for i in range(len(batch)):
        alone = task.generate(batch.keys[i : i + 1], leaves=grow(batch.image[i : i + 1]), **options)
        torch.testing.assert_close(alone[0], together[i], rtol=1e-4, atol=1e-4)
    assert (together[0] - together[1]).abs().max() > 0.01


def test_labels_steer_samples_and_guidance_steers_more():
    task = task_of(conditions=CONDITIONS)
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    keys = torch.arange(4)
    options = {"steps": 5}
    plain = task.generate(keys, **options)
    untold = task.generate(keys, labels=torch.full((4, 2), -1), guidance=3.0, **options)
    told = task.generate(keys, labels=torch.tensor([[2, 1]] * 4), **options)
    guided = task.generate(keys, labels=torch.tensor([[2, 1]] * 4), guidance=3.0, **options)
    torch.testing.assert_close(plain, untold)
    assert 0 < (told - plain).abs().mean() < (guided - plain).abs().mean()


def test_labels_are_those_of_class_and_data_set():
    task, batch = task_of(conditions=CONDITIONS), batch_of()
    assert torch.equal(task.labels_of(batch), torch.stack([batch.label, torch.ones(4, dtype=torch.int64)], 1))
    assert task_of().labels_of(batch) is None
    with pytest.raises(UserError, match="conditioned on the data sets a, b, not on 'c'"):
        task.labels_of(replace(batch, dataset="c"))
    with pytest.raises(UserError, match="has no class per image"):
        task.labels_of(replace(batch, label=None))


def test_only_labelled_samples_see_their_labels():
    task = task_of(conditions=CONDITIONS, condition_dropout=0.5)
    drawn = task.draw(batch_of(count=16))
    seen = []
    task.model.register_forward_pre_hook(lambda model, args: seen.append(args[2]))
    task(drawn)
    told = drawn.drawn["labelled"]
    assert 0 < told.sum() < 32
    assert torch.equal(seen[0][told], task.labels_of(drawn)[told])
    assert (seen[0][~told] == -1).all()
    assert (told[:, 0] != told[:, 1]).any()


def test_labels_are_required_without_condition_dropout():
    task = task_of(conditions=CONDITIONS, condition_dropout=0.0)
    told = torch.tensor([[0, 1]] * 2)
    task.generate(torch.arange(2), steps=1, labels=told)
    for options in ({}, {"labels": told, "guidance": 2.0}, {"labels": told - torch.tensor([0, 2])}):
        with pytest.raises(UserError, match="always with class, dataset"):
            task.generate(torch.arange(2), steps=1, **options)
    with pytest.raises(UserError, match="guidance nan"):
        task.generate(torch.arange(2), steps=1, guidance=float("nan"))


def test_wrong_requests_are_refused():
    task = task_of(conditions=CONDITIONS)
    keys = torch.arange(2)
    with pytest.raises(UserError, match=r"51 sampling steps: .* expected 1 to 50"):
        task.generate(keys, steps=51)
    with pytest.raises(UserError, match=r"labels of shape \[2, 3\] .* expected \[2, 2\]"):
        task.generate(keys, steps=1, labels=torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(UserError, match=r"no class has number 3; expected 0 to 2"):
        task.generate(keys, steps=1, labels=torch.tensor([[3, 0], [0, 0]]))
    adaptive = task_of(adaptive=True)
    with pytest.raises(UserError, match="expected leaves for 2 samples, got none"):
        adaptive.generate(keys, steps=1)
    leaves = adaptive.patcher.grow(batch_of(count=3).image)
    with pytest.raises(UserError, match="expected leaves for 2 samples, got 3"):
        adaptive.generate(keys, steps=1, leaves=leaves)


def test_padding_does_not_count():
    task = task_of(adaptive=True)
    batch = batch_of()
    leaves = task.patcher.grow(batch.image)
    missing = torch.ones_like(leaves.level, dtype=torch.bool)
    missing[:, -3:] = False
    drawn = task.draw(replace(batch, leaves=replace(leaves, valid=missing)))
    noise = drawn.drawn["noise"].clone()
    noise[:, -3:] += 5
    torch.testing.assert_close(task(drawn).value, task(drawn.with_drawn(noise=noise)).value)


def test_images_beyond_0_to_1_are_neither_moved_nor_cut_off():
    task = task_of(unit_range=False, prediction="clean")
    torch.nn.init.zeros_(task.model.head.weight)
    torch.nn.init.constant_(task.model.head.bias, 7.0)
    torch.testing.assert_close(task.generate(torch.arange(2), steps=3), torch.full((2, 1, 8, 8), 7.0))
    cut = task_of(unit_range=True, prediction="clean")
    cut.load_state_dict(task.state_dict())
    torch.testing.assert_close(cut.generate(torch.arange(2), steps=3), torch.ones(2, 1, 8, 8))
