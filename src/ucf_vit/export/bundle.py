"""A folder in the layout of MONAI bundles: configs, and a program of torch."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from ucf_vit import __version__
from ucf_vit.core.errors import UserError
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.export.model_card import model_card
from ucf_vit.export.processing import postprocessing, preprocessing
from ucf_vit.export.program import trace
from ucf_vit.export.program_files import write_torch
from ucf_vit.export.shipping import ship, write_json
from ucf_vit.training.saved_runs.open_trained import Trained

Step = dict[str, Any]
KEY = {"keys": "image"}


def write_bundle(trained: Trained[Any], folder: Path, licence: str = "unknown") -> None:
    """Writes configs/metadata.json, configs/inference.json, models/model.pt2, scripts and docs/README.md.

    Images are read, turned, cropped and written by MONAI's transforms, resampled, normalised and
    post-processed by those in scripts/transforms.py. Raises UserError for a run that these do not cover, or a
    network that is no function of an image.
    """
    program = trace(trained)
    before, after = preprocessing(trained), postprocessing(trained)
    if trained.run.network_facts.output != "voxel logits":
        raise UserError("bundles are written for segmentations; a classifier has --to onnx, --to torch")
    write_torch(program, folder / "models" / "model.pt2")
    write_json(folder / "configs" / "metadata.json", _metadata(trained, before, after, licence))
    write_json(folder / "configs" / "inference.json", _inference(trained, before, after))
    ship(("__init__", "images", "postprocess", "resampling", "transforms"), folder / "scripts")
    write_atomic(folder / "docs" / "README.md", model_card(trained, licence))


def _metadata(trained: Trained[Any], before: Step, after: Step, licence: str) -> Step:
    window, classes = before["window"], after["classes"]
    common = {"format": "magnitude", "modality": "n/a", "spatial_shape": window, "dtype": "float32"}
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
        "meta_schema_20240725.json",
        "version": "0.1.0",
        "changelog": {"0.1.0": f"exported by ucf_vit {__version__}"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch"),
        "numpy_version": version("numpy"),
        "required_packages_version": {"nibabel": version("nibabel")},
        "task": trained.run.task,
        "description": f"{trained.run.network} for {', '.join(trained.record.normalized)}",
        "authors": "",
        "copyright": licence,
        "network_data_format": {
            "inputs": {
                "image": {
                    **common,
                    "type": "image",
                    "num_channels": before["channels"],
                    "value_range": [],
                    "is_patch_data": True,
                    "channel_def": {str(n): name for n, name in enumerate(before["channel_names"])},
                }
            },
            "outputs": {
                "pred": {
                    **common,
                    "type": "image",
                    "format": "segmentation",
                    "num_channels": len(classes),
                    "value_range": [],
                    "is_patch_data": True,
                    "channel_def": {str(n): name for n, name in enumerate(classes)},
                }
            },
        },
    }


def _inference(trained: Trained[Any], before: Step, after: Step) -> Step:
    """Returns the config of a bundle's inference, which segments the files in `dataset_dir`."""
    images = "$[{'image': p} for p in sorted(glob.glob(os.path.join(@dataset_dir, '*.nii.gz')))]"
    return {
        "imports": ["$import glob", "$import os", "$import torch", "$import numpy"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/labels'",
        "device": "cpu",
        "program": "$torch.export.load(@bundle_root + '/models/model.pt2').module()",
        # MONAI's evaluator calls eval(), which a loaded program refuses and a module of its graph does not
        "network": "$torch.fx.GraphModule(@program, @program.graph).to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": _transforms(before)},
        "dataset": {"_target_": "Dataset", "data": images, "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": {
            **_windows(len(before["window"])),
            "roi_size": before["window"],
            "sw_batch_size": 4,
            "overlap": trained.run.trainer.sliding_window_overlap,
            "mode": "gaussian",
        },
        "postprocessing": {"_target_": "Compose", "transforms": _back(after)},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "$torch.device(@device)",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "run": ["$@evaluator.run()"],
    }


def _windows(dims: int) -> Step:
    """Returns the inferer of windows of so many sides; those of 2 sides lie in slices along the last axis."""
    if dims == 2:
        return {"_target_": "SliceInferer", "spatial_dim": 2}
    return {"_target_": "SlidingWindowInferer"}


def _transforms(before: Step) -> list[Step]:
    """Returns the transforms from a file to what the network takes."""
    steps = [_step("LoadImaged", reader="NibabelReader"), _step("EnsureChannelFirstd")]
    if before["orientation"] == "RAS":
        steps.append(_step("Orientationd", axcodes="RAS", labels=None))
    if before["crop"] == "nonzero":
        used = "$lambda x: (torch.nan_to_num(x) != 0) | ~torch.nan_to_num(x).any()"
        steps.append(_step("CropForegroundd", source_key="image", select_fn=used))
    if before["spacing"] is not None:
        steps.append(_step("scripts.transforms.Resampled", spacing=before["spacing"]))
    steps.append(_step("scripts.transforms.Normalised", how=before["normalization"]))
    size = [*before["window"], -1][:3]
    return [*steps, _step("SpatialPadd", spatial_size=size, method="end"), _step("EnsureTyped")]


def _back(after: Step) -> list[Step]:
    """Returns the transforms from logits to a file of labels."""
    undo = {"transform": "@preprocessing", "orig_keys": "image", "nearest_interp": False}
    save = {"output_dir": "@output_dir", "output_postfix": "", "resample": False, "separate_folder": False}
    steps = [
        _step("Invertd", keys="pred", **undo),
        _step("AsDiscreted", keys="pred", argmax=True, dtype=f"$torch.{after['dtype']}"),
        _step("scripts.transforms.Postprocessed", keys="pred", operations=after["operations"]),
        _step("SaveImaged", keys="pred", **save, output_dtype=f"$numpy.{after['dtype']}"),
    ]
    return [step for step in steps if step.get("operations") != {}]


def _step(target: str, **options: Any) -> Step:
    return {"_target_": target, **KEY, **options}
