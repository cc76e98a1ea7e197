from hypothesis import given
from hypothesis import strategies as st

from ucf_vit.parallel.ranks.mesh import AXES, MeshLayout

size = st.integers(1, 4)
layouts = st.builds(MeshLayout, ddp=size, fsdp=size, seq=size, tensor=size)


@given(layouts, st.data())
def test_ranks_and_coordinates(layout: MeshLayout, data: st.DataObject) -> None:
    rank = data.draw(st.integers(0, layout.size - 1))
    at = layout.coordinates(rank)
    assert (
        rank
        == ((at["ddp"] * layout.fsdp + at["fsdp"]) * layout.seq + at["seq"]) * layout.tensor + at["tensor"]
    )
    for axis in AXES:
        (group,) = [group for group in layout.groups(axis) if rank in group]
        assert len(group) == getattr(layout, axis)
        assert [layout.coordinates(peer)[axis] for peer in group] == list(range(len(group)))


@given(layouts)
def test_groups_partition_the_ranks(layout: MeshLayout) -> None:
    for axes in (("tensor",), ("ddp", "fsdp"), AXES):
        assert sorted(rank for group in layout.groups(*axes) for rank in group) == list(range(layout.size))


def test_tensor_ranks_are_neighbours() -> None:
    layout = MeshLayout(ddp=2, fsdp=2, tensor=2)
    assert layout.groups("tensor") == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert layout.groups("fsdp") == [[0, 2], [1, 3], [4, 6], [5, 7]]
    assert layout.groups("ddp") == [[0, 4], [1, 5], [2, 6], [3, 7]]
