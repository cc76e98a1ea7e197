"""The inventory: headers are read once, what changed is read again, broken files are refused."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ucf_vit.core.errors import UserError
from ucf_vit.planning import npz_arrays
from ucf_vit.planning.inventory import Inventory, describe_changes
from ucf_vit.planning.shape_reader import ShapeReader


@dataclass(frozen=True)
class Item:
    key: str
    image: str
    label: str | None = None


class Files:
    """Text files that hold their own shape; counts how often each is read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.reads: list[str] = []

    def write(self, name: str, *shape: int) -> None:
        (self.root / name).write_text(" ".join(map(str, shape)))

    @property
    def items(self) -> list[Item]:
        return [Item(path.name, str(path)) for path in sorted(self.root.iterdir())]

    def read(self, item: Item) -> tuple[int, ...] | Exception:
        self.reads.append(item.key)
        try:
            return tuple(map(int, Path(item.image).read_text().split()))
        except ValueError as error:
            return error


@pytest.fixture
def files(tmp_path: Path) -> Files:
    (tmp_path / "data").mkdir()
    made = Files(tmp_path / "data")
    for number in range(5):
        made.write(f"v{number}ü", 1, 8 + number, 9, 10)
    return made


def keep(files: Files, path: Path, source: str = "s") -> ShapeReader:
    files.reads.clear()
    keeper = ShapeReader(path, source)
    assert keeper.shapes(files.items, files.read) == [Files.read(files, item) for item in files.items]
    del files.reads[-len(files.items) :]
    assert keeper.read == len(files.reads)
    keeper.save()
    return keeper


def test_only_new_and_changed_headers_are_read(files, tmp_path):
    path = tmp_path / "kept" / "i.npz"
    first = keep(files, path)
    assert sorted(files.reads) == [item.key for item in files.items]
    assert keep(files, path).inventory.digest == first.inventory.digest
    assert files.reads == []

    files.write("v2ü", 1, 30, 9, 10)
    files.write("v9", 1, 8, 9, 10)
    (files.root / "v0ü").unlink()
    then = Inventory.load(path)
    second = keep(files, path)
    assert sorted(files.reads) == ["v2ü", "v9"]
    assert describe_changes(then, second.inventory) == [
        "1 new (v9)",
        "1 gone (v0ü)",
        "1 of another shape (v2ü)",
    ]
    assert keep(files, path, "with other variables").read == 5


def test_a_touched_file_is_read_again_and_changes_no_plan(files, tmp_path):
    first = keep(files, tmp_path / "i.npz")
    os.utime(files.root / "v3ü", ns=(1, 1))
    second = keep(files, tmp_path / "i.npz")
    assert files.reads == ["v3ü"]
    assert second.inventory.digest == first.inventory.digest


def test_errors_are_not_kept_in_the_inventory(files, tmp_path):
    (files.root / "v1ü").write_text("broken")
    keeper = ShapeReader(tmp_path / "i.npz", "s")
    found = keeper.shapes(files.items, files.read)
    assert isinstance(found[1], ValueError) and len(keeper.inventory) == 4
    keeper.save()
    keeper.shapes(files.items, files.read)
    assert keeper.read == 1


def test_a_label_belongs_to_its_image_and_directories_are_always_read(files, tmp_path):
    (tmp_path / "label").write_text("1")
    (tmp_path / "zarr").mkdir()
    items = [Item("a", files.items[0].image, str(tmp_path / "label")), Item("z", str(tmp_path / "zarr"))]
    shape = lambda item: (1, 2, 3)  # noqa: E731
    reads = []
    for text in ("1", "1", "22"):
        (tmp_path / "label").write_text(text) if text != "1" else None
        keeper = ShapeReader(tmp_path / "i.npz", "s")
        keeper.shapes(items, shape)
        keeper.save()
        reads.append(keeper.read)
    assert reads == [2, 1, 2]


def test_damaged_files_are_refused_and_replaced(files, tmp_path):
    path = tmp_path / "i.npz"
    keep(files, path)
    whole = path.read_bytes()
    for content in (b"", whole[:200], whole[: len(whole) // 2], b"x" * 500):
        path.write_bytes(content)
        with pytest.raises(UserError, match="not a readable inventory"):
            Inventory.load(path)
        assert keep(files, path).read == 5
    with pytest.raises(UserError, match="it is of another kind"):
        npz_arrays.load(path, "plan")
    with pytest.raises(UserError, match="no such file"):
        npz_arrays.load(tmp_path / "none.npz", "plan")
    npz_arrays.save(path, "inventory", {}, {"titles": np.zeros(3)})
    with pytest.raises(UserError, match="another version"):
        Inventory.load(path)
    np.savez_compressed(tmp_path / "c.npz", about=np.zeros(3, np.uint8))
    with pytest.raises(UserError, match="compressed"):
        npz_arrays.load(tmp_path / "c.npz", "plan")


def test_arrays_are_read_back_and_readable_by_numpy(tmp_path):
    given = {"a": np.arange(7, dtype=np.int32), "empty": np.empty((0, 3)), "b": np.ones((2, 3))}
    npz_arrays.save(tmp_path / "x.npz", "plan", {"ranks": 3}, given)
    about, found = npz_arrays.load(tmp_path / "x.npz", "plan")
    assert about == {"ranks": 3}
    with np.load(tmp_path / "x.npz") as plain:
        for name, array in given.items():
            np.testing.assert_array_equal(found[name], array)
            np.testing.assert_array_equal(plain[name], array)
    assert isinstance(found["a"], np.memmap)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        npz_arrays.save(tmp_path / "file" / "x.npz", "plan", {}, given)


def test_a_damaged_inventory_is_ignored(tmp_path: Path, files: Files) -> None:
    keeper = ShapeReader(tmp_path / "i.npz", "s")
    expected = keeper.shapes(files.items, files.read)
    keeper.save()
    whole = keeper.path.read_bytes()
    damage = np.random.default_rng(0).integers(0, len(whole), 60)
    for place in damage.tolist():
        keeper.path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        assert ShapeReader(keeper.path, "s").shapes(files.items, files.read) == expected
