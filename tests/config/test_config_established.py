"""Files of the established framework load unchanged."""

from pathlib import Path

import pytest

from ucf_vit.config import load
from ucf_vit.core.errors import ConfigError

HERE = Path(__file__).parent
MAE, UNETR, VIT, SAP = (
    HERE / f"established_{name}.yaml" for name in ("mae", "unetr", "classification", "sap")
)


def test_a_masked_autoencoder():
    run = load(MAE)
    assert run.task == "masked"
    assert run.model.default_vars == ["red", "green", "blue"]
    assert (run.model.lr, run.model.warmup_start_lr) == (2e-4, 1e-8)
    assert (run.model.mask_ratio, run.model.decoder_embed_dim, run.model.mlp_ratio) == (0.6, 384, 4.0)
    assert run.grid == (16, 16)
    assert run.dataset_options.imagenet_resize == {"photos": [256, 256]}
    assert run.check_ranks(16)["simple_ddp_size"] == 16


def test_a_unetr_with_the_keys_of_a_masked_autoencoder_too():
    run = load(UNETR)
    assert run.task == "unetr"
    assert run.model.lr == 1e-5
    assert run.spatial_tile == (128, 128) and run.grid == (8, 8)
    assert run.in_channels == 1 and run.num_classes == 4
    assert run.model.mask_ratio == 0.75 and run.model.feature_size == 16
    assert run.data.dict_val_start_idx == {"brain1": 1, "brain2": 0.75}


def test_a_classifier():
    run = load(VIT)
    assert run.task == "classification"
    assert run.num_classes == 1000 and run.model.lr == 3e-4 and run.model.max_steps == 100_000
    assert run.trainer.data_type == "bfloat16"


def test_symmetric_adaptive_patching():
    run = load(SAP, task="sap")
    assert run.task == "sap" and run.num_classes == 4
    assert run.spatial_tile == (512, 512) and run.model.fixed_length == 1024 and run.grid == (1024,)
    assert run.model.use_adaptive_pos_emb and not run.model.separate_channels


@pytest.mark.parametrize("path", [MAE, UNETR, VIT])
def test_each_with_adaptive_patching(path):
    run = load(path, ["model.adaptive_patching=true"])
    assert run.model.adaptive_patching and run.grid == (run.model.fixed_length,)
    channels = load(path, ["model.adaptive_patching=true", "model.separate_channels=true"])
    assert channels.grid == (channels.in_channels * channels.model.fixed_length,)


@pytest.mark.parametrize(("path", "task"), [(MAE, "masked"), (UNETR, "unetr"), (VIT, "classification")])
def test_each_loads_with_its_own_script_and_the_unetr_file_with_another(path, task):
    assert load(path, task=task).task == task
    assert load(UNETR, task="masked").task == "masked"


def test_what_is_not_used_is_said(caplog):
    load(MAE)
    load(VIT)
    load(UNETR)
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert f"{MAE}:26: model.net.class_path is not used: the network follows from the task" in said
    assert f"{VIT}:3: trainer.gpu_type is not used" in said
    assert "model.use_grad_scaler is not used" in said
    assert "dataset_options.imagenet_resize is not used" in said


@pytest.mark.parametrize("key", ["model.depth", "model.net.init_args.depth"])
def test_overrides_reach_nested_keys_by_either_name(key):
    run = load(MAE, [f"{key}=6"])
    assert run.model.depth == 6 and run.model.embed_dim == 768


def test_lines_of_nested_keys():
    assert load(MAE).where("model.depth") == f"{MAE}:36"
    with pytest.raises(ConfigError) as error:
        load(MAE, ["model.embed_dim=100", "model.patch_size=10", "model.decoder_num_heads=5"])
    lines = str(error.value).splitlines()
    assert lines[0] == f"{MAE}: 3 errors"
    assert lines[1].startswith(
        "  override model.patch_size=10: model.patch_size = 10: patch_size 10 does not divide"
    )
    assert lines[2].startswith(
        "  override model.embed_dim=100: model.embed_dim = 100: num_heads 12 does not divide"
    )


def spoiled(tmp_path, old, new):
    path = tmp_path / "run.yaml"
    assert old in MAE.read_text()
    path.write_text(MAE.read_text().replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    init_args:", "    init_arg:", "net.init_arg = .*: unknown key .did you mean 'init_args'."),
        ("  net:", "  nett:", "model.nett = .*: unknown key"),
        ("  lr: 2e-4", "  lr: 2e-4\n  depth: 8", "model.net.init_args.depth = 12: is there twice"),
        (
            "      depth: 12",
            "      depht: 12",
            "run.yaml:36: model.depht = 12: unknown key .did you mean 'depth'.",
        ),
        ("      depth: 12", "      depth: -1", "run.yaml:36: model.depth = -1: expected a whole number >= 1"),
    ],
)
def test_mistakes_in_the_nested_layout(tmp_path, old, new, message):
    with pytest.raises(ConfigError, match=message):
        load(spoiled(tmp_path, old, new))


@pytest.mark.parametrize("net", ["[1, 2]", "5", "text", "{init_args: 5}", "{init_args: [depth]}"])
def test_a_net_that_is_no_dictionary(small, write, net):
    with pytest.raises(ConfigError, match="expected keys with values below it"):
        load(write(small.read_text().replace("model:", f"model:\n  net: {net}", 1)))
