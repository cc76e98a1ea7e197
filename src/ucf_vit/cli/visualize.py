"""`ucf-vit visualize`: pictures of the model's input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ucf_vit.cli.arguments import to_path, to_sides
from ucf_vit.cli.config import Overrides, Overwrite
from ucf_vit.cli.visualize_volume import volume
from ucf_vit.core.errors import UserError
from ucf_vit.core.files.outputs import check_free, check_png

if TYPE_CHECKING:
    from ucf_vit.drawing.patches import Picture

_KEYS = {
    "length": "adaptive.fixed_length={}",
    "patch_size": "input.patch_size={}",
    "min_leaf": "adaptive.min_leaf={}",
    "detail": "adaptive.detail={}",
    "smoothing": "adaptive.detail_smoothing=[{}]",
    "separate_channels": "adaptive.separate_channels=true",
}
"""Keys of a config that correspond to the options for an image."""

app = typer.Typer(help="Draw the model's input.", no_args_is_help=True)


@app.callback()
def visualize() -> None:
    """Draw the model's input."""


app.command()(volume)


@app.command()
def patches(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGE|CONFIG|RUN",
            help="PNG, JPEG, NIfTI or .npy; or a run: its YAML file, directory or checkpoint.",
            parser=to_path,
        ),
    ],
    overrides: Overrides = None,
    length: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Tokens, rounded down to a length of a tree. Default: 1/4 of the uniform ones.",
        ),
    ] = None,
    patch_size: Annotated[
        str | None,
        typer.Option(help="Sides of a token in pixels: 16, or 16x16x8. Default: by the size, at most 16."),
    ] = None,
    min_leaf: Annotated[
        str | None,
        typer.Option(
            help="Sides of the smallest leaf in pixels: 4x4x2, or only the shortest one, for a leaf that has "
            "the shape of a token. Default: 2."
        ),
    ] = None,
    detail: Annotated[
        str | None,
        typer.Option(
            help="auto, canny, gradient, variance or path/to/file.py:function. A function gets "
            "the stored values of an IMAGE, and the normalized values of a CONFIG."
        ),
    ] = None,
    smoothing: Annotated[
        int | None,
        typer.Option(min=1, help="Side of the blur before detail is measured, odd. Default: by the noise."),
    ] = None,
    separate_channels: Annotated[
        bool, typer.Option("--separate-channels", help="One tree per channel.")
    ] = False,
    output: Annotated[Path, typer.Option(help="PNG file to write.", parser=to_path)] = Path("patches.png"),
    overwrite: Overwrite = False,
) -> None:
    """Draw adaptive patches: leaves, detail, order of the tokens, and the image that they represent.

    For a CONFIG: one training tile per data set, with its keys and KEY=VALUE.

    For an IMAGE: the whole image, or its middle if its sides have no large power of two in common.
    """
    from ucf_vit.visualization.patches import picture_of_file, pictures_of_run

    given = {
        "length": length,
        "patch_size": None if patch_size is None else _sides("--patch-size", patch_size),
        "min_leaf": None if min_leaf is None else _sides("--min-leaf", min_leaf),
        "detail": detail,
        "smoothing": smoothing,
        "separate_channels": separate_channels or None,
    }
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    _check_output(output, source)
    if _is_run(source):
        if options:
            keys = " ".join(_KEYS[name].format(value).replace(", ", ",") for name, value in options.items())
            raise UserError(f"{source}: a config has keys in place of options; use {keys}")
        from ucf_vit.training.saved_runs.open_run import find_run

        run = find_run(source, overrides or []).run
        several = len(run.datasets) > 1
        outputs = {
            name: output.with_stem(f"{output.stem}_{name}") if several else output for name in run.datasets
        }
        check_free(outputs.values(), overwrite)
        for drawn in pictures_of_run(run):
            _write(outputs[drawn.name], drawn)
    elif overrides:
        raise UserError(f"{overrides[0]}: an image has no keys; use the options (--help)")
    elif smoothing is not None and smoothing % 2 == 0:
        raise UserError(f"--smoothing {smoothing}: expected an odd number of pixels; 1 is no smoothing")
    else:
        check_free([output], overwrite)
        _write(output, picture_of_file(source, **options))


def _is_run(source: Path) -> bool:
    """Whether `source` is a config, the directory of a run, or one of its checkpoints; otherwise an image."""
    is_name = not source.exists() and not source.suffix  # such as RUN/last, whose directory is RUN/last_even
    return source.is_dir() or is_name or source.suffix.lower() in (".yaml", ".yml")


def _sides(option: str, text: str) -> int | list[int]:
    sides = to_sides(option, text)
    return sides[0] if len(sides) == 1 else list(sides)


def _check_output(output: Path, source: Path) -> None:
    check_png(output, "--output")
    if output.resolve() == source.resolve():
        raise UserError(f"--output {output} is the image itself; name another file")


def _write(output: Path, drawn: Picture) -> None:
    from ucf_vit.core.files.atomic_files import write_atomic

    try:
        write_atomic(output, drawn.png)
    except OSError as error:
        raise UserError(f"--output {output}: {error.strerror or error}") from error
    typer.echo(f"wrote {output}: {drawn.words}")
