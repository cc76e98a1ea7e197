"""Writes items as plain .npy files, an image and a label each, as the source npy_pairs reads them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.core.files.digests import file_digest
from ucf_vit.data.formats.prepared.manifest import Pack
from ucf_vit.data.prepare.write import Done, Job, read_checked
from ucf_vit.data.sources import Source

FOLDERS = ("images", "labels")


def file_name(key: str) -> str:
    """Returns the name of an item's files."""
    return key.replace("/", "-") + ".npy"


def write_pair(job: Job, source: Source, folder: Path, skip: bool) -> Done:
    """Reads the only item of a job and writes `images/KEY.npy`, `[*S]` or `[*S, C]`, and `labels/KEY.npy`.

    Raises DataError for an item that can't be read; with `skip` it is left out.
    """
    (item,) = job.items
    try:
        sample = read_checked(source, item, None, job.shape)
    except DataError as error:
        if not skip:
            raise
        return Done((), ((job.numbers[0], str(error)),))
    image = sample.image[0] if len(sample.image) == 1 else np.moveaxis(sample.image, 0, -1)
    files = {}
    for name, array in zip(FOLDERS, (image, sample.label), strict=True):
        if array is not None:
            path = folder / name / file_name(item.key)
            path.parent.mkdir(exist_ok=True)
            write_atomic(path, _npy(array))
            files[f"{name}/{path.name}"] = path.stat().st_size, file_digest(path)
    pack = Pack(
        name="",
        shape=job.shape,
        channels=len(sample.image),
        dtype=sample.image.dtype.str,
        label_dtype=None if sample.label is None else sample.label.dtype.str,
        chunk=job.shape,
        depth=job.shape[1],
        items=job.numbers,
        files=files,
    )
    return Done((pack,))


def _npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(array), allow_pickle=False)
    return stream.getvalue()
