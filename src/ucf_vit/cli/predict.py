"""`ucf-vit predict`: a trained run applied to other images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ucf_vit.cli.arguments import to_path


def predict(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|CHECKPOINT",
            help="Directory of a run (its best checkpoint, or the newest), or a checkpoint such as RUN/last.",
            parser=to_path,
        ),
    ],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]INPUT...",
            help="Files (NIfTI, NRRD, MetaImage, pictures), directories of them, DICOM series, data sets.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Directory to write to.", parser=to_path)
    ],
    ensemble: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            metavar="RUN|CHECKPOINT",
            help="Another run, such as one per fold: the mean of all is predicted; can be repeated.",
            parser=to_path,
        ),
    ] = None,
    mirror: Annotated[
        bool,
        typer.Option(
            "--mirror", help="Also average over flips along all axes: 4 times the work in 2D, 8 in 3D."
        ),
    ] = False,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Source that reads the inputs: files, dicom, basic_ct, ... Default: chosen for each.",
        ),
    ] = None,
    format: Annotated[
        Literal["nifti", "nrrd", "mha", "tiff", "png", "zarr", "dicomseg"] | None,
        typer.Option(help="Format of segmentations. Default: that of each image."),
    ] = None,
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities", help="Write those of all classes, too: NAME.npz, [K, ...] in float16."
        ),
    ] = False,
    no_postprocessing: Annotated[
        bool,
        typer.Option("--no-postprocessing", help="Leave out what `evaluate --choose-postprocessing` chose."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace predictions. Default: only missing ones are made.")
    ] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="E.g. trainer.device=cpu; can be repeated."),
    ] = None,
) -> None:
    """Segment or classify images that a run has not seen, on the grid on which they are stored.

    Values, grid and classes are those of the training. Unreadable files are named and skipped.
    """
    from ucf_vit.inference import PredictionRequest, predict_run

    request = PredictionRequest(
        tuple(inputs),
        output,
        dataset=dataset,
        ensemble=tuple(ensemble or ()),
        mirror=mirror,
        format=format,
        probabilities=probabilities,
        postprocess=not no_postprocessing,
        overwrite=overwrite,
    )
    predict_run(run, request, overrides or [])
