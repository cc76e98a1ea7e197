"""Tokens split over ranks: each part of it equals one process, with its gradients."""

from collections.abc import Iterator
from multiprocessing.context import BaseContext

import pytest
import token_attention
import torch
from hypothesis import given
from hypothesis import strategies as st
from rank_group import RankGroup
from token_attention import RANKS, Sizes

from ucf_vit.parallel.encoder.token_group import shard_sizes

SIZES = [
    Sizes(8),
    Sizes(13),
    Sizes(3),
    Sizes(13, heads=6),
    Sizes(13, batch=1),
    Sizes(1201, batch=1),
    Sizes(13, masked=True),
    Sizes(3, heads=6, batch=1, masked=True),
]


@pytest.fixture(scope="module")
def group(forkserver: BaseContext) -> Iterator[RankGroup]:
    ranks = RankGroup(forkserver, RANKS)
    yield ranks
    ranks.close()


@given(st.integers(0, 100), st.integers(1, 9))
def test_shares_are_even_and_complete(total: int, ranks: int) -> None:
    counts = shard_sizes(total, ranks)
    assert len(counts) == ranks and sum(counts) == total
    assert counts == sorted(counts, reverse=True) and counts[0] - counts[-1] <= 1


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("ring", [False, True], ids=["ulysses", "ring"])
def test_attention_equals_that_of_one_process(group: RankGroup, sizes: Sizes, ring: bool) -> None:
    runs = group.call(token_attention.on_ranks, sizes, ring)
    for found, expected in zip(zip(*runs, strict=True), token_attention.alone(sizes), strict=True):
        torch.testing.assert_close(torch.cat(found, dim=2), expected, rtol=1e-12, atol=1e-13)


def test_ring_attention_with_fewer_heads_than_ranks(group: RankGroup) -> None:
    sizes = Sizes(13, heads=1)
    runs = group.call(token_attention.on_ranks, sizes, True)
    for found, expected in zip(zip(*runs, strict=True), token_attention.alone(sizes), strict=True):
        torch.testing.assert_close(torch.cat(found, dim=2), expected, rtol=1e-12, atol=1e-13)


def test_ring_attention_accumulates_bfloat16_in_float32(group: RankGroup) -> None:
    """An error of a few roundings of 2^-8 however many runs there are, and the type that came."""
    sizes = Sizes(64)
    runs = group.call(token_attention.on_ranks, sizes, True, torch.bfloat16)
    for found, expected in zip(zip(*runs, strict=True), token_attention.alone(sizes), strict=True):
        whole = torch.cat(found, dim=2)
        assert whole.dtype == torch.bfloat16
        assert (whole - expected).norm() < 2**-7 * expected.norm()


@pytest.mark.parametrize("sizes", [Sizes(8), Sizes(13), Sizes(3), Sizes(13, batch=1)], ids=str)
def test_computation_between_split_and_join_equals_one_process(group: RankGroup, sizes: Sizes) -> None:
    answers = group.call(token_attention.region, sizes)
    expected = token_attention.region_alone(sizes)
    for answer in answers:
        for found, wanted in zip(answer[:3], expected[:3], strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-13)
    weight = torch.stack([answer[3] for answer in answers]).mean(dim=0)
    torch.testing.assert_close(weight, expected[3], rtol=1e-12, atol=1e-13)
