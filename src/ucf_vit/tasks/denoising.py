"""Denoising diffusion: learn to tell noise from images, then make images of noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ucf_vit import diffusion
from ucf_vit.core.errors import UserError
from ucf_vit.core.seeds import rand_per_sample, randn_per_sample
from ucf_vit.data.batch import Batch
from ucf_vit.data.values.normalization import Normalization
from ucf_vit.diffusion import Prediction, ScheduleKind
from ucf_vit.models.diffusion import DiffusionVIT
from ucf_vit.patching.tree.leaves import Leaves
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.patching.tree.patches import Patches
from ucf_vit.registries.tasks import BUILT_IN
from ucf_vit.tasks.conditions import check_labels, labels_of
from ucf_vit.tasks.task import Loss, Panel, Task, total

PICTURE_STEPS = 25
"""Steps for the sample of the report: enough to see what is learned."""


@dataclass(frozen=True)
class Given:
    """Inputs of the model beside noisy values: labels `[B, K]`, places of patches, names of channels."""

    labels: Tensor | None
    patches: Patches | None
    variables: Sequence[str] | None


class Denoising(Task):
    """Mean squared error of what the model says of images at a random step of noise (Ho et al. 2020).

    With adaptive patching, noise is added to tokens, each pixel of a token the same, whatever its leaf's
    size, and samples are made along given trees.

    Args:
        model: a DiffusionVIT.
        num_time_steps, noise_schedule: see `ucf_vit.diffusion.make_schedule`.
        prediction: what the model says, see `ucf_vit.diffusion.Prediction`.
        min_snr: largest signal-to-noise ratio that counts (Min-SNR weighting), 0: every step counts the same.
        conditions: names of the values of what samples are told beside their step: "class", their label, and
            "dataset", where they are from.
        condition_dropout: chance that a training sample is not told one of them, for guidance (Ho and
            Salimans 2022).
        unit_range: images are in 0..1: they are brought to -1..1, and samples cut off there. None: the data
            that it is trained on decides.
        patcher: with adaptive patching.
    """

    facts = BUILT_IN["diffusion"]
    model: DiffusionVIT

    def __init__(
        self,
        model: DiffusionVIT,
        num_time_steps: int = 1000,
        noise_schedule: ScheduleKind = "linear",
        prediction: Prediction = "epsilon",
        min_snr: float = 0.0,
        conditions: Mapping[str, Sequence[str]] | None = None,
        condition_dropout: float = 0.1,
        unit_range: bool | None = True,
        patcher: AdaptivePatcher | None = None,
    ) -> None:
        super().__init__(model, patcher)
        self.signal = diffusion.make_schedule(noise_schedule, num_time_steps)
        self.levels = diffusion.levels_from_signal(self.signal).float()
        self.prediction: Prediction = prediction
        self.min_snr = min_snr
        self.conditions = {name: tuple(values) for name, values in (conditions or {}).items()}
        self.condition_dropout = condition_dropout
        self.unit_range = unit_range

    def name_classes(self, names: Sequence[str]) -> None:
        """The values of the condition "class" are these names, then numbers of classes that have none."""
        super().name_classes(names)
        if "class" in self.conditions:
            more = range(len(names), len(self.conditions["class"]))
            self.conditions["class"] = (*names, *map(str, more))

    def kept(self) -> dict[str, Any]:
        """Returns the range of values and the names of the conditions."""
        return {"unit_range": self.unit_range, "conditions": {n: list(v) for n, v in self.conditions.items()}}

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Take what `kept` returned when the weights were trained."""
        if "unit_range" in kept:
            self.unit_range = bool(kept["unit_range"])
        self.conditions |= {
            n: tuple(v) for n, v in kept.get("conditions", {}).items() if n in self.conditions
        }

    def settle(self, normalized: Mapping[str, Normalization]) -> None:
        """Whether values are in 0..1, where that is open. UserError where they have to be and are not."""
        others = [(name, how.kind) for name, how in normalized.items() if not how.unit_range]
        if self.unit_range is None:
            self.unit_range = not others
        if self.unit_range and others:
            raise UserError(
                f"{others[0][0]}: the network is trained on values in 0..1, which those of normalization "
                f"{others[0][1]} are not; give data.dict_normalization as it was"
            )

    def draw(self, batch: Batch) -> Batch:
        """Adds steps `time` `[B]`, their `levels` `[B, 2]`, `noise` like what the model sees, and `told`.

        The last is `[B, K]`, which labels are told. In evaluation all are; each is left out by itself, so
        that one can ask for any of them.
        """
        keys = batch.keys
        time = (rand_per_sample(keys, (), "time") * len(self.signal)).long()
        told = rand_per_sample(keys, (len(self.conditions),), "told")
        told = told >= (self.condition_dropout if self.training else 0)
        noise = randn_per_sample(keys, self.model.input.shape(batch.image.shape[1]), "noise")
        return batch.with_drawn(time=time, levels=self.levels[time], noise=noise, told=told)

    def forward(self, batch: Batch) -> Loss:
        """Mean over samples of the weighted mean squared error."""
        return Loss(self._per_sample(batch).mean())

    def evaluate(self, batch: Batch) -> dict[str, Tensor]:
        """The same on held-out tiles, each at a step and with noise of its own that stay."""
        return {"loss": total(self._per_sample(self.draw(batch).to(batch.image.device)))}

    def predict_whole(self, image: Tensor, variables: Sequence[str] | None = None) -> Tensor:
        """Raises UserError: a diffusion model makes images (`generate`) and predicts nothing of others."""
        raise UserError("a diffusion model predicts nothing of images; make new ones with ucf-vit sample")

    def pictures(self, batch: Batch) -> list[Panel]:
        """An image, the same half-way to noise, what the model takes for clean there, and a sample."""
        first = _first(batch)
        drawn = self.draw(first).to(batch.image.device)
        half = len(self.signal) // 2
        patches = self.patches_of(first)
        clean = self._clean(first.image if patches is None else patches.values)
        noisy = diffusion.add_noise(clean, drawn.drawn["noise"], self.levels[half])
        given = Given(self.labels_of(first), patches, batch.variables)
        denoised, _ = self._solve(noisy, half, given)
        leaves = None if patches is None else patches.leaves
        steps = min(PICTURE_STEPS, len(self.signal))
        generated = self.generate(
            first.keys,
            steps=steps,
            labels=given.labels,
            leaves=leaves,
            variables=batch.variables,
        )
        shown = {
            "input": first.image,
            "half-way to noise": self._image(noisy, patches),
            "denoised": self._image(denoised, patches),
            f"sample, {steps} steps": generated,
        }
        return [Panel(title, image[0, 0].float().cpu().numpy()) for title, image in shown.items()]

    @torch.no_grad()
    def generate(
        self,
        keys: Tensor,
        *,
        steps: int,
        eta: float = 0.0,
        guidance: float = 1.0,
        labels: Tensor | None = None,
        leaves: Leaves | None = None,
        variables: Sequence[str] | None = None,
    ) -> Tensor:
        """New images `[N, C, *S]` float32, in the units in which training images come.

        Sample i is a function only of `keys[i]` `[N]` int64, whatever else is in the batch.

        Args:
            keys: one for each sample.
            steps: of the sampler, 1 to num_time_steps.
            eta: 0: DDIM, deterministic after its start; 1: DDPM, with fresh noise at every step.
            guidance: w in `without + w (with - without)`, where labels are told and not (Ho and Salimans
                2022); 1: labels are just told, more: samples are more like their label, and each other.
            labels: `[N, K]` int64, a number for each of `conditions`, -1: not told. None: nothing is.
            leaves: of N trees for each channel that has its own; needed with adaptive patching.
            variables: of the channels, with `use_varemb` (None: all).

        Raises UserError where steps, labels or leaves do not fit.
        """
        device = next(self.model.parameters()).device
        patches = None if self.patcher is None else self._empty(leaves, len(keys), variables, device)
        shape = self.model.input.shape(self._channels(variables))
        check_labels(self.conditions, labels, guidance, needed=self.condition_dropout == 0)
        given = Given(None if labels is None else labels.to(device), patches, variables)

        def fresh(purpose: str) -> Tensor:
            return randn_per_sample(keys.cpu(), shape, purpose).to(device)

        def denoise(noisy: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return self._solve(noisy, step, given, guidance)

        clean = diffusion.sample(
            denoise,
            fresh("start"),
            self.signal,
            diffusion.sampling_timesteps(len(self.signal), steps),
            eta,
            lambda i: fresh(f"step {i}"),
            clip=bool(self.unit_range),
        )
        return self._image(clean, patches)

    def labels_of(self, batch: Batch) -> Tensor | None:
        """Returns the labels of the conditions of a batch, `[B, K]` int64; None where K is 0."""
        return labels_of(self.conditions, batch)

    def _per_sample(self, batch: Batch) -> Tensor:
        """Loss `[B]`."""
        levels, noise = batch.drawn["levels"], batch.drawn["noise"]
        patches = self.patches_of(batch)
        clean = self._clean(batch.image if patches is None else patches.values)
        labels = self.labels_of(batch)
        if labels is not None:
            labels = labels.masked_fill(~batch.drawn["told"], -1)
        noisy = diffusion.add_noise(clean, noise, levels)
        said = self._say(noisy, batch.drawn["time"], Given(labels, patches, batch.variables))
        wanted = diffusion.prediction_target(self.prediction, clean, noise, levels)
        error = (said.float() - wanted.float()).square()
        if self.min_snr:
            weight = diffusion.snr_weight(self.prediction, levels, self.min_snr).to(error)
            error = error * weight.view(-1, *[1] * (error.ndim - 1))
        if patches is None or patches.valid is None:
            return error.flatten(1).mean(dim=1)
        valid = patches.valid
        return (error.flatten(2).mean(dim=2) * valid).sum(dim=1) / valid.sum(dim=1).clamp_min(1)

    def _say(self, noisy: Tensor, time: Tensor, given: Given) -> Tensor:
        """Returns the model's output for `noisy`, in the same shape: images, or values of patches."""
        patches = given.patches
        seen = noisy if patches is None else replace(patches, values=noisy)
        tokens = self.model(seen, time, given.labels, given.variables)
        return self.model.image(tokens) if patches is None else tokens.reshape(noisy.shape)

    def _solve(self, noisy: Tensor, step: int, given: Given, guidance: float = 1.0) -> tuple[Tensor, Tensor]:
        """Clean values and noise, of which the model takes `noisy`, all at one step, to be made."""
        time = torch.full((len(noisy),), step, device=noisy.device)
        said = self._say(noisy, time, given).float()
        if guidance != 1 and given.labels is not None:
            without = self._say(noisy, time, replace(given, labels=None)).float()
            said = without + guidance * (said - without)
        return diffusion.split_mixture(self.prediction, said, noisy, self.levels[step])

    def _clean(self, values: Tensor) -> Tensor:
        return values * 2 - 1 if self.unit_range else values

    def _image(self, values: Tensor, patches: Patches | None) -> Tensor:
        """Inverse of `_clean`, as images."""
        values = (values.float() + 1) / 2 if self.unit_range else values.float()
        return values if patches is None else self.model.image(values.flatten(2), patches)

    def _channels(self, variables: Sequence[str] | None) -> int:
        numbers = self.model.input.numbers(variables)
        return self.model.in_channels if numbers is None else len(numbers)

    def _empty(
        self, leaves: Leaves | None, count: int, variables: Sequence[str] | None, device: torch.device
    ) -> Patches:
        """Patches along given trees, to be filled."""
        if leaves is None or len(leaves.level) != count * leaves.trees:
            given = "none" if leaves is None else f"{len(leaves.level) // leaves.trees}"
            raise UserError(
                f"samples of adaptive patches are made along trees: expected leaves for {count} samples, "
                f"got {given}"
            )
        shape = self.model.input.shape(self._channels(variables))
        return Patches(torch.zeros(count, *shape, device=device), leaves.to(device))


def _first(batch: Batch) -> Batch:
    """Returns only the first sample, on its device."""
    leaves = batch.leaves
    if leaves is not None:
        rows = slice(leaves.trees)
        valid = None if leaves.valid is None else leaves.valid[rows]
        leaves = replace(leaves, start=leaves.start[rows], level=leaves.level[rows], valid=valid)
    label = None if batch.label is None else batch.label[:1]
    return replace(
        batch, image=batch.image[:1], label=label, files=batch.files[:1], keys=batch.keys[:1], leaves=leaves
    )
