"""Public functions of adaptive patching: images to tokens along trees, and tokens back to images.

>>> patcher = AdaptivePatcher(tile_size=(256, 256), patch_size=16, fixed_length=256)
>>> patches = patcher(torch.rand(8, 3, 256, 256))  # .values [8, 256, 3, 16, 16], .center, .sides, .valid
>>> image = paste(patches.values, patches.leaves)  # [8, 3, 256, 256]
"""

from ucf_vit.patching.tree.cut import cut, cut_labels
from ucf_vit.patching.tree.forest import Forest
from ucf_vit.patching.tree.leaves import Leaves
from ucf_vit.patching.tree.paste import paste, paste_labels, place_on_grid
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.patching.tree.patches import Patches

__all__ = [
    "AdaptivePatcher",
    "Forest",
    "Leaves",
    "Patches",
    "cut",
    "cut_labels",
    "paste",
    "paste_labels",
    "place_on_grid",
]
