from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucf_vit.config import Parallelism, load
from ucf_vit.config.checks.ranks import check_ranks
from ucf_vit.core.errors import ConfigError

size = st.integers(1, 6)


@given(size, size, size, size, st.integers(1, 200))
def test_the_product_is_the_number_of_ranks(ddp, fsdp, seq, tensor, ranks):
    sizes = Parallelism(simple_ddp_size=ddp, fsdp_size=fsdp, seq_par_size=seq, tensor_par_size=tensor)
    product = ddp * fsdp * seq * tensor
    assert prod(sizes.degrees(product).values()) == product
    if ranks != product:
        with pytest.raises(
            ValueError, match=f"the sizes make {product} ranks .*but this run has {ranks}; start {product}"
        ):
            sizes.degrees(ranks)


@given(
    st.sampled_from(["simple_ddp_size", "fsdp_size", "seq_par_size", "tensor_par_size"]),
    size,
    st.integers(1, 200),
)
def test_one_size_takes_the_remaining_ranks(free, others, ranks):
    names = ("simple_ddp_size", "fsdp_size", "seq_par_size", "tensor_par_size")
    sizes = Parallelism(**{name: -1 if name == free else others for name in names})
    fixed = others**3
    if ranks % fixed:
        with pytest.raises(ValueError, match=f"{ranks} ranks do not divide by {fixed}"):
            sizes.degrees(ranks)
    else:
        assert sizes.degrees(ranks)[free] == ranks // fixed


def test_a_run_says_where_its_size_is_written(small):
    run = load(small, ["parallelism.simple_ddp_size=8"])
    assert check_ranks(run, 8) == {
        "simple_ddp_size": 8,
        "fsdp_size": 1,
        "seq_par_size": 1,
        "tensor_par_size": 1,
    }
    with pytest.raises(ConfigError) as error:
        check_ranks(run, 2)
    assert str(error.value).startswith(
        "override parallelism.simple_ddp_size=8: parallelism.simple_ddp_size = 8: the sizes make 8 ranks "
    )
    assert "set parallelism.simple_ddp_size=-1" in str(error.value)
    assert check_ranks(load(small), 3)["simple_ddp_size"] == 3


def test_ranks_that_split_tokens_are_judged_when_their_number_is_known(small):
    sizes = ["parallelism.mode=fsdp", "parallelism.simple_ddp_size=1", "parallelism.seq_par_size=-1"]
    run = load(small, [*sizes, "model.drop_rate=0.1"])
    assert check_ranks(run, 4)["seq_par_size"] == 4
    with pytest.raises(ConfigError, match=r"auto becomes ring: .* / tensor_par_size 1 = 4, less than 5"):
        check_ranks(run, 5)
    with pytest.raises(ConfigError, match="has 32; take 32 or less"):
        check_ranks(load(small, sizes), 33)
