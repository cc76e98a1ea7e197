"""Sections `data` and `dataset_options`: files, splits, reading and batches."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ucf_vit.config.sections.data_values import Label, LabelMapping, Spacing
from ucf_vit.config.sections.fields import (
    REQUIRED,
    Count,
    Index,
    LocalPath,
    Number,
    Options,
    PathOrUrl,
    Section,
    Whole,
    key,
)
from ucf_vit.config.sections.split import SplitOptions

Split = Literal["training", "validation", "test"]
"""Uses of files: training, choice of a checkpoint, and the final evaluation."""
RANGES: dict[Split, tuple[str, str]] = {
    "training": ("dict_start_idx", "dict_end_idx"),
    "validation": ("dict_val_start_idx", "dict_val_end_idx"),
    "test": ("dict_test_start_idx", "dict_test_end_idx"),
}
"""Keys of the start and the end of each split."""


class NormalizationOptions(Section):
    """How the intensities of one dataset are normalised."""

    kind: Literal["minmax", "zscore", "window", "percentiles", "mean_std", "stats", "none"] = key(
        "minmax",
        "minmax: the file's range to 0..1; zscore: the file's mean 0 and deviation 1; window: low..high to "
        "0..1; percentiles: the file's percentiles low..high to 0..1; mean_std: given mean and std; stats: "
        "mean 0 and deviation 1 over the training items, as `ucf-vit stats` finds them; none: as stored.",
    )
    low: Number = key(
        0.5,
        "window: intensity that becomes 0, to be given; percentiles: lower percentile, 0 to 100.",
        "intensity or percent",
    )
    high: Number = key(
        99.5,
        "window: intensity that becomes 1, to be given; percentiles: upper percentile, 0 to 100.",
        "intensity or percent",
    )
    mean: list[Number] = key([], "mean_std: one mean for all channels, or one per channel.", "intensity")
    std: list[Number] = key(
        [], "mean_std: one standard deviation for all channels, or one per channel.", "intensity"
    )


class Data(Section):
    """The data: files, splits, reading and batches.

    A `dict_*` has one entry per data set, under the names of `dict_root_dirs`; `validation`, `test`,
    `dict_options` and `groups` may have fewer.
    """

    dataset: str = key(
        REQUIRED,
        "Source that reads the files: a registered name, or path/to/file.py:ClassName.",
        min_length=1,
    )
    dict_root_dirs: dict[str, Annotated[PathOrUrl, Field(min_length=1)]] = key(
        REQUIRED, "Root directory of each dataset: a path, or a URL (s3://, gs://, https://).", min_length=1
    )
    dict_start_idx: dict[str, Index] = key(
        {}, "Start of the training files as a fraction of the sorted list.", "fraction", derived="0"
    )
    dict_end_idx: dict[str, Index] = key(
        {},
        "End of the training files as a fraction of the sorted list; equal to the start: none.",
        "fraction",
        derived="1",
    )
    dict_val_start_idx: dict[str, Index] = key(
        {},
        "Start of the validation files as a fraction of the sorted list.",
        "fraction",
        derived="dict_end_idx",
    )
    dict_val_end_idx: dict[str, Index] = key(
        {},
        "End of the validation files; equal to the start: none.",
        "fraction",
        derived="dict_test_start_idx",
    )
    dict_test_start_idx: dict[str, Index] = key(
        {},
        "Start of the test files as a fraction of the sorted list. Neither training nor the choice of a "
        "checkpoint looks at them; `ucf-vit evaluate --split test` does.",
        "fraction",
        derived="1: none",
    )
    dict_test_end_idx: dict[str, Index] = key(
        {}, "End of the test files as a fraction of the sorted list.", "fraction", derived="1"
    )
    validation: dict[str, Annotated[PathOrUrl, Field(min_length=1)]] = key(
        {},
        "Root of a whole data set that validates, for those data sets that have one; it is read as the data "
        "set of its name.",
        derived="files of the data set itself, dict_val_start_idx to dict_val_end_idx",
    )
    test: dict[str, Annotated[PathOrUrl, Field(min_length=1)]] = key(
        {},
        "The same for test data.",
        derived="files of the data set itself, dict_test_start_idx to dict_test_end_idx",
    )
    dict_options: dict[str, Options] = key(
        {},
        "Options of the source of each dataset, such as {brain: {fold: 0}} of nnunet_raw; docs/layouts.md "
        "lists those of each source.",
        derived="none",
    )
    split: SplitOptions | None = key(
        None,
        "Which items train, validate and test: drawn from a seed, or given; in place of dict_*_idx.",
        derived="ranges of the sorted list: dict_start_idx, dict_end_idx, ...",
    )
    groups: dict[str, Annotated[str, Field(min_length=1)]] = key(
        {},
        "Patient or subject of the items of a dataset, whose items stay in one split: a regular expression "
        "with one group, searched in the path below the root and then in the item's key (`sub-(\\w+)`), or a "
        ".csv with the columns item and group.",
        derived="as the layout of the data set says (DICOM: PatientID), else each item is one",
    )
    dict_buffer_sizes: dict[str, Count] = key({}, "Size of the shuffle buffer.", "tiles", derived="100")
    num_channels_available: dict[str, Count] = key(
        {}, "Channels in the files of each dataset.", "channels", derived="whatever the files have"
    )
    num_channels_used: dict[str, Count] = key(
        {}, "Channels of each dataset that are used.", "channels", derived="length of dict_in_variables"
    )
    dict_in_variables: dict[str, Annotated[list[str], Field(min_length=1)]] = key(
        {}, "Variables of each dataset in the order of its channels.", derived="input.default_vars"
    )
    dict_normalization: dict[str, NormalizationOptions] = key(
        {},
        "How intensities are normalised, e.g. {ct1: {kind: window, low: -1000, high: 1000}}.",
        derived="the source's own",
    )
    dict_nan: dict[str, Number | None] = key(
        {},
        "Number that NaN in images stands for, such as the background outside a mask; null for the default.",
        "as stored",
        derived="NaN is an error; in fields a missing value",
    )
    dict_stats: dict[str, Annotated[LocalPath, Field(min_length=1)]] = key(
        {},
        "Normalization stats: JSON file of the statistics, which `ucf-vit stats` writes; name one where "
        "several runs share it.",
        derived="stats/DATASET.json in trainer.checkpoint_path",
    )
    dict_label_mapping: dict[str, LabelMapping] = key(
        {},
        "Stored label to class. Beside single values, ranges such as '>0', '<=3', '1..255', and nan; single "
        "values go first, those that are not named stay as stored.",
        "class numbers",
        derived="as stored",
    )
    ignore_label: Label | None = key(
        None,
        "Segmentation: voxels of this label, after dict_label_mapping, count in no loss and no metric.",
        "class number",
        derived="all count",
    )
    num_classes: Whole | None = key(
        None,
        "The same number as model.num_classes; give one of the two.",
        "classes",
        ge=1,
        derived="model.num_classes",
    )
    batch_size: Whole = key(2, "Tiles per rank and batch.", "tiles", ge=1)
    order: Literal["global", "rank"] | None = key(
        None,
        "global: ranks read slices of one shuffled order, the same for any number of ranks, each tile once; "
        "rank: each rank reads tiles of its own, those of one dataset, as a plan shares them out.",
        derived="global; rank if load_balancing.auto_load_balancing is false",
    )
    num_workers: Whole = key(
        2, "Processes per rank that read data; 0: read in the training process.", "processes", ge=0, le=1024
    )
    patching_in: Literal["loader", "device"] = key(
        "loader",
        "Adaptive patching: where trees grow: in the processes that read data, or where the model is. Tokens "
        "are cut where the model is, and are the same either way.",
    )
    pin_memory: bool = key(True, "Page-locked batches for faster copies; used with CUDA or ROCm only.")
    single_channel: bool = key(
        False,
        "Batches of one variable each: the model has one input channel for all, or with use_varemb tokens of "
        "its own for each variable.",
    )
    tile_overlap: Number = key(
        0.0, "Share of a tile that it has in common with its neighbour.", "fraction", ge=0, lt=1
    )
    use_all_data: bool = key(
        True, "Where tiles leave a remainder, add one more tile that ends at the border; else leave it out."
    )
    small_images: Literal["pad", "refuse"] = key("pad", "Treatment of images smaller than a tile.")
    label_geometry: Literal["refuse", "accept"] = key(
        "refuse",
        "Treatment of a label whose header (orientation, spacing, origin) puts it elsewhere than its "
        "image; accept: the voxels of both belong together as they are stored.",
    )
    orientation: Literal["RAS", "as_stored"] = key(
        "as_stored",
        "Directions of a volume's axes: RAS turns and mirrors every volume so that they grow to the right, "
        "to the front and up; as_stored: whatever the files have.",
    )
    spacing: Spacing = key(
        "as_stored",
        "Distance of voxels along each axis, in the order of data.orientation: images and labels are "
        "resampled to it once per item; median: that of the training items' headers, kept with the weights.",
        "mm",
    )
    crop: Literal["none", "nonzero", "threshold"] = key(
        "none",
        "Box that is used of each item: nonzero: around what is not 0 in some channel; threshold: around "
        "what is above Otsu's threshold of some channel. Every item is read once to find it.",
    )
    leak_check: Literal["contents", "files", "off"] | None = key(
        None,
        "How training items are compared with held-out ones: contents: all items are read before the "
        "training begins, so that copies in other formats and altered ones are found, and classes of voxels "
        "that only held-out labels have; files: by path, size and blocks of the files. Exact copies and such "
        "classes are refused, near copies named; off: files are compared, and copies only named.",
        derived="contents for up to 2^31 values on a local disk, for which a training waits 20 s at most; "
        "else files",
    )
    augmentation: bool = key(
        True, "Flips, crops and intensity changes while training, as the task wants them."
    )
    keep_orientation: bool = key(
        False, "No flips or rotations while training: left and right, front and back mean something."
    )
    cache_dir: Annotated[LocalPath, Field(min_length=1)] | None = key(
        None,
        "Directory for copies of remote files, and what was decompressed of them; it stays for later runs.",
        derived="the temporary directory of this machine, emptied when its last run ends",
    )
    cache_size: Number | None = key(
        None,
        "Copies that were not asked for the longest make room beyond this.",
        "GiB",
        derived="half of what is free there",
        gt=0,
        le=1e9,
    )
    max_item_bytes: Whole | None = key(
        None,
        "No image or volume has more bytes by its header: else it is refused before they are allocated.",
        "bytes",
        derived="the memory of this machine for what has to be unpacked, no limit for what is read in parts",
        ge=1,
    )
    on_error: Literal["fail", "skip"] = key(
        "fail", "Treatment of an unreadable file, or an item without the label that the task needs."
    )
    max_errors: Whole = key(10, "With on_error skip: abort after this number of them.", "files", ge=0)

    def root(self, dataset: str, split: Split) -> str | None:
        """Returns the root of the whole data set for `split`, None if there is none."""
        return None if split == "training" else getattr(self, split).get(dataset)

    def part(self, dataset: str, split: Split) -> tuple[str, float, float]:
        """Returns the root of a data set, and start and end of its files for `split`, as fractions.

        With `data.split` they are among all files.
        """
        whole = self.root(dataset, split)
        if whole is not None or self.split is not None:
            return whole or self.dict_root_dirs[dataset], 0.0, 1.0
        start, end = (getattr(self, key)[dataset] for key in RANGES[split])
        return self.dict_root_dirs[dataset], start, end


class DatasetOptions(Section):
    """Options of single data sources."""

    imagenet_resize: dict[str, Annotated[list[Count], Field(min_length=2, max_length=2)]] = key(
        {}, "Images of a dataset are resized to [height, width].", "pixels", derived="no resizing"
    )
    fields_fill_value: dict[str, Number] = key(
        {},
        "Gridded fields: the number that marks a missing value, beside NaN and what the file says itself.",
        "as stored",
        derived="none",
    )
