"""A process that means another run than the others is refused at the start, and told why."""

import os
from multiprocessing.context import BaseContext
from pathlib import Path

import pytest

import runs
import ucf_vit
from ucf_vit.core.errors import UserError
from ucf_vit.training.inputs import datasets


def other_on_rank_1(environment: dict[str, str], config: Path, what: str) -> None:
    os.environ |= environment
    overrides, message = [], "nothing"
    if environment["RANK"] == "1" and what == "config":
        overrides = ["trainer.seed=3"]
    elif environment["RANK"] == "1" and what == "version":
        ucf_vit.__version__ = "0.0.7"
    elif environment["RANK"] == "1":
        whole = datasets.build_dataset
        fewer = lambda k: {**k, "end": 0.5 if k["start"] == 0 else k["end"]}  # noqa: E731
        datasets.build_dataset = lambda *a, **k: whole(*a, **fewer(k))
    try:
        runs.train(config, *overrides)
    except UserError as error:
        message = str(error)
    (config.parent / f"said_{environment['RANK']}").write_text(message)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("config", "rank 1: trainer.seed is 3, on rank 0 0"),
        ("version", "rank 1: ucf_vit is 0.0.7, on rank 0 0.1.0"),
        ("files", "is (nothing), on rank 0 8 tiles, label "),
    ],
)
def test_another_run_is_refused_by_name(
    tmp_path: Path, concrete: Path, forkserver: BaseContext, what: str, said: str
) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "segmentation", concrete, data={"batch_size": 2})
    runs.on_ranks(forkserver, 2, config, what, target=other_on_rank_1)
    for rank in range(2):
        message = (tmp_path / f"said_{rank}").read_text()
        assert message.startswith("the processes do not run the same configuration, code and data. rank 1: ")
        assert said in message
