"""`ucf-vit COMMAND`: entry point and reporting of errors."""

from __future__ import annotations

import functools
import inspect
import io
import logging
import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer

import ucf_vit
from ucf_vit.cli import (
    checkpoint,
    config,
    evaluate,
    export,
    mesh,
    predict,
    sample,
    track,
    train,
    visualize,
    weights,
)
from ucf_vit.cli.arguments import Commands, refuse_credentials
from ucf_vit.cli.data import check_leaks, plan, prepare, stats, synth
from ucf_vit.core.errors import UserError, exhausted
from ucf_vit.core.files.urls import without_credentials
from ucf_vit.core.log import ROOT, showing_warnings

_LOOK: dict[str, Any] = {
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
app = typer.Typer(
    name="ucf-vit",
    cls=Commands,
    help="Train Vision Transformers on large 2D and 3D scientific and medical images.",
    no_args_is_help=True,
    **_LOOK,
)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("check-leaks")(check_leaks.check_leaks)
app.command("predict")(predict.predict)
app.command("export")(export.export)
app.command("sample")(sample.sample)
app.command("stats")(stats.stats)
app.command("prepare")(prepare.prepare)
app.command("mesh")(mesh.mesh)
app.command("track")(track.track)
app.command("plan")(plan.plan)
app.add_typer(config.app, name="config", cls=Commands)
app.add_typer(checkpoint.app, name="checkpoint", cls=Commands)
app.add_typer(weights.app, name="weights", cls=Commands)
app.add_typer(synth.app, name="synth", cls=Commands)
app.add_typer(visualize.app, name="visualize", cls=Commands)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Train Vision Transformers on large 2D and 3D scientific and medical images."""
    if show:
        typer.echo(ucf_vit.__version__)
        raise typer.Exit


def guarded(main: Callable[..., None]) -> Callable[..., None]:
    """Wraps `main`: a UserError becomes one message on standard error and an exit status, no traceback.

    A function that takes arguments prints the docstring of its module for `-h` and without any.
    Refuses credentials in arguments, and hides those in the messages of other errors.
    """

    @functools.wraps(main)
    def call(*arguments: str) -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # the terminal may lack characters of file names
                stream.reconfigure(errors="backslashreplace")
        takes_arguments = inspect.isfunction(main) and bool(inspect.signature(main).parameters)
        if takes_arguments and (not arguments or {"-h", "--help"} & set(arguments)):
            typer.echo(inspect.getdoc(inspect.getmodule(main)))
            sys.exit(0 if arguments else 2)
        try:
            refuse_credentials(one for one in arguments or sys.argv[1:] if isinstance(one, str))
            with showing_warnings(_FirstTime()):
                main(*arguments)
        except UserError as error:
            _print_error(str(error))
            sys.exit(error.exit_code)
        except Exception as error:
            if message := exhausted(error):
                _print_error(message)
            else:
                typer.echo(without_credentials(traceback.format_exc()), err=True)
            sys.exit(1)

    return call


class _FirstTime:
    """Function that tells whether a warning is shown: those about a config once, by the first process.

    All processes of a command load the same config, and some commands more than once.
    """

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, record: logging.LogRecord) -> bool:
        """Returns whether the record is shown."""
        if not record.name.startswith(f"{ROOT}.config."):
            return True
        text = record.getMessage()
        if text in self._said:
            return False
        self._said.add(text)
        from ucf_vit.training.launch import find_place

        return find_place().rank == 0


def _print_error(message: str) -> None:
    rank = os.environ.get("RANK")
    typer.echo(f"error: {f'[rank {rank}] ' if rank else ''}{without_credentials(message)}", err=True)


def script(command: Callable[..., None]) -> None:
    """Runs `command` as a program, for the scripts in utils."""
    program = typer.Typer(**_LOOK, add_completion=False)
    program.command()(command)
    guarded(program)()


run = guarded(app)
