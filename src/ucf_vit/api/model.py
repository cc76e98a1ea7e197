"""A trained run as one object."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, cast, overload

import torch
from numpy.typing import ArrayLike
from torch import nn

from ucf_vit.api.features import Features, features
from ucf_vit.api.inputs import ImageLike, cases_of, is_one
from ucf_vit.api.networks import describe_network
from ucf_vit.api.prediction import Prediction
from ucf_vit.config import Run, encoder_options, input_options
from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.files.paths import to_path
from ucf_vit.core.lists import first_few
from ucf_vit.inference.classes import class_names
from ucf_vit.inference.inputs import Case
from ucf_vit.inference.predict_item import check_predicts, image_of, predict_item
from ucf_vit.inference.terminal import Display
from ucf_vit.tasks.task import Task
from ucf_vit.tasks.tile_prediction import tiles_of
from ucf_vit.training.saved_runs.open_ensemble import ensemble as ensemble_of_runs
from ucf_vit.training.saved_runs.open_trained import Trained, open_trained

log = logging.getLogger(__name__)


def load(
    run: str | Path,
    overrides: Sequence[str] = (),
    *,
    ensemble: str | Path | Sequence[str | Path] = (),
    device: str | None = None,
) -> Model:
    """Returns the model of the run or checkpoint at a path; the best checkpoint of a run.

    No data is read. `overrides` change the run's config, as on the command line. `ensemble` are further runs
    or checkpoints, such as those of other folds: the model then predicts the mean of all. `device` is a value
    of `trainer.device`. Raises CheckpointError and ConfigError, and UserError for runs that make no ensemble.
    """
    further = [ensemble] if isinstance(ensemble, str | Path) else ensemble
    return Model([open_trained(to_path(one), overrides, device=device) for one in (run, *further)])


class Model:
    """A trained run, or an ensemble of them: predictions for images as they are stored, and their features.

    Attributes:
        task: the task (`ucf_vit.tasks`), in evaluation mode; of an ensemble it predicts the mean.
        run: the config.
        directory: the checkpoint, of optimizer step `step`.
        classes: names of the classes, numbers where they have none.

    Of an ensemble, all but `predict` is that of its first run.
    """

    def __init__(self, members: Sequence[Trained[Task]]) -> None:
        self._members = list(members)
        self._trained = trained = ensemble_of_runs(self._members)
        self.task: Task = trained.task
        self.run: Run = trained.run
        self.directory: Path = trained.directory
        self.step: int = trained.step
        self.classes: tuple[str, ...] = tuple(class_names(trained)) if trained.run.model.num_classes else ()

    @property
    def network(self) -> nn.Module:
        """The network, a plain module: normalised images `[B, C, *S]` to its output."""
        return self.task.model

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self._trained.device

    @property
    def pretrained_cfg(self) -> dict[str, Any]:
        """Facts about the network, see `describe_network`, and about the images that it was trained on."""
        run, record = self.run, self._trained.record
        network = self.network
        facts = describe_network(
            network,
            run.network,
            input_options(run),
            encoder_options(run),
            {"num_classes": run.model.num_classes},
        )
        return {
            **facts,
            "task": run.task,
            "class_names": self.classes,
            "channels": tuple(run.input.default_vars),
            "normalization": {name: one.how for name, one in record.normalized.items()},
            "grid": record.grid,
            "step": self.step,
        }

    @overload
    def predict(
        self,
        images: ImageLike,
        *,
        dataset: str | None = ...,
        source: str | None = ...,
        spacing: Sequence[float] | None = ...,
        affine: ArrayLike | None = ...,
        probabilities: bool = ...,
        mirror: bool = ...,
        postprocess: bool = ...,
        progress: bool = ...,
    ) -> Prediction: ...

    @overload
    def predict(
        self,
        images: Iterable[ImageLike],
        *,
        dataset: str | None = ...,
        source: str | None = ...,
        spacing: Sequence[float] | None = ...,
        affine: ArrayLike | None = ...,
        probabilities: bool = ...,
        mirror: bool = ...,
        postprocess: bool = ...,
        progress: bool = ...,
    ) -> Iterator[Prediction]: ...

    def predict(
        self,
        images: ImageLike | Iterable[ImageLike],
        *,
        dataset: str | None = None,
        source: str | None = None,
        spacing: Sequence[float] | None = None,
        affine: ArrayLike | None = None,
        probabilities: bool = False,
        mirror: bool = False,
        postprocess: bool = True,
        progress: bool = True,
    ) -> Prediction | Iterator[Prediction]:
        """Predicts images that the run has not seen, on the grid on which they are stored.

        They are segmented or classified; a masked autoencoder reconstructs their masked patches.

        One image gives one prediction. A list or an iterator gives an iterator, which predicts each image
        when it is asked for; unreadable files are logged and, after all others, raise one UserError.

        Args:
            images: a path or URL of an image or DICOM series, or an array or tensor `[C, *S]` or `[*S]` with
                the values that a file would have; a list or iterator of these. In lists, a directory stands
                for all images in it.
            dataset: the run's data set that images are read as, where it has several.
            source: source that reads paths (files, dicom, basic_ct, ...); by default chosen for each.
            spacing: distance of the voxels of an array along each axis in mm; its axes then point to the
                right, the front and up.
            affine: instead, the affine `[4, 4]` of the array, in mm.
            probabilities: return those of all classes of a segmentation.
            mirror: also average over flips along all axes: 4 times the work in 2D, 8 in 3D.
            postprocess: apply the post-processing that was chosen for the run, if any.
            progress: show a bar in a terminal or notebook.

        Raises UserError for a task without predictions or an image that does not fit the run, DataError for
        an unreadable one.
        """
        check_predicts(self._trained)
        trained = ensemble_of_runs(self._members, mirror) if mirror else self._trained
        trained = trained if postprocess else replace(trained, postprocessing=None)
        make = partial(_predict, trained, self.classes, probabilities)
        if not is_one(images) and not isinstance(images, Iterable):
            raise UserError(f"{images!r}: expected a path, an array, a tensor, or a list of these")
        options = {"dataset": dataset, "source": source, "spacing": spacing, "affine": affine}

        def find(one: ImageLike) -> list[Case]:
            return cases_of(trained, one, **options)  # type: ignore[arg-type]

        if not is_one(images):
            return _stream(cast(Iterable[ImageLike], images), find, make, progress)
        cases = find(cast(ImageLike, images))
        if len(cases) != 1:
            raise UserError(f"{images}: holds {len(cases)} images; ask for those of a list: [{images!r}]")
        with Display(1, prod(cases[0].shape), shown=progress, lines=False) as display:
            return make(cases[0], display)

    def features(
        self,
        image: ImageLike,
        blocks: Sequence[int] = (),
        *,
        dataset: str | None = None,
        spacing: Sequence[float] | None = None,
        affine: ArrayLike | None = None,
    ) -> Features:
        """Returns the encoder's features of the tiles that cover an image, `[B, L, D]` of B tiles.

        The image is brought to the values and the grid of the training, and cut into tiles that overlap only
        where its sides are no multiples of the tile's. See `ucf_vit.features` for `blocks`, and `predict` for
        the other arguments.
        """
        (case,) = cases_of(self._trained, image, dataset=dataset, spacing=spacing, affine=affine)
        sample = case.read()
        with torch.no_grad():
            tiles = torch.cat(list(tiles_of(image_of(self._trained, sample), self.run.spatial_tile, 0.0)))
            seen = tiles if self.task.patcher is None else self.task.patcher(tiles)
            return features(self.network, seen, blocks, variables=sample.variables)

    def __repr__(self) -> str:
        run, facts = self.run, self.pretrained_cfg
        size = " x ".join(map(str, run.spatial_tile))
        classes = {"classes": ", ".join(self.classes)} if self.classes else {}
        rows = {
            "task": f"{run.task}, {run.network} with {facts['parameters'] / 1e6:.3g} M parameters",
            "weights": " + ".join(f"{one.directory}, step {one.step:,}" for one in self._members),
            **classes,
            "channels": ", ".join(facts["channels"]),
            "tile": f"{size}, {facts.get('num_tokens', '?')} tokens",
            "grid": str(self._trained.record.grid or "") or "as stored",
            "device": str(self.device),
        }
        return "Model\n" + "\n".join(f"  {name:<9}{text}" for name, text in rows.items())


def _stream(
    images: Iterable[ImageLike],
    find: Callable[[ImageLike], list[Case]],
    make: Callable[[Case, Display], Prediction],
    progress: bool,
) -> Iterator[Prediction]:
    """Yields the predictions of all images; those of a list are found first, for the remaining time."""
    failed: list[str] = []
    count = len(images) if isinstance(images, Sequence) else 1
    for group in [images] if isinstance(images, Sequence) else ([one] for one in images):
        cases = [case for one in group for case in _found(find, one, failed)]
        voxels = sum(prod(case.shape) for case in cases)
        with Display(max(len(cases), count), voxels, shown=progress, lines=False) as display:
            for case in cases:
                try:
                    found = make(case, display)
                except DataError as error:
                    _fail(case.item.image, error, failed)
                    continue
                yield found
    if failed:
        names = first_few(failed, 5)
        raise UserError(f"{len(failed)} input(s) could not be predicted: {names}; the others are done")


def _predict(
    trained: Trained[Task], classes: tuple[str, ...], probabilities: bool, case: Case, display: Display
) -> Prediction:
    folder = Path(tempfile.gettempdir())
    found = predict_item(trained, case, folder, probabilities=probabilities, advance=display.advance)
    display.end(case.item.key, "", 0)
    return Prediction.of(case, classes, found)


def _found(find: Callable[[ImageLike], list[Case]], image: ImageLike, failed: list[str]) -> list[Case]:
    try:
        return find(image)
    except DataError as error:
        _fail(str(image) if isinstance(image, (str, Path)) else "array", error, failed)
        return []


def _fail(file: str, error: DataError, failed: list[str]) -> None:
    log.warning("skipped an unreadable file: %s", error)
    failed.append(file)
