"""Files of the established framework load unchanged."""

import re
from pathlib import Path

import pytest

from ucf_vit.config import load
from ucf_vit.config.checks.ranks import check_ranks
from ucf_vit.core.errors import ConfigError

ESTABLISHED = Path(__file__).parent / "established"
FILES = sorted(ESTABLISHED.rglob("*.yaml"))
MAE, UNETR, VIT, SAP, DIFFUSION = (
    ESTABLISHED / name / "base_config.yaml"
    for name in (
        "imagenet/mae",
        "basic_ct/unetr",
        "imagenet/classification",
        "basic_ct/sap",
        "basic_ct/diffusion",
    )
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: "-".join(path.parts[-3:-1]))
def test_each_of_the_eight_trains_the_task_of_its_folder(path):
    folder = path.parent.name
    task = {"mae": "masked", "unetr": "segmentation", "sap": "token_segmentation"}.get(folder, folder)
    run = load(path)
    assert run.task == run.trainer.task == task
    for name in (task, folder):
        assert load(path, task=name) == load(path, ["trainer.task=" + name]) == run
    ranks = run.parallelism.simple_ddp_size * run.parallelism.fsdp_size
    assert check_ranks(run, ranks)["simple_ddp_size"] == run.parallelism.simple_ddp_size


def test_there_are_eight():
    assert len(FILES) == 8


def test_a_masked_autoencoder():
    run = load(MAE)
    assert run.task == "masked"
    assert run.input.default_vars == ["red", "green", "blue"]
    assert (run.optimizer.lr, run.optimizer.warmup_start_lr) == (2e-4, 1e-8)
    assert (run.model.mask_ratio, run.model.decoder_embed_dim, run.model.mlp_ratio) == (0.6, 384, 4.0)
    assert run.grid == (16, 16)
    assert run.dataset_options.imagenet_resize == {"photos": [256, 256]}
    assert check_ranks(run, 16)["simple_ddp_size"] == 16


def test_a_unetr_with_the_keys_of_a_masked_autoencoder_too():
    run = load(UNETR)
    assert run.task == "segmentation" and run.network == "unetr"
    assert run.optimizer.lr == 1e-5
    assert run.spatial_tile == (128, 128) and run.grid == (8, 8)
    assert run.in_channels == 1 and run.num_classes == 4
    assert run.model.mask_ratio == 0.75 and run.model.feature_size == 16
    assert run.data.dict_val_start_idx == {"brain1": 1, "brain2": 0.75}


def test_a_classifier():
    run = load(VIT)
    assert run.task == "classification"
    assert run.num_classes == 1000 and run.optimizer.lr == 3e-4 and run.optimizer.max_steps == 100_000
    assert run.trainer.data_type == "bfloat16"


def test_symmetric_adaptive_patching_with_the_keys_of_a_masked_autoencoder_too():
    run = load(SAP)
    assert run.task == "token_segmentation" and run.network == "sap" and run.num_classes == 4
    assert run.spatial_tile == (512, 512) and run.adaptive.fixed_length == 1024 and run.grid == (1024,)
    assert run.adaptive.use_adaptive_pos_emb and not run.adaptive.separate_channels
    assert run.model.mask_ratio == 0.75


def test_a_diffusion_model_whose_sizes_imply_the_mode(caplog):
    run = load(DIFFUSION)
    assert run.task == "diffusion" and run.parallelism.mode == "fsdp"
    assert f"{DIFFUSION}:11: parallelism.mode is fsdp, because of fsdp_size" in caplog.messages
    with pytest.raises(ConfigError, match="mode simple divides only the data"):
        load(DIFFUSION, ["parallelism.mode=simple"])


def test_sap_in_a_folder_without_a_task_is_an_error(tmp_path):
    copy = tmp_path / "sap.yaml"
    copy.write_text(SAP.read_text())
    with pytest.raises(ConfigError) as error:
        load(copy)
    assert str(error.value) == (
        f"{copy}:1: trainer.task: masked or token_segmentation? mask_ratio, num_classes, adaptive_patching "
        "may mean each of them; say which: --task NAME, or trainer.task=NAME"
    )
    assert load(copy, task="sap").task == load(copy, ["trainer.task=sap"]).task == "token_segmentation"


@pytest.mark.parametrize(
    ("folder", "source", "asked"),
    [
        (
            "diffusion",
            MAE,
            "diffusion or masked? The folder diffusion says diffusion, but mask_ratio masked;",
        ),
        ("mae", UNETR, "masked or segmentation? The folder mae says masked, but "),
        (
            "SAP",
            DIFFUSION,
            "token_segmentation or diffusion? The folder SAP says token_segmentation, but num_time_steps ",
        ),
    ],
)
def test_a_folder_that_contradicts_the_keys_is_an_error(tmp_path, folder, source, asked):
    copy = tmp_path / folder / "run.yaml"
    copy.parent.mkdir()
    copy.write_text(source.read_text())
    with pytest.raises(ConfigError) as error:
        load(copy)
    assert f"{copy}:1: trainer.task: {asked}" in str(error.value)
    assert load(copy, task="masked" if source != DIFFUSION else "diffusion")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (["model.adaptive_patching=false"], "classification"),
        (["model.adaptive_patching=true"], "token_segmentation or classification?"),
        (["model.mask_ratio=0.5"], "masked or token_segmentation?"),
        (["model.mask_ratio=0.5", "model.adaptive_patching=false"], "masked"),
        (["model.feature_size=8"], "segmentation"),
        (["model.num_time_steps=100"], "diffusion"),
    ],
)
def test_keys_where_no_folder_names_a_task(tmp_path, changes, found):
    path = tmp_path / "run.yaml"
    path.write_text(SAP.read_text().replace("      mask_ratio: 0.75\n", ""))
    if "?" in found:
        with pytest.raises(ConfigError, match=re.escape(found)):
            load(path, changes)
    else:
        assert load(path, changes).task == found


def test_the_folder_is_found_from_inside(monkeypatch):
    monkeypatch.chdir(SAP.parent)
    assert load("base_config.yaml").task == "token_segmentation"


def test_nothing_that_tells_the_task(small, write):
    text = small.read_text().replace("  feature_size: 8\n", "").replace("  num_classes: 3\n", "")
    with pytest.raises(
        ConfigError,
        match="which task: masked, segmentation, token_segmentation, classification or diff",
    ):
        load(write(text))


def test_script_and_config_with_different_tasks(small):
    with pytest.raises(
        ConfigError, match="'segmentation': but masked was requested, by the script or by --task"
    ):
        load(small, ["trainer.task=unetr"], task="masked")


@pytest.mark.parametrize("path", [MAE, UNETR, VIT])
def test_each_with_adaptive_patching(path):
    run = load(path, ["model.adaptive_patching=true"])
    assert run.adaptive.adaptive_patching and run.grid == (run.adaptive.fixed_length,)
    channels = load(path, ["model.adaptive_patching=true", "model.separate_channels=true"])
    assert channels.grid == (channels.in_channels * channels.adaptive.fixed_length,)


def test_the_unetr_file_loads_with_another_script():
    assert load(UNETR, task="masked").task == "masked"


def test_ignored_keys_are_warnings(caplog):
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
        ("  lr: 2e-4", "  lr: 2e-4\n  depth: 8", "model.net.init_args.depth = 12: occurs twice"),
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
