"""Denoising diffusion: a network that predicts noise in images, and generation of images from noise."""

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
from ucf_vit.tasks.sums import sum_and_count
from ucf_vit.tasks.task import Loss, Panel, Task

PICTURE_STEPS = 25
"""Number of steps for the sample in the report."""


@dataclass(frozen=True)
class ModelInputs:
    """Inputs of the model in addition to noisy values: labels `[B, K]`, patches, names of channels."""

    labels: Tensor | None
    patches: Patches | None
    variables: Sequence[str] | None


class Denoising(Task):
    """Denoising diffusion (Ho et al. 2020): mean squared error of predictions at a random noise step.

    With adaptive patching, noise is added to the pixels of tokens, at the same level for leaves of all sizes,
    and samples are generated along given trees.

    Args:
        model: a DiffusionVIT.
        num_time_steps, noise_schedule: see `ucf_vit.diffusion.make_schedule`.
        prediction: quantity that the model predicts, see `ucf_vit.diffusion.Prediction`.
        min_snr: largest signal-to-noise ratio in the loss (Min-SNR weighting); 0: all steps count the same.
        conditions: names of the values of each condition: "class", the label of a sample, and "dataset", its
            data set.
        condition_dropout: probability that a condition of a training sample is hidden, for guidance (Ho and
            Salimans 2022).
        unit_range: images are in 0..1: they are scaled to -1..1, and samples clipped there. None: set by the
            normalization of the training data.
        patcher: cuts images into adaptive patches.
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
        """Names the values of the condition "class"; classes without a name are named by their numbers."""
        super().name_classes(names)
        if "class" in self.conditions:
            more = range(len(names), len(self.conditions["class"]))
            self.conditions["class"] = (*names, *map(str, more))

    def data_facts(self) -> dict[str, Any]:
        """Returns the range of values and the values of the conditions."""
        return {"unit_range": self.unit_range, "conditions": {n: list(v) for n, v in self.conditions.items()}}

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Restores the facts that `data_facts` returned when the weights were trained."""
        if "unit_range" in facts:
            self.unit_range = bool(facts["unit_range"])
        self.conditions |= {
            n: tuple(v) for n, v in facts.get("conditions", {}).items() if n in self.conditions
        }

    def set_normalization(self, normalizations: Mapping[str, Normalization]) -> None:
        """Sets `unit_range` if it is None. Raises UserError if values have to be in 0..1 and are not."""
        others = [(name, how.kind) for name, how in normalizations.items() if not how.unit_range]
        if self.unit_range is None:
            self.unit_range = not others
        if self.unit_range and others:
            raise UserError(
                f"{others[0][0]}: the network was trained on values in 0..1, and those of normalization "
                f"{others[0][1]} are not; set data.dict_normalization as in training"
            )

    def draw(self, batch: Batch) -> Batch:
        """Adds steps `time` `[B]`, `levels` `[B, 2]`, `noise` in the input's shape, and `labelled` `[B, K]`.

        `labelled` is True for conditions that the model gets. In evaluation these are all; in training each
        is dropped independently, so that samples can be drawn for any subset of conditions.
        """
        keys = batch.keys
        time = (rand_per_sample(keys, (), "time") * len(self.signal)).long()
        uniform = rand_per_sample(keys, (len(self.conditions),), "told")  # the word is part of the seed
        labelled = uniform >= (self.condition_dropout if self.training else 0)
        noise = randn_per_sample(keys, self.model.input.shape(batch.image.shape[1]), "noise")
        return batch.with_drawn(time=time, levels=self.levels[time], noise=noise, labelled=labelled)

    def forward(self, batch: Batch) -> Loss:
        """Returns the mean over samples of the weighted mean squared error."""
        return Loss(self._per_sample(batch).mean())

    def evaluate(self, batch: Batch) -> dict[str, Tensor]:
        """Returns the totals of the loss on held-out tiles; each has the same step and noise in every run."""
        return {"loss": sum_and_count(self._per_sample(self.draw(batch).to(batch.image.device)))}

    def predict_whole(self, image: Tensor, variables: Sequence[str] | None = None) -> Tensor:
        """Raises UserError: a diffusion model generates images, it has no predictions for given ones."""
        raise UserError("a diffusion model predicts nothing of images; make new ones with ucf-vit sample")

    def pictures(self, batch: Batch) -> list[Panel]:
        """Returns an image, the image half-way to noise, the denoised image, and a sample."""
        first = _first(batch)
        drawn = self.draw(first).to(batch.image.device)
        half = len(self.signal) // 2
        patches = self.patches_of(first)
        clean = self._clean(first.image if patches is None else patches.values)
        noisy = diffusion.add_noise(clean, drawn.drawn["noise"], self.levels[half])
        inputs = ModelInputs(self.labels_of(first), patches, batch.variables)
        denoised, _ = self._split(noisy, half, inputs)
        leaves = None if patches is None else patches.leaves
        steps = min(PICTURE_STEPS, len(self.signal))
        generated = self.generate(
            first.keys,
            steps=steps,
            labels=inputs.labels,
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
        """Generates images `[N, C, *S]` float32, in the units of the training images.

        Sample i depends only on `keys[i]`, not on the rest of the batch.

        Args:
            keys: `[N]` int64, one seed per sample.
            steps: number of sampler steps, 1 to num_time_steps.
            eta: 0: DDIM, deterministic after its start; 1: DDPM, with fresh noise at every step.
            guidance: w in `without + w (with - without)`, of predictions with and without labels (Ho and
                Salimans 2022). 1: no guidance; larger values make samples more typical and less diverse.
            labels: `[N, K]` int64, a number for each of `conditions`, -1: no label. None: no labels.
            leaves: leaves of N trees, for each channel if channels have their own; for adaptive patching.
            variables: names of the channels, with `use_varemb` (None: all).

        Raises UserError if steps, labels or leaves do not fit.
        """
        device = next(self.model.parameters()).device
        patches = None if self.patcher is None else self._empty_patches(leaves, len(keys), variables, device)
        shape = self.model.input.shape(self._channels(variables))
        check_labels(self.conditions, labels, guidance, needed=self.condition_dropout == 0)
        inputs = ModelInputs(None if labels is None else labels.to(device), patches, variables)

        def fresh(purpose: str) -> Tensor:
            return randn_per_sample(keys.cpu(), shape, purpose).to(device)

        def denoise(noisy: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return self._split(noisy, step, inputs, guidance)

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
        """Returns the labels of the conditions of a batch, `[B, K]` int64; None if K is 0."""
        return labels_of(self.conditions, batch)

    def _per_sample(self, batch: Batch) -> Tensor:
        """Returns the loss `[B]` of each sample."""
        levels, noise = batch.drawn["levels"], batch.drawn["noise"]
        patches = self.patches_of(batch)
        clean = self._clean(batch.image if patches is None else patches.values)
        labels = self.labels_of(batch)
        if labels is not None:
            labels = labels.masked_fill(~batch.drawn["labelled"], -1)
        noisy = diffusion.add_noise(clean, noise, levels)
        prediction = self._run_model(
            noisy, batch.drawn["time"], ModelInputs(labels, patches, batch.variables)
        )
        target = diffusion.prediction_target(self.prediction, clean, noise, levels)
        error = (prediction.float() - target.float()).square()
        if self.min_snr:
            weight = diffusion.snr_weight(self.prediction, levels, self.min_snr).to(error)
            error = error * weight.view(-1, *[1] * (error.ndim - 1))
        if patches is None or patches.valid is None:
            return error.flatten(1).mean(dim=1)
        valid = patches.valid
        return (error.flatten(2).mean(dim=2) * valid).sum(dim=1) / valid.sum(dim=1).clamp_min(1)

    def _run_model(self, noisy: Tensor, time: Tensor, inputs: ModelInputs) -> Tensor:
        """Returns the model's output for `noisy` in the same shape: images, or values of patches."""
        patches = inputs.patches
        seen = noisy if patches is None else replace(patches, values=noisy)
        tokens = self.model(seen, time, inputs.labels, inputs.variables)
        return self.model.image(tokens) if patches is None else tokens.reshape(noisy.shape)

    def _split(
        self, noisy: Tensor, step: int, inputs: ModelInputs, guidance: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Returns the clean values and the noise that the model predicts in `noisy`, at one step for all."""
        time = torch.full((len(noisy),), step, device=noisy.device)
        prediction = self._run_model(noisy, time, inputs).float()
        if guidance != 1 and inputs.labels is not None:
            without = self._run_model(noisy, time, replace(inputs, labels=None)).float()
            prediction = without + guidance * (prediction - without)
        return diffusion.split_mixture(self.prediction, prediction, noisy, self.levels[step])

    def _clean(self, values: Tensor) -> Tensor:
        return values * 2 - 1 if self.unit_range else values

    def _image(self, values: Tensor, patches: Patches | None) -> Tensor:
        """Returns images from values, the inverse of `_clean`."""
        values = (values.float() + 1) / 2 if self.unit_range else values.float()
        return values if patches is None else self.model.image(values.flatten(2), patches)

    def _channels(self, variables: Sequence[str] | None) -> int:
        numbers = self.model.input.numbers(variables)
        return self.model.in_channels if numbers is None else len(numbers)

    def _empty_patches(
        self, leaves: Leaves | None, count: int, variables: Sequence[str] | None, device: torch.device
    ) -> Patches:
        """Returns patches of zeros along given trees. Raises UserError if there are not `count` trees."""
        if leaves is None or len(leaves.level) != count * leaves.trees:
            number = "none" if leaves is None else f"{len(leaves.level) // leaves.trees}"
            raise UserError(
                f"samples of adaptive patches need trees: expected leaves for {count} samples, got {number}"
            )
        shape = self.model.input.shape(self._channels(variables))
        return Patches(torch.zeros(count, *shape, device=device), leaves.to(device))


def _first(batch: Batch) -> Batch:
    """Returns the first sample as a batch."""
    leaves = batch.leaves
    if leaves is not None:
        rows = slice(leaves.trees)
        valid = None if leaves.valid is None else leaves.valid[rows]
        leaves = replace(leaves, start=leaves.start[rows], level=leaves.level[rows], valid=valid)
    label = None if batch.label is None else batch.label[:1]
    return replace(
        batch, image=batch.image[:1], label=label, files=batch.files[:1], keys=batch.keys[:1], leaves=leaves
    )
