"""Details by name: functions that map the detail in an image, for the trees of adaptive patching."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from ucf_vit.core import plugins
from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import UserError
from ucf_vit.core.registry import Registry


class Detail(Protocol):
    """Function that measures the detail at each pixel."""

    def __call__(self, image: Tensor, keys: Tensor | None, separate: bool) -> Tensor:
        """Returns maps `[B, T, *S]`, uint8 or float32 and >= 0, of `image` `[B, C, *S]`, float or uint8.

        T is C if `separate`, otherwise 1. `keys` `[B]` int64 seed the options that are drawn per sample; None
        (in evaluation) means that each option has its middle value.
        """


DETAILS: Registry[Detail] = Registry(
    "detail",
    built_in={
        "canny": "ucf_vit.patching.detail.canny:Canny",
        "gradient": "ucf_vit.patching.detail.gradient:Gradient",
        "variance": "ucf_vit.patching.detail.variance:Variance",
    },
)
"""Details by the name that a config uses."""


def resolve_detail(name: str, dims: int, options: Mapping[str, Any]) -> Detail:
    """Returns the detail called `name`, for images (`dims` 2) or volumes (3).

    "auto" is canny for images and gradient for volumes; "path/to/file.py:function" is a function of the user
    with the signature of `Detail`. `options` (`smoothing`, `canny_low`, `canny_high`) are passed to details
    that have them. Raises UserError for an unknown name or invalid option values.
    """
    if plugins.in_file(name):
        return FileDetail(name)
    if name == "auto":
        name = "canny" if dims == 2 else "gradient"
    if name not in DETAILS:
        known = ["auto", *DETAILS]
        raise UserError(
            f"no detail named {name!r}{did_you_mean(name, known)}; known: {', '.join(known)}, "
            "or path/to/file.py:function"
        )
    return DETAILS.build(name, {}, {**options, "dims": dims})


class FileDetail:
    """Detail by a user's function `path/to/file.py:function`, whose maps are checked.

    It is pickled by name. Raises UserError if the function can't be called like `Detail`, fails, or returns
    maps that have the wrong shape, are not finite, or are negative.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._function: Detail = plugins.load(name, "detail")
        if not _takes_three_arguments(self._function):
            raise UserError(f"detail {name}: expected a function, called as function(image, keys, separate)")

    def __reduce__(self) -> tuple[type[FileDetail], tuple[str]]:
        return FileDetail, (self.name,)

    def __call__(self, image: Tensor, keys: Tensor | None, separate: bool) -> Tensor:
        """Returns the checked maps, see `Detail`."""
        try:
            maps = self._function(image, keys, separate)
        except Exception as error:
            cause = plugins.user_code_failure(error, plugins.file_of(self.name))
            raise UserError(f"detail {self.name}: {cause}") from error
        expected = [image.shape[0], image.shape[1] if separate else 1, *image.shape[2:]]
        if not isinstance(maps, Tensor) or list(maps.shape) != expected:
            got = list(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
            raise UserError(f"detail {self.name}: expected a tensor of shape {expected}, got {got}")
        maps = maps if maps.dtype == torch.uint8 else maps.float()
        least, most = maps.aminmax()
        if not torch.isfinite(least + most):
            raise UserError(f"detail {self.name}: {int((~maps.isfinite()).sum())} values are NaN or infinite")
        if least < 0:
            raise UserError(f"detail {self.name}: expected values >= 0, the least is {least.item():.6g}")
        return maps


def _takes_three_arguments(function: Any) -> bool:
    """Returns whether a function can be called with three arguments; True if it has no signature."""
    try:
        inspect.signature(function).bind(None, None, None)
    except TypeError:
        return False
    except ValueError:
        pass
    return True
