"""Print the keys of load_balancing for a config on a number of GPUs, ready to paste; see `ucf-vit plan`.

python utils/basic_ct/preprocess_load_balancing.py CONFIG NUM_GPUS [KEY=VALUE ...]
"""

from pathlib import Path
from typing import Annotated

import typer

from ucf_vit.cli.main import guarded
from ucf_vit.config import load
from ucf_vit.train.plan import plan_directory, plan_run
from ucf_vit.train.plan_table import keys


def main(
    config: Path,
    num_gpus: Annotated[int, typer.Argument(min=1)],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...")] = None,
) -> None:
    """Print `batches_per_rank_epoch` and `dataset_group_list`; the plan is written as by `ucf-vit plan`."""
    run = load(config, [*(overrides or []), "load_balancing.auto_load_balancing=true"])
    typer.echo(keys(plan_run(run, num_gpus, plan_directory(run)).plan))


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(main)
    guarded(app)()
