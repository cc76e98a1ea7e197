"""Time and memory of predictions by overlapping windows, ours and MONAI's, with the same network and windows.

    python benchmarks/predict.py           64x64 voxels, 4 to 16 classes, depths of 64 to 256 (a minute)
    python benchmarks/predict.py --middle  128x128 voxels, 4 to 64 classes, depths of 128 to 512
    python benchmarks/predict.py --full    512x512x1000 with 100 classes (ours), and a part of it with MONAI

Each row is a process of its own: seconds of the prediction by the clock and of its processor, and the
growth of its peak memory above what it had with the image and the network in memory. The network is one
convolution, so that the windows and the sums are what is measured. The labels are compared with those of
the first row of the same image. `blend` is `ucf_vit.inference.segment`; `MONAI` is
`sliding_window_inference` and an argmax. Ratios are those of the times per voxel, ours to MONAI's. All have
one thread: several wait for each other by spinning, which on a machine that does other things, too, costs
many times the work. `end to end` is `ucf-vit predict` of one NIfTI file with a small UNETR: reading,
resampling, prediction, interpolation of the logits back, writing; its memory is the peak of the process,
with all libraries.
"""

from __future__ import annotations

import argparse
import io
import math
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import torch
import yaml
from monai.inferers import sliding_window_inference
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from ucf_vit.config import load
from ucf_vit.inference import PredictionRequest, predict_run
from ucf_vit.inference.segment import segment
from ucf_vit.patching.sliding_window.blend import MEMORY
from ucf_vit.synthetic import write_dataset
from ucf_vit.tasks import Segmentation
from ucf_vit.training.build import build_task
from ucf_vit.training.launch import start as start_run
from ucf_vit.training.run import train_task

AT_ONCE = 4
Measured = tuple[float, float, float]
"""Seconds by the clock and of processors, MiB."""


@dataclass(frozen=True)
class Case:
    """One measurement: `shape` `[X, Y, Z]` in cubic windows of side `window`."""

    way: str
    shape: tuple[int, ...]
    classes: int
    window: int
    memory: float
    overlap: float = 0.5

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)


@torch.no_grad()
def measure(case: Case, labels_file: Path, results: multiprocessing.SimpleQueue[Measured]) -> None:
    """Puts seconds and MiB into `results`, and the labels into a file."""
    torch.set_num_threads(1)
    if case.way == "end to end":
        results.put(end_to_end(case))
        return
    network = network_of(case.classes)
    image = image_of(case.shape)
    ways: dict[str, Callable[[], Tensor]] = {
        "blend": lambda: ours(network, image, case),
        "MONAI": lambda: monai(network, image, case),
    }
    network(torch.zeros(1, 1, *(case.window,) * 3))
    before, start, used = peak(), time.perf_counter(), time.process_time()
    labels = ways[case.way]()
    results.put((time.perf_counter() - start, time.process_time() - used, peak() - before))
    np.save(labels_file, labels.numpy())


def network_of(classes: int) -> nn.Module:
    """Returns a convolution with logits of all classes."""
    torch.manual_seed(0)
    return nn.Conv3d(1, classes, 1)


def image_of(shape: tuple[int, ...]) -> Tensor:
    """Returns noise `[1, 1, *S]`."""
    return torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(0))


def ours(network: nn.Module, image: Tensor, case: Case) -> Tensor:
    task = Segmentation(network, case.classes, (case.window,) * 3, overlap=case.overlap, windows=AT_ONCE)
    with tempfile.TemporaryDirectory() as folder:
        found = segment(task, image, ("intensity",), None, Path(folder), memory=case.memory)
    return torch.from_numpy(found.labels)[None]


def monai(network: nn.Module, image: Tensor, case: Case) -> Tensor:
    window = (case.window,) * 3
    logits = sliding_window_inference(image, window, AT_ONCE, network, case.overlap, "gaussian")
    assert isinstance(logits, Tensor)
    return logits.argmax(1)


def end_to_end(case: Case) -> Measured:
    """Returns the measures of `ucf-vit predict` of a file whose spacing is not that of the training."""
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        run, path = trained_run(Path(folder), case), Path(folder) / "scan.nii.gz"
        values = np.random.default_rng(0).integers(0, 1000, case.shape).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1.0, 1.5, 1.0])), path)
        request = PredictionRequest((str(path),), Path(folder) / "out")
        start, used = time.perf_counter(), time.process_time()
        predict_run(run, request)
        return time.perf_counter() - start, time.process_time() - used, peak()


