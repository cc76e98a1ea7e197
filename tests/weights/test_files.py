"""Files of weights: formats, what other programs put around names, and what is refused."""

import argparse
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from networks_of_others import randomised, vit
from remote_servers import Web
from ucf_vit.core.errors import CheckpointError
from ucf_vit.weights.open_weights import open_weights
from ucf_vit.weights.pretrained import load_pretrained
from ucf_vit.weights.tensor_file import read_tensors


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    theirs = VisionTransformer(32, 8, embed_dim=48, depth=3, num_heads=4, num_classes=5)
    return randomised(theirs).state_dict()


@pytest.fixture(scope="module")
def expected(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    path = tmp_path_factory.mktemp("plain") / "weights.safetensors"
    save_file(state, path)
    return loaded(path)


def loaded(path: Path | str) -> dict[str, Tensor]:
    """Weights of a network that starts from the file."""
    ours = vit((32, 32))
    _, report = load_pretrained(ours, str(path))
    assert not report.initial
    return ours.state_dict()


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


AROUND = {
    "plain": lambda state: state,
    "ddp": lambda state: {
        "model_state_dict": prefixed("module.", state),
        "epoch": 3,
        "loss_list": [0.5, 0.1],
    },
    "compiled": lambda state: prefixed("_orig_mod.", state),
    "compiled blocks": lambda state: {
        name.replace("blocks.1.", "blocks.1._orig_mod."): value for name, value in state.items()
    },
    "compiled in ddp": lambda state: {"state_dict": prefixed("module._orig_mod.", state)},
    "lightning": lambda state: {
        "state_dict": prefixed("model.net.", state) | {"loss.weight": torch.ones(5)},
        "pytorch-lightning_version": "2.5",
        "hyper_parameters": {"lr": 1e-3},
    },
    "averaged": lambda state: {
        "state_dict": {name: value * 0 for name, value in state.items()},
        "model_ema": prefixed("module.", state) | {"n_averaged": torch.tensor(3)},
    },
    "authors": lambda state: {"model": state, "args": argparse.Namespace(lr=1e-3), "scaler": {"scale": 1.0}},
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch(around, zipped, state, expected, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(AROUND[around](state), path, _use_new_zipfile_serialization=zipped)
    for name, value in loaded(path).items():
        assert torch.equal(value, expected[name]), name


def test_what_is_not_of_the_network_is_left_by_name(state, tmp_path):
    path = tmp_path / "weights.ckpt"
    torch.save(AROUND["lightning"](state), path)
    _, report = load_pretrained(vit((32, 32)), str(path))
    assert report.left == {"loss.weight": "not of model.net"}


def test_shapes_are_read_without_values(state, tmp_path):
    """Of safetensors only the header is read: the values may even be missing."""
    path = tmp_path / "weights.safetensors"
    save_file({"module." + name: value for name, value in state.items()}, path)
    opened = open_weights(str(path), values=False)
    assert all(value.is_meta for value in opened.converted.weights.values())
    assert (opened.converted.width, opened.converted.depth, opened.converted.channels) == (48, 3, 3)
    assert opened.converted.source.grid == (4, 4)
    torch_file = tmp_path / "weights.pth"
    torch.save(state, torch_file)
    assert open_weights(str(torch_file), values=False).converted.depth == 3


def test_urls(state, expected, tmp_path):
    save_file(state, tmp_path / "weights.safetensors")
    web = Web(tmp_path)
    try:
        assert torch.equal(loaded(f"{web.url}/weights.safetensors")["head.weight"], expected["head.weight"])
    finally:
        web.close()


class Harmful:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def test_code_is_not_run(state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": state, "more": Harmful()}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=r"weights.pth: holds more than tensors and plain values"):
        read_tensors(tmp_path / "weights.pth")
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not weights", "not a file of weights|more than tensors"),
        (b"", "not a file of weights"),
        ({"epoch": 3, "best": 0.4}, "no weights in it, only epoch, best"),
        ([1, 2], "holds a list; expected a state dict"),
        (nn.Linear(2, 2).state_dict(), "no weights of a known network"),
    ],
)
def test_other_files_are_refused_by_name(content, said, tmp_path):
    path = tmp_path / "other.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(CheckpointError, match=rf"other\.pth: .*({said})"):
        open_weights(str(path))


@pytest.mark.parametrize("kept", [0, 5, 30, 2000])
def test_a_damaged_safetensors_file(kept, state, tmp_path):
    path = tmp_path / "cut.safetensors"
    save_file(state, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"cut\.safetensors: not a safetensors file"):
        open_weights(str(path))


def test_values_that_are_no_weights_are_refused(state, tmp_path):
    """Not finite, or the integers of a quantised network without their scales."""
    path = tmp_path / "weights.safetensors"
    save_file(state | {"norm.weight": state["norm.weight"] * float("nan")}, path)
    with pytest.raises(CheckpointError, match=r"not finite, in encoder\.norm\.weight"):
        loaded(path)
    save_file({name: value.to(torch.int8) for name, value in state.items()}, path)
    with pytest.raises(CheckpointError, match=r"(?s)weights\.safetensors .*int8, no real numbers"):
        loaded(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"absent\.pth does not exist"):
        open_weights(str(tmp_path / "absent.pth"))


def test_weights_of_another_width_are_refused(state, tmp_path):
    save_file(state, tmp_path / "weights.safetensors")
    with pytest.raises(CheckpointError, match=r"weights\.safetensors \(timm VisionTransformer\): no tensor"):
        load_pretrained(vit((32, 32), embed_dim=24, num_heads=2), str(tmp_path / "weights.safetensors"))


def test_a_tensor_of_another_shape_is_left_by_name(state, tmp_path):
    save_file(state | {"blocks.0.attn.proj.weight": torch.zeros(7, 48)}, tmp_path / "weights.safetensors")
    _, report = load_pretrained(vit((32, 32)), str(tmp_path / "weights.safetensors"))
    assert report.left == {"encoder.blocks.0.attn.proj.weight": "shape [7, 48], the target has [48, 48]"}
    assert report.initial == ["encoder.blocks.0.attn.proj.weight"]
