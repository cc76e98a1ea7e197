from torch import nn

from ucf_vit.nn.block import Block
from ucf_vit.nn.embedding.aggregation import CrossAggregation
from ucf_vit.nn.embedding.box_positions import BoxPositions
from ucf_vit.nn.embedding.embed import ClassToken, MaskToken, Positions
from ucf_vit.nn.embedding.variable_tokens import VariableTokens
from ucf_vit.options import EncoderOptions
from ucf_vit.training.optimization.optimizer import adamw


def test_only_matrices_are_decayed():
    modules = nn.ModuleDict(
        {
            "block": Block(EncoderOptions(embed_dim=8, num_heads=2, mlp_ratio=2.0)),
            "positions": Positions((2, 2), 8, "learned"),
            "boxes": BoxPositions(8, "learned", (4, 4), channels=2),
            "class_token": ClassToken(8),
            "mask_token": MaskToken(8),
            "variables": VariableTokens(3, 4, 8),
            "aggregation": CrossAggregation(8, 2),
        }
    )
    optimizer = adamw(modules, lr=1.0, betas=(0.9, 0.95), weight_decay=0.1)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    decayed = {name for name, p in modules.named_parameters() if decay[id(p)]}
    assert decayed == {
        *(f"block.attn.{part}.weight" for part in ("q", "k", "v", "proj")),
        "block.mlp.fc1.weight",
        "block.mlp.fc2.weight",
        "boxes.linear.weight",
        "variables.weight",
        *(f"aggregation.{part}.weight" for part in ("k", "v", "proj")),
    }
