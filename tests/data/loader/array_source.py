"""Source of a user's own that reads an image, a label, a mask, a vector and a second view."""

from types import MappingProxyType

import numpy as np

from ucf_vit.data.arrays import ArraySpec
from ucf_vit.data.batch import Sample
from ucf_vit.data.sources import Item, Source
from ucf_vit.data.values.normalization import Normalization

SIDE, VIEW = 20, 4


class Grids(Source):
    """Images `[1, SIDE, SIDE]`, five of them, the last one smaller than a tile; no file is read.

    Pixel (x, y) of image i is 10^4 i + 100 x + y, the label its remainder by 3, the mask whether it is even.
    The second view `[1, VIEW, VIEW]` is the start of the region. `fault` makes image 1 unusable.
    """

    spatial_dims = 2
    variables = ("value",)
    normalization = Normalization("none")
    arrays = MappingProxyType(
        {
            "mask": ArraySpec("mask", (1,)),
            "level": ArraySpec("label"),
            "target": ArraySpec("number", (7,)),
            "view": ArraySpec("image", (1,), (VIEW, VIEW)),
        }
    )

    def __init__(self, root: str, fault: str = "") -> None:
        self.fault = fault

    def items(self) -> list[Item]:
        return [Item(f"{number}", f"{number}.grid", f"{number}.grid") for number in range(5)]

    def shape(self, item: Item) -> tuple[int, ...]:
        side = SIDE if item.key != "4" else 6
        return (1, side, side)

    def read(self, item, region=None, channels=None) -> Sample:
        x, y = np.indices(self.shape(item)[1:])
        image = (10_000 * int(item.key) + 100 * x + y)[region or (slice(None),) * 2]
        extra = {
            "mask": (image % 2 == 0)[None].astype(np.uint8) * 255,
            "level": (image // 100 % 100).astype(np.float32),
            "target": np.linspace(0, int(item.key), 7),
            "view": image[None, :VIEW, :VIEW],
        }
        if item.key == "1":
            self._break(extra)
        return Sample(image[None], image % 3, self.variables, item.image, extra)

    def _break(self, extra: dict[str, np.ndarray]) -> None:
        if self.fault == "missing":
            del extra["mask"]
        elif self.fault == "undeclared":
            extra["other"] = extra["mask"]
        elif self.fault == "shape":
            extra["target"] = extra["target"][:6]
        elif self.fault:
            name, value = self.fault.split("=")
            extra[name] = np.where(extra[name] == extra[name].max(), float(value), extra[name])
