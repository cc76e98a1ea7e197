"""Viewer of volumes in a page, which works without a network: NiiVue, with the volumes inside the page."""

from __future__ import annotations

import base64
import gzip
import html
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

import nibabel
import numpy as np
from numpy.typing import NDArray

from ucf_vit.drawing.style import class_colour


class ViewedCase(NamedTuple):
    """Volumes `[*S]` of one case: image uint8 (or None), class numbers of label and prediction.

    The axes of an `oriented` case point to the right, to the front and up.
    """

    title: str
    image: NDArray[np.uint8] | None
    label: NDArray[Any]
    predicted: NDArray[Any]
    spacing: tuple[float, ...]
    remark: str
    oriented: bool = False


def viewer(cases: Sequence[ViewedCase], class_names: Mapping[int, str]) -> str:
    """Returns HTML that shows one of the cases, with label and prediction in colours over the image.

    Empty without cases. The page gets about 2 MB for the viewer, and the compressed volumes.
    """
    if not cases:
        return ""
    here = files("ucf_vit.drawing.viewer")
    volumes = [_volumes(case) for case in cases]
    data = json.dumps({"cases": volumes, "colours": _colours(cases, class_names)})
    choices = "".join(
        f'<option value="{n}">{html.escape(case.title)}</option>' for n, case in enumerate(cases)
    )
    page = here.joinpath("viewer.html").read_text(encoding="utf-8")
    script = here.joinpath("niivue.js").read_text(encoding="utf-8")
    parts = {"CHOICES": choices, "NIIVUE": script.replace("</script", "<\\/script"), "DATA": _safe(data)}
    for name, text in parts.items():
        page = page.replace(f"{{{{{name}}}}}", text)
    return page


def _volumes(case: ViewedCase) -> dict[str, Any]:
    image = np.zeros(case.label.shape, np.uint8) if case.image is None else case.image
    arrays = {"image": image, "label": case.label, "prediction": case.predicted}
    return {
        "remark": case.remark,
        "oriented": case.oriented,
        "middle": _middle(case.label if case.label.any() else case.predicted),
        **{name: _nifti(array, case.spacing) for name, array in arrays.items()},
    }


def _middle(label: NDArray[Any]) -> list[float]:
    """Returns the place of the widest slices of a label along each axis, as fractions of the sides."""
    middle = []
    for axis, side in enumerate(label.shape):
        area = np.count_nonzero(label, axis=tuple(other for other in range(label.ndim) if other != axis))
        middle.append((int(area.argmax()) + 0.5) / side if area.any() else 0.5)
    return middle


def _nifti(array: NDArray[Any], spacing: Sequence[float]) -> str:
    """Returns a volume as a compressed NIfTI file in base64."""
    image = nibabel.Nifti1Image(np.ascontiguousarray(array), np.diag([*spacing, 1.0]))
    return base64.b64encode(gzip.compress(image.to_bytes(), 6, mtime=0)).decode()


def _colours(cases: Sequence[ViewedCase], names: Mapping[int, str]) -> dict[str, list[Any]]:
    """Returns the colours and names of all class numbers, as NiiVue takes them."""
    highest = max(int(max(case.label.max(), case.predicted.max())) for case in cases)
    numbers = range(highest + 1)
    shades = [[round(255 * part) for part in class_colour(number)] for number in numbers]
    red, green, blue = (list(channel) for channel in zip(*shades, strict=True))
    labels = ["background", *(names.get(number, str(number)) for number in numbers[1:])]
    opacity = [0, *[255] * highest]
    return {"R": red, "G": green, "B": blue, "A": opacity, "I": list(numbers), "labels": labels}


def _safe(data: str) -> str:
    """Returns JSON that may stand inside of a script element."""
    return data.replace("<", "\\u003c")
