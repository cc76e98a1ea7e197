import subprocess
import sys
from pathlib import Path

import pytest

from ucf_vit.config import explain, reference
from ucf_vit.config.describe.keys import keys, sections
from ucf_vit.core.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
ESTABLISHED = """
trainer.max_epochs trainer.data_type trainer.checkpoint_path trainer.checkpoint_filename
trainer.checkpoint_filename_for_loading trainer.resume_from_checkpoint parallelism.mode parallelism.fsdp_size
parallelism.simple_ddp_size parallelism.tensor_par_size parallelism.seq_par_size
optimizer.lr optimizer.beta_1 optimizer.beta_2
optimizer.weight_decay optimizer.warmup_steps optimizer.max_steps optimizer.warmup_start_lr optimizer.eta_min
input.default_vars
input.tile_size input.patch_size model.embed_dim model.depth model.num_heads model.mlp_ratio model.drop_path
input.twoD variables.use_varemb adaptive.adaptive_patching adaptive.fixed_length adaptive.separate_channels
adaptive.use_adaptive_pos_emb model.decoder_embed_dim model.decoder_depth model.decoder_num_heads
model.mlp_ratio_decoder model.linear_decoder model.mask_ratio model.feature_size model.skip_connection
model.num_classes data.dataset data.dict_root_dirs data.dict_start_idx data.dict_end_idx
data.dict_buffer_sizes
data.num_channels_available data.num_channels_used data.dict_in_variables data.batch_size data.num_workers
data.pin_memory data.single_channel data.tile_overlap data.use_all_data data.num_classes
dataset_options.imagenet_resize load_balancing.auto_load_balancing load_balancing.batches_per_rank_epoch
load_balancing.dataset_group_list
""".split()  # noqa: SIM905


DIMENSIONLESS = {
    "trainer.seed",
    "data.split.seed",
    "data.split.fold",
    "trainer.gradient_clip",
    "optimizer.lr",
    "optimizer.beta_1",
    "optimizer.beta_2",
    "optimizer.weight_decay",
    "optimizer.warmup_start_lr",
    "optimizer.eta_min",
    "model.mlp_ratio",
    "model.norm_eps",
    "model.mlp_ratio_decoder",
}


def test_every_established_key_is_there():
    assert set(ESTABLISHED) <= set(keys())


@pytest.mark.parametrize("name", sorted(keys()))
def test_every_key_is_explained(name):
    key = keys()[name]
    assert key.description[0].isupper() or ":" in key.description
    assert key.description.endswith(".") and len(key.description) > 15
    assert key.kind and key.default
    assert bool(key.unit) == ("number" in key.kind and name not in DIMENSIONLESS)
    text = explain(name)
    assert text.splitlines()[0] == name and f"  default: {key.default}" in text


def test_one_key():
    assert explain("adaptive.fixed_length") == (
        "adaptive.fixed_length\n"
        "  Adaptive patching: tokens per tree. A tile of one root has 3n + 1 in 2D (quadtree), 7n + 1 in 3D\n"
        "  (octree); one of R roots, since its sides are no powers of two, R + 3n or R + 7n.\n"
        "  type:    whole number >= 1\n"
        "  unit:    tokens\n"
        "  default: the most up to 196 in 2D, 512 in 3D"
    )
    assert (
        explain("model.net.init_args.fixed_length")
        == explain("fixed_length")
        == explain("model.fixed_length")
    )


def test_choices_and_required_keys():
    assert "  type:    one of float32, bfloat16, float16" in explain("trainer.data_type")
    assert "  default: required" in explain("model.tile_size")
    assert "  default: 0.0001" in explain("model.lr")
    assert "  default: true" in explain("data.augmentation") and "  default: 1" in explain(
        "trainer.accumulate_steps"
    )


def test_keys_of_each_dataset():
    assert explain("data.dict_normalization.ct1.kind").startswith("data.dict_normalization.<dataset>.kind\n")


def test_a_short_name_of_two_keys():
    assert explain("num_classes").count("default:") == 2


@pytest.mark.parametrize("section", list(sections()))
def test_a_section_lists_its_keys(section):
    text = explain(section)
    inside = {name: key.description for name, key in keys().items() if key.section == section}
    lines = text.splitlines()[1:]
    assert len(lines) == len(inside)
    assert all(f"{name} " in text and f"  {said}\n" in f"{text}\n" for name, said in inside.items())
    wrapped = explain(section, 110)
    assert max(map(len, wrapped.splitlines()[1:])) <= 110
    assert wrapped.split() == text.split()


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("adaptive.fixed_lenght", "did you mean 'adaptive.fixed_length'?"),
        ("model.tile_sise", "did you mean 'model.tile_size'?"),
        ("trianer", "did you mean 'trainer'?"),
        (
            "xyzzy",
            "sections: trainer, parallelism, model, input, adaptive, variables, diffusion, optimizer, data,",
        ),
        ("", "sections: trainer"),
        ("model.depth.x", "did you mean 'model.depth'?"),
    ],
)
def test_unknown_keys(key, hint):
    with pytest.raises(ConfigError) as error:
        explain(key)
    assert hint in str(error.value)


def test_the_reference_page_is_up_to_date():
    page = ROOT / "docs" / "configuration.md"
    assert page.read_text(encoding="utf-8") == reference(), "run python utils/write_config_reference.py"


def test_the_reference_page_has_every_key():
    page = reference()
    for name in keys():
        short = name.partition(".")[2]
        assert f"| `{short}` |" in page or f"| {short.replace('<', '&lt;')} |" in page


def test_loading_a_config_does_not_import_torch():
    code = "import sys, ucf_vit.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
