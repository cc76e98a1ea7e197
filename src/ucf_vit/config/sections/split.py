"""Section `data.split`: how items are shared out over training, validation and test."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ucf_vit.config.sections.fields import LocalPath, Number, Section, Whole, key


class SplitOptions(Section):
    """Which items train, validate and test, in place of ranges of the sorted list."""

    kind: Literal["seeded", "given"] = key(
        "seeded",
        "seeded: by fractions or folds, drawn from a seed, groups (data.groups) undivided; given: as the "
        "layout of the data set or a file says.",
    )
    validation: Annotated[Number, Field(ge=0, lt=1)] | None = key(
        None,
        "seeded: fraction of the items that validates.",
        "fraction",
        derived="0.2; 0 with folds or data.validation",
        ge=0,
        lt=1,
    )
    test: Annotated[Number, Field(ge=0, lt=1)] = key(
        0.0,
        "seeded: fraction of the items that is kept for `ucf-vit evaluate --split test`; items that the "
        "layout gives to test are so in any case.",
        "fraction",
        ge=0,
        lt=1,
    )
    seed: Whole = key(0, "seeded: another seed is another split.", ge=0)
    folds: Whole | None = key(
        None,
        "seeded: number of folds of cross-validation: all but the test items are split into that many parts, "
        "of which one validates.",
        "folds",
        derived="no folds",
        ge=2,
    )
    fold: Whole = key(0, "Fold that validates, counted from 0; given: of a file with several.", ge=0)
    stratify: Literal["classes", "labels", "none"] = key(
        "classes",
        "seeded: what has the same proportions in each split: classes of whole items; labels: also the set "
        "of values in the label of an item, for which all labels are read once, before the first training.",
    )
    file: Annotated[LocalPath, Field(min_length=1)] | None = key(
        None,
        "given: a splits.json of another run, splits_final.json of nnU-Net, or a .csv with the columns item "
        "and split.",
        derived="the layout of the data set",
    )
