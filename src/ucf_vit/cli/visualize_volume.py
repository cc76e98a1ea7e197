"""`ucf-vit visualize volume`: one item of a data set with its label."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ucf_vit.cli.arguments import to_path
from ucf_vit.cli.config import Overrides, Overwrite
from ucf_vit.core.errors import UserError
from ucf_vit.core.files.outputs import check_free, check_png


def volume(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|DATASET|RUN",
            help="NIfTI, .npy or picture; root of a data set; or a run: its YAML file or directory.",
            parser=to_path,
        ),
    ],
    overrides: Overrides = None,
    sample: Annotated[int, typer.Option(min=0, help="Number of the item of a data set.")] = 0,
    label: Annotated[Path | None, typer.Option(help="Of a FILE: its label.", parser=to_path)] = None,
    dataset: Annotated[
        str | None, typer.Option(help="What DATASET is, as in data.dataset. Default: what it looks like.")
    ] = None,
    variables: Annotated[
        str | None, typer.Option(help="Of DATASET: names of its channels, separated by commas.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Of DATASET, as in data.dict_options; can be repeated."),
    ] = None,
    output: Annotated[Path, typer.Option(help="PNG file to write.", parser=to_path)] = Path("volume.png"),
    gif: Annotated[
        Path | None, typer.Option(help="GIF file of all slices to write too.", parser=to_path)
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw three orthogonal slices of a volume: all channels, in true proportions, with the label over them.

    Files are written; no display is needed.
    """
    from ucf_vit.cli.data.prepare_recipe import options_of
    from ucf_vit.core.files.atomic_files import write_atomic
    from ucf_vit.drawing.volumes import draw_gif, draw_volume
    from ucf_vit.visualization.volume import TABLES, is_config, view_of_dataset, view_of_file, view_of_run

    check_png(output, "--output")
    if gif is not None and gif.suffix.lower() != ".gif":
        raise UserError(f"--gif {gif}: a GIF file is written; call it .gif")
    check_free([one for one in (output, gif) if one is not None], overwrite)
    if is_config(source):
        view = view_of_run(source, sample, overrides or [])
    elif overrides:
        raise UserError(f"{overrides[0]}: only a run has keys to set; use the options (--help)")
    elif source.is_dir() or source.suffix.lower() in TABLES:
        names = None if variables is None else [name.strip() for name in variables.split(",")]
        view = view_of_dataset(source, sample, dataset, names, options_of(option))
    else:
        view = view_of_file(source, label)
    pictures = {output: draw_volume, **({} if gif is None else {gif: draw_gif})}
    for path, draw in pictures.items():
        try:
            write_atomic(path, draw(view))
        except OSError as error:
            raise UserError(f"{path}: {error.strerror or error}") from error
        typer.echo(f"wrote {path}: {view.title}, {' x '.join(map(str, view.image.shape[1:]))}")