def trained_run(folder: Path, case: Case) -> Path:
    """Returns the directory of a UNETR that was trained for one step at a spacing of 1 mm."""
    write_dataset(folder / "data", number=2, size=(case.window,) * 3)
    config = {
        "trainer": {
            "task": "segmentation",
            "max_steps": 1,
            "checkpoint_path": str(folder / "run"),
            "device": "cpu",
        },
        "model": {
            "embed_dim": 24,
            "depth": 2,
            "num_heads": 2,
            "feature_size": 4,
            "num_classes": case.classes,
        },
        "input": {"default_vars": ["ct"], "tile_size": [case.window] * 3, "patch_size": 16},
        "data": {
            "dataset": "basic_ct",
            "dict_root_dirs": {"tiny": str(folder / "data")},
            "dict_end_idx": {"tiny": 0.5},
            "batch_size": 1,
            "num_workers": 0,
            "spacing": [1.0, 1.0, 1.0],
        },
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    run = load(folder / "config.yaml")
    with start_run(run) as world, torch.enable_grad():
        train_task(build_task(run), run, world)
    return folder / "run"


def peak() -> float:
    """Returns the largest memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_a_process(case: Case, labels_file: Path) -> Measured | None:
    """Returns the results of `measure`; None where the process was killed, as for lack of memory."""
    context = multiprocessing.get_context("fork")  # torch is imported once
    results = context.SimpleQueue()
    process = context.Process(target=measure, args=(case, labels_file, results))
    process.start()
    process.join()
    return None if process.exitcode else results.get()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--middle", action="store_true", help="128x128 voxels with up to 64 classes")
    size.add_argument("--full", action="store_true", help="512x512x1000 voxels with 100 classes")
    given = parser.parse_args()
    cases = full() if given.full else middle() if given.middle else small()
    table = Table("way", "shape", "classes", "seconds", "of processors", "MiB", "ratio", "equal labels")
    first: dict[tuple[object, ...], Path] = {}
    theirs: dict[int, tuple[Case, Measured]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(cases):
            labels = Path(folder) / f"{number}.npy"
            found = in_a_process(case, labels)
            if found is not None and case.way == "MONAI":
                theirs[case.classes] = (case, found)
            other = first.setdefault((case.shape, case.classes), labels) if labels.exists() else labels
            shown = [
                "killed" if found is None else f"{found[0]:.2f}",
                "-" if found is None else f"{found[1]:.2f}",
                "-" if found is None else f"{found[2]:.0f}",
                ratio(case, found, theirs.get(case.classes)),
                "-" if other == labels else equal(labels, other),
            ]
            row = (case.way, "x".join(map(str, case.shape)), str(case.classes), *shown)
            print(*row, sep="  ", flush=True)
            table.add_row(*row)
    Console(width=120).print(table)


def ratio(case: Case, found: Measured | None, theirs: tuple[Case, Measured] | None) -> str:
    """Returns our times per voxel, by the clock and of processors, as fractions of MONAI's."""
    if case.way != "blend" or found is None or theirs is None:
        return "-"
    shares = [
        own / case.voxels / (other / theirs[0].voxels)
        for own, other in zip(found[:2], theirs[1][:2], strict=True)
    ]
    return " / ".join(f"{share:.2f}" for share in shares)


def equal(one: Path, other: Path) -> str:
    """Returns the share of equal labels in two files."""
    return f"{(np.load(one) == np.load(other)).mean():.6%}"


def small() -> list[Case]:
    """Depth and classes grow one after the other, each with both ways."""
    shapes = [((64, 64, 64), 4), ((128, 64, 64), 4), ((256, 64, 64), 4), ((128, 64, 64), 16)]
    cases = [Case(way, *one, 32, 2.0**26) for one in shapes for way in ("MONAI", "blend")]
    return [*cases, Case("end to end", (64, 64, 48), 4, 32, 2.0**26)]


def middle() -> list[Case]:
    """The same with larger volumes."""
    shapes = [(128, 4), (256, 4), (512, 4), (128, 16), (128, 64)]
    cases = [
        Case(way, (depth, 128, 128), classes, 64, 2.0**28)
        for depth, classes in shapes
        for way in ("MONAI", "blend")
    ]
    return [*cases, Case("end to end", (160, 160, 96), 4, 64, 2.0**28)]


def full() -> list[Case]:
    """512x512x1000 with 100 classes, whose logits alone would take 98 GiB, and a part that MONAI can hold.

    Windows overlap by a quarter, so that it takes minutes.
    """
    part, whole = (128, 192, 192), (1000, 512, 512)
    return [
        Case("MONAI", part, 100, 64, MEMORY, 0.25),
        Case("blend", part, 100, 64, MEMORY, 0.25),
        Case("blend", whole, 100, 64, MEMORY, 0.25),
    ]


if __name__ == "__main__":
    main()
