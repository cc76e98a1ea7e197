from pathlib import Path

import pytest
from typer.testing import CliRunner

import runs
from ucf_vit.cli.main import app
from ucf_vit.core.errors import ConfigError, UserError


def mesh(config: Path, gpus: int, *overrides: str) -> list[str]:
    arguments = ["mesh", str(config), "--gpus", str(gpus), "--gpus-per-node", "8", "parallelism.mode=fsdp"]
    result = CliRunner().invoke(app, [*arguments, *overrides])
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return runs.write_config(tmp_path / "c.yaml", "masked", tmp_path, model={"num_heads": 4})


def test_groups_nodes_and_bytes(config: Path) -> None:
    head, tensor, fsdp, ddp = mesh(config, 32, "parallelism.tensor_par_size=2", "parallelism.fsdp_size=4")
    assert head == "32 ranks on 4 nodes: ddp 4 x fsdp 4 x tensor 2; 16 data ranks"
    assert "16 groups of 2" in tensor and "within nodes" in tensor and "[0 1] [2 3]" in tensor
    assert "8 groups of 4" in fsdp and "within nodes" in fsdp and "[0 2 4 6]" in fsdp
    assert "8 groups of 4" in ddp and "8 of 8 across nodes" in ddp and "[0 8 16 24]" in ddp
    assert all("B per step" in line for line in (tensor, fsdp, ddp))


def test_ranks_that_split_tokens_share_out_the_weights_too(config: Path) -> None:
    sizes = ["parallelism.tensor_par_size=2", "parallelism.seq_par_size=2", "parallelism.fsdp_size=2"]
    head, tensor, seq, shard, ddp = mesh(config, 16, *sizes)
    assert head == "16 ranks on 2 nodes: ddp 2 x fsdp 2 x seq 2 x tensor 2; 4 data ranks"
    assert tensor.startswith("tensor ") and "[0 1] [2 3]" in tensor
    assert seq.startswith("seq ") and "8 groups of 2" in seq and "[0 2] [1 3]" in seq
    assert shard.startswith("shard ") and "4 groups of 4" in shard and "[0 2 4 6] [1 3 5 7]" in shard
    assert ddp.startswith("ddp ") and "8 of 8 across nodes" in ddp


def test_attention_of_split_tokens_determines_the_traffic(config: Path) -> None:
    split = ["parallelism.seq_par_size=4"]
    _, seq, shard = mesh(config, 4, *split)
    _, round_seq, round_shard = mesh(config, 4, *split, "parallelism.seq_par_attention=ring")
    assert seq != round_seq and shard == round_shard


def test_less_is_exchanged_when_weights_are_kept(config: Path) -> None:
    kept = mesh(config, 8, "parallelism.fsdp_size=8", "parallelism.reshard_after_forward=false")[1]
    freed = mesh(config, 8, "parallelism.fsdp_size=8")[1]
    assert kept != freed


def test_impossible_layouts_are_refused(config: Path) -> None:
    with pytest.raises(ConfigError, match="do not divide by 3"):
        mesh(config, 8, "parallelism.fsdp_size=3")
    with pytest.raises(ConfigError, match="tensor ranks can't share"):
        mesh(config, 8, "parallelism.simple_ddp_size=1", "parallelism.tensor_par_size=-1")
    with pytest.raises(UserError, match="fill every node"):
        mesh(config, 12)
