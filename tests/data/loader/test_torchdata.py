"""The loader as a part of torchdata's, which is no dependency: its own state is what they keep."""

from itertools import islice
from typing import Any

import pytest
from torch.utils.data import DataLoader

from ucf_vit.core.errors import UserError
from ucf_vit.data.batch import Batch
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.loader.stream import Stream

pytest.importorskip("torchdata", reason="needs torchdata (pip install 'ucf-vit[torchdata]')")
from torchdata.nodes import IterableWrapper, Loader, Mapper
from torchdata.stateful_dataloader import StatefulDataLoader

pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")
"""Newer versions of torch say so of a function that the last release of torchdata calls."""


@pytest.fixture
def data(ct, scratch) -> Dataset:
    return build_dataset(
        "ct",
        "basic_ct",
        ct,
        tile_size=(8, 8, 8),
        overlap=0.5,
        use_all=True,
        num_classes=3,
        buffer_size=10,
        scratch=scratch,
    )


def summary(batch: Batch) -> tuple[Any, ...]:
    return batch.files, batch.keys.tolist(), batch.image.double().sum().item()


def stream(data: Dataset, workers: int) -> Stream:
    return Stream([data], batch_size=4, seed=3, augmentation="masked", num_workers=workers)


def nodes(data: Dataset, workers: int) -> Any:
    return Loader(Mapper(IterableWrapper(stream(data, workers)), summary))


def stateful(data: Dataset, workers: int) -> Any:
    return StatefulDataLoader(stream(data, workers), batch_size=None, collate_fn=summary)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.deep)])
@pytest.mark.parametrize("build", [nodes, stateful])
def test_batches_are_those_of_the_stream_and_go_on_in_the_middle(
    data: Dataset, build: Any, workers: int
) -> None:
    alone = stream(data, 0)
    first, second = ([summary(batch) for batch in alone] for _ in range(2))
    assert len(second) > 4
    loader = build(data, workers)
    assert list(loader) == first
    begun = list(islice(iter(loader), 3))
    state = loader.state_dict()
    assert begun == second[:3]
    again = build(data, 2 - workers)
    again.load_state_dict(state)
    assert list(again) == second[3:]


def test_processes_of_another_loader_which_would_each_read_everything_are_refused(data: Dataset) -> None:
    loader = DataLoader(stream(data, 0), batch_size=None, num_workers=2, collate_fn=summary)
    with pytest.raises(UserError, match="has workers of its own: give num_workers to the Stream"):
        list(loader)
