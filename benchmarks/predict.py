"""Time and memory of predictions by overlapping windows, ours and MONAI's, with the same network and windows.

    python benchmarks/predict.py           64x64 voxels, 4 to 16 classes, depths of 64 to 256 (a minute)
    python benchmarks/predict.py --full    512x512x1000 with 100 classes (ours), and a part of it with MONAI

Each row is a process of its own: seconds of the prediction, and the growth of its peak memory above what it
had with the image and the network in memory. The network is one convolution, so that the windows and the sums
are what is measured. The labels are compared with those of the first row of the same image. `blend` is
`ucf_vit.inference.segment`; `MONAI` is `sliding_window_inference` and an argmax; `file` reads a NIfTI file,
predicts it and writes the labels as `ucf-vit predict` does.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from ucf_vit.data.formats.nifti import Volumes, write_like
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.inference.segment import segment
from ucf_vit.tasks import Segmentation

OVERLAP, AT_ONCE = 0.5, 4


@dataclass(frozen=True)
class Case:
    """One measurement: `shape` `[X, Y, Z]` in cubic windows of side `window`."""

    way: str
    shape: tuple[int, ...]
    classes: int
    window: int
    memory: float


@torch.no_grad()
def measure(case: Case, labels_file: Path, results: multiprocessing.SimpleQueue[tuple[float, float]]) -> None:
    """Puts seconds and MiB into `results`, and the labels into a file."""
    torch.set_num_threads(2)
    network = network_of(case.classes)
    image = image_of(case.shape)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.nii"
        if case.way == "file":
            save(image, path)
            image = torch.empty(0)
        ways: dict[str, Callable[[], Tensor]] = {
            "blend": lambda: ours(network, image, case),
            "MONAI": lambda: monai(network, image, case),
            "file": lambda: through_files(network, path, case),
        }
        network(torch.zeros(1, 1, *(case.window,) * 3))
        before, start = peak(), time.perf_counter()
        labels = ways[case.way]()
        seconds = time.perf_counter() - start
    results.put((seconds, peak() - before))
    np.save(labels_file, labels.numpy())


def network_of(classes: int) -> nn.Module:
    """Returns a convolution with logits of all classes."""
    torch.manual_seed(0)
    return nn.Conv3d(1, classes, 1)


def image_of(shape: tuple[int, ...]) -> Tensor:
    """Returns noise `[1, 1, *S]`."""
    return torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(0))


def ours(network: nn.Module, image: Tensor, case: Case) -> Tensor:
    task = Segmentation(network, case.classes, (case.window,) * 3, overlap=OVERLAP, windows=AT_ONCE)
    with tempfile.TemporaryDirectory() as folder:
        found = segment(task, image, ("intensity",), None, Path(folder), memory=case.memory)
    return torch.from_numpy(found.labels)[None]


def monai(network: nn.Module, image: Tensor, case: Case) -> Tensor:
    window = (case.window,) * 3
    logits = sliding_window_inference(image, window, AT_ONCE, network, OVERLAP, "gaussian")
    assert isinstance(logits, Tensor)
    return logits.argmax(1)


def save(image: Tensor, path: Path) -> None:
    import nibabel

    nibabel.save(nibabel.Nifti1Image(image[0, 0].numpy(), np.eye(4)), path)


def through_files(network: nn.Module, path: Path, case: Case) -> Tensor:
    volume = Volumes(Scratch()).read(str(path)).values((0,), (slice(None),) * 3)
    labels = ours(network, torch.from_numpy(np.ascontiguousarray(volume, np.float32))[None], case)
    write_like(path.with_name("labels.nii.gz"), labels[0].numpy(), str(path))
    return labels


def peak() -> float:
    """Returns the largest memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_a_process(case: Case, labels_file: Path) -> tuple[float, float] | None:
    """Returns the results of `measure`; None where the process was killed, as for lack of memory."""
    context = multiprocessing.get_context("fork")  # torch is imported once
    results = context.SimpleQueue()
    process = context.Process(target=measure, args=(case, labels_file, results))
    process.start()
    process.join()
    return None if process.exitcode else results.get()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--full", action="store_true", help="512x512x1000 voxels with 100 classes")
    cases = full() if parser.parse_args().full else small()
    table = Table("way", "shape", "classes", "seconds", "MiB", "equal labels")
    first: dict[tuple[object, ...], Path] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(cases):
            labels = Path(folder) / f"{number}.npy"
            found = in_a_process(case, labels)
            shown = ("killed", "-", "-")
            if found is not None:
                other = first.setdefault((case.shape, case.classes), labels)
                shown = (
                    f"{found[0]:.2f}",
                    f"{found[1]:.0f}",
                    "-" if other == labels else equal(labels, other),
                )
            table.add_row(case.way, "x".join(map(str, case.shape)), str(case.classes), *shown)
    Console().print(table)


def equal(one: Path, other: Path) -> str:
    """Returns the share of equal labels in two files."""
    return f"{(np.load(one) == np.load(other)).mean():.6%}"


def small() -> list[Case]:
    """Depth and classes grow one after the other, with both ways; files for the first."""
    memory = 2.0**26
    grown = [((64, 64, 64), 4), ((128, 64, 64), 4), ((256, 64, 64), 4), ((128, 64, 64), 16)]
    cases = [Case(way, *grown[0], 32, memory) for way in ("MONAI", "blend", "file")]
    cases += [Case("blend", *one, 32, memory) for one in grown[1:]]
    return [*cases, *(Case("MONAI", *one, 32, memory) for one in grown[1:])]


def full() -> list[Case]:
    """512x512x1000 with 100 classes, whose logits alone would take 98 GiB, and a part that MONAI can hold."""
    return [
        Case("MONAI", (128, 256, 256), 100, 96, 2.0**30),
        Case("blend", (128, 256, 256), 100, 96, 2.0**30),
        Case("blend", (1000, 512, 512), 100, 96, 2.0**30),
    ]


if __name__ == "__main__":
    main()
