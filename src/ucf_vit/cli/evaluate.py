"""`ucf-vit evaluate`: metrics of trained runs on held-out items, or of predictions in files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ucf_vit.cli.arguments import to_path
from ucf_vit.cli.config import Overrides, Task


def evaluate(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN|CHECKPOINT|CONFIG]",
            help="Directory of a run, one of its checkpoints (RUN/best), or its YAML file.",
            parser=to_path,
        ),
    ] = None,
    overrides: Overrides = None,
    task: Task = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(help="best, last, last_even, ... Default: best, or the newest if there is no best."),
    ] = None,
    split: Annotated[
        Literal["validation", "test"] | None,
        typer.Option(help="Items of the run. Default: validation, on which best was chosen."),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]ROOT", help="All items of other data; repeatable."),
    ] = None,
    threshold: Annotated[
        bool, typer.Option("--threshold", help="Compare with the best intensity thresholds.")
    ] = False,
    allow_trained: Annotated[
        bool,
        typer.Option(
            "--allow-trained", "--allow-overlap", help="Include items that the checkpoint was trained on."
        ),
    ] = False,
    choose_postprocessing: Annotated[
        bool,
        typer.Option(
            "--choose-postprocessing",
            help="Choose largest component, smallest volume and filled holes per class by validation Dice.",
        ),
    ] = False,
    no_postprocessing: Annotated[
        bool, typer.Option("--no-postprocessing", help="Leave out what was chosen.")
    ] = False,
    ensemble: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            metavar="RUN|CHECKPOINT",
            help="Another run, such as one per fold: the mean of all is evaluated; can be repeated.",
            parser=to_path,
        ),
    ] = None,
    predictions: Annotated[
        list[str] | None,
        typer.Option(metavar="DIR", help="Without a run: files of any tool. Several are compared."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Files with the labels of --predictions, with the same names.", parser=to_path),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Images of --labels, for the pictures of the report.", parser=to_path),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Names of classes 1, 2, ... (liver,tumour) or a .json file, for --predictions."),
    ] = None,
    groups: Annotated[
        str, typer.Option(help=r"Patient of a file: a pattern in its name such as '(\w+)_', or a .csv.")
    ] = "",
    ignore: Annotated[int | None, typer.Option(help="Value in --labels of voxels that do not count.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Directory to write to. Default: that of the run, or of the first --predictions.",
            parser=to_path,
        ),
    ] = None,
) -> None:
    """Evaluate trained runs on held-out items, or predictions in files; print tables of scores.

    Items that were trained on are refused. KEY=VALUE override RUN/config.yaml. Several runs (RUN_A RUN_B ...)
    or --predictions are compared on the same cases.
    """
    from ucf_vit.evaluation.comparison.compare_results import compare_results, places
    from ucf_vit.evaluation.comparison.write_comparison import write_comparison
    from ucf_vit.evaluation.options import EvaluationOptions
    from ucf_vit.evaluation.terminal import show, show_comparison, show_files

    options = EvaluationOptions(
        split=split,
        data=tuple(data or ()),
        ensemble=tuple(ensemble or ()),
        checkpoint=checkpoint,
        threshold=threshold,
        allow_trained=allow_trained,
        choose_postprocessing=choose_postprocessing,
        postprocess=not no_postprocessing,
        labels=labels,
        images=images,
        classes=classes,
        groups=groups,
        ignore=ignore,
    )
    options.check(run, predictions)
    changes = [text for text in overrides or () if "=" in text and not Path(text).exists()]
    paths = [run, *(Path(text) for text in overrides or () if text not in changes)] if run else []
    methods = paths or [Path(text) for text in predictions or ()]
    found = {}
    for path, place in places(methods, output).items():
        results = options.evaluate(path, changes, output=place, task=task, show=show)
        if results is not None:
            found[path] = results
            show_files(results.files)
    if len(found) > 1:
        comparison = compare_results(found)
        show_comparison(comparison)
        show_files(write_comparison(comparison, found, output)[:3])
