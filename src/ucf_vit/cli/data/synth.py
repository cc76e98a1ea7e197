"""`ucf-vit synth`: writes synthetic data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from ucf_vit.cli.arguments import to_path
from ucf_vit.core.errors import UserError
from ucf_vit.core.files.outputs import check_free, check_png

app = typer.Typer(help="Write a synthetic data set.", no_args_is_help=True)


@app.callback()
def synth() -> None:
    """Write a synthetic data set."""


@app.command("basic_ct")
def basic_ct(
    root: Annotated[Path, typer.Argument(help="Directory for imagesTr and labelsTr.", parser=to_path)],
    number: Annotated[int, typer.Option(min=1, help="Number of volumes.")] = 8,
    size: Annotated[str, typer.Option(help="Sides in voxels: 64, or 64x64x96.")] = "64",
    seed: Annotated[int, typer.Option(help="Volume i depends only on the seed and i.")] = 0,
    vary: Annotated[float, typer.Option(help="Vary sides by up to this fraction.")] = 0.0,
    compressed: Annotated[bool, typer.Option(help=".nii.gz, or plain .nii.")] = True,
    overwrite: Annotated[bool, typer.Option(help="Replace existing files.")] = False,
    processes: Annotated[int, typer.Option(min=1, help="Volumes at the same time.")] = 1,
    picture: Annotated[
        Path | None, typer.Option(help="PNG file for slices of one such volume.", parser=to_path)
    ] = None,
) -> None:
    """Write concrete-like CT volumes with labels: mortar 0, aggregate 1, air void 2, crack 3."""
    from ucf_vit.synthetic import make_volume, parse_size, write_dataset
    from ucf_vit.synthetic.picture import draw_volume

    if picture is not None:
        check_png(picture, "--picture")
        check_free([picture], overwrite)
    with Progress() as progress:
        bar = progress.add_task("volumes", total=number)
        write_dataset(
            root,
            number,
            parse_size(size),
            seed,
            vary=vary,
            compressed=compressed,
            overwrite=overwrite,
            processes=processes,
            on_volume=lambda path: progress.advance(bar),
        )
    if picture is not None:
        try:
            picture.parent.mkdir(parents=True, exist_ok=True)
            draw_volume(*make_volume(parse_size(size), seed), picture)
        except OSError as cause:
            raise UserError(f"--picture {picture}: cannot be written ({cause})") from None
    typer.echo(f"{number} volumes in {root}")
