"""A folder in the layout of MONAI bundles: configs, and a program of torch."""

from __future__ import annotations

import json
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
from ucf_vit.training.saved_runs.open_trained import Trained

Step = dict[str, Any]
KEY = {"keys": "image"}


def write_bundle(trained: Trained[Any], folder: Path, licence: str = "unknown") -> None:
    """Writes configs/metadata.json, configs/inference.json, models/model.pt2 and docs/README.md.

    Images are read, turned, resampled and normalised by MONAI's transforms. Raises UserError for a run that
    they do not cover, or a network that is no function of an image.
    """
    program = trace(trained)
    before, after = preprocessing(trained), postprocessing(trained)
    if trained.run.network_facts.output != "voxel logits":
        raise UserError("bundles are written for segmentations; export the program (--to torch, --to onnx)")
    write_torch(program, folder / "models" / "model.pt2")
    _write(folder / "configs" / "metadata.json", _metadata(trained, before, after, licence))
    _write(folder / "configs" / "inference.json", _inference(before))
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


def _inference(before: Step) -> Step:
    """Returns the config of a bundle's inference, which segments the files in `dataset_dir`."""
    images = "$[{'image': p} for p in sorted(glob.glob(os.path.join(@dataset_dir, '*.nii.gz')))]"
    changed = before["orientation"] == "RAS" or before["crop"] != "none" or before["spacing"] is not None
    back = _step("Invertd", keys="pred", transform="@preprocessing", orig_keys="image", nearest_interp=False)
    undo = [back] if changed else []
    save = _step("SaveImaged", keys="pred", output_dir="@output_dir", output_postfix="", resample=False)
    return {
        "imports": ["$import glob", "$import os", "$import torch"],
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
            "_target_": "SlidingWindowInferer",
            "roi_size": before["window"],
            "sw_batch_size": 4,
            "overlap": before["overlap"],
            "mode": "gaussian",
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [*undo, _step("AsDiscreted", keys="pred", argmax=True), save],
        },
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


def _transforms(before: Step) -> list[Step]:
    steps = [_step("LoadImaged", reader="NibabelReader"), _step("EnsureChannelFirstd")]
    if before["orientation"] == "RAS":
        steps.append(_step("Orientationd", axcodes="RAS", labels=None))
    if before["crop"] == "nonzero":
        steps.append(_step("CropForegroundd", source_key="image", select_fn="$lambda x: x != 0"))
    elif before["crop"] != "none":
        raise UserError("data.crop: threshold has no counterpart among MONAI's transforms")
    if before["spacing"] is not None:
        steps.append(_step("Spacingd", pixdim=before["spacing"], mode=3))
    return [*steps, *_values(before["normalization"]), _step("EnsureTyped")]


def _values(how: Step) -> list[Step]:
    """Returns the transforms of a normalization."""
    kind = how["kind"]
    if kind == "minmax":
        return [_step("ScaleIntensityd", minv=0.0, maxv=1.0, channel_wise=True)]
    if kind == "zscore":
        return [_step("NormalizeIntensityd", channel_wise=True)]
    if kind == "percentiles":
        ends = {"lower": how["low"], "upper": how["high"], "b_min": 0.0, "b_max": 1.0}
        return [_step("ScaleIntensityRangePercentilesd", **ends, clip=True, channel_wise=True)]
    shift, divisor = how["shift"], how["divisor"]
    steps = [_step("NormalizeIntensityd", subtrahend=shift, divisor=divisor, channel_wise=True)]
    if len(shift) == 1:
        steps = [_step("NormalizeIntensityd", subtrahend=shift[0], divisor=divisor[0])]
    if how["clip"]:
        steps.append(_step("Lambdad", func="$lambda x: x.clip(0, 1)"))
    return steps


def _step(target: str, **options: Any) -> Step:
    return {"_target_": target, **KEY, **options}


def _write(path: Path, values: Step) -> None:
    write_atomic(path, json.dumps(values, indent=1, ensure_ascii=False) + "\n")
