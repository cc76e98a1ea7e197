"""Networks that are saved to and loaded from folders, or the Hugging Face hub, by huggingface_hub's mixin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from ucf_vit.checkpoint.weights_file import write_weights
from ucf_vit.core.errors import CheckpointError, UserError
from ucf_vit.export.hub import CONFIG, WEIGHTS
from ucf_vit.export.network_config import build_network

try:
    from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
except ImportError:
    raise UserError("HubModel needs huggingface_hub: pip install 'ucf-vit[hub]'") from None


class HubModel(nn.Module, PyTorchModelHubMixin, library_name="ucf_vit"):
    """A network with `save_pretrained(folder)`, `from_pretrained(folder or id)` and `push_to_hub(id)`.

    `network` is the network itself; a folder of `ucf-vit export --to hub` is one that this loads. Weights are
    safetensors only: a file that could run code is never opened.

    Args:
        network: name of a network, such as "unetr".
        input: fields of `InputOptions`.
        encoder: fields of `EncoderOptions`.
        decoder: fields of `DecoderOptions`, for networks that have such a decoder.
        options: further arguments of the network, such as num_classes.
    """

    def __init__(
        self,
        network: str,
        input: dict[str, Any],
        encoder: dict[str, Any] | None = None,
        decoder: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        given = {"input": input, "encoder": encoder, "decoder": decoder, "options": options}
        self.network = build_network(
            {"network": network, **{name: value for name, value in given.items() if value is not None}}
        )

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Calls the network."""
        return self.network(*inputs, **options)

    def _save_pretrained(self, save_directory: Path) -> None:
        write_weights(Path(save_directory) / WEIGHTS, self.network.state_dict(), {})

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **options: Any) -> HubModel:
        known = ("revision", "cache_dir", "force_download", "local_files_only", "token")
        download = {name: options.pop(name) for name in known if name in options}
        folder = Path(model_id)
        if not options and folder.is_dir():
            raise CheckpointError(f"{folder / CONFIG}: missing, or not that of a network")
        path = folder / WEIGHTS if folder.is_dir() else Path(hf_hub_download(model_id, WEIGHTS, **download))
        if not path.is_file():
            raise CheckpointError(f"{path}: missing; only weights as safetensors are loaded")
        model = cls(**{name: value for name, value in options.items() if name in ("network", *_ARGUMENTS)})
        try:
            model.network.load_state_dict(load_file(path))
        except (SafetensorError, RuntimeError) as cause:
            text = " ".join(str(cause).split())[:300]
            raise CheckpointError(f"{path}: not the weights of the network in {CONFIG} ({text})") from None
        return model.eval()


_ARGUMENTS = ("input", "encoder", "decoder", "options")
