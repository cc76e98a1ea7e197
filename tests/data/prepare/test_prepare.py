"""Any source, converted: equal to the bit, whatever the chunks and shards; killed, damaged, full disks."""

import json
import os
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nifti_files import save_nifti
from PIL import Image

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.formats.prepared import manifest
from ucf_vit.data.formats.prepared.manifest import UNFINISHED as JOURNAL
from ucf_vit.data.formats.prepared.sharded_array import ShardedArray, ShardReader
from ucf_vit.data.prepare.conversion import Origin, StorageOptions
from ucf_vit.data.prepare.convert import prepare
from ucf_vit.data.prepare.grid import chunk_sides, rows_and_depth
from ucf_vit.data.prepare.journal import locked_journal
from ucf_vit.data.prepare.verify import data_sets, verify
from ucf_vit.data.sources import SOURCES, Prepared
from ucf_vit.data.storage import Cache, Files, Patience

pytest.importorskip("zarr", reason="needs the extra zarr")


def some_volumes(root: Path) -> dict:
    rng = np.random.default_rng(0)
    for number, dtype in enumerate((np.float32, np.int16, np.uint8, np.int16, np.dtype(">i2"))):
        shape = (9, 12, 7) if number else (20, 12, 7)
        save_nifti(root / f"imagesTr/v{number}.nii.gz", rng.integers(0, 99, shape).astype(dtype))
        save_nifti(root / f"labelsTr/v{number}.nii", rng.integers(0, 3, shape).astype(np.uint8))
    save_nifti(root / "imagesTr/v7.nii", rng.integers(0, 9, (9, 12, 7)).astype(np.int16), 0.5, -3.0)
    return {}


def some_images(root: Path) -> dict:
    for number in range(6):
        folder = root / f"class{number % 2}"
        folder.mkdir(exist_ok=True, parents=True)
        noise = np.random.default_rng(number).integers(0, 255, (20, 24 + number % 3, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    return {}


def some_named_images(root: Path) -> dict:
    some_images(root)
    for path in sorted(root.glob("*/*.png")):
        path.rename(root / f"{path.parent.name}.{path.name}")
        if not list(path.parent.iterdir()):
            path.parent.rmdir()
    return {}


def some_fields(root: Path) -> dict:
    root.mkdir()
    for name, steps in (("a", 3), ("b", 2)):
        fields = {v: np.random.default_rng(steps).random((steps, 13, 11)) for v in "uvwxyz"}
        fields["u"][0, 3] = np.nan
        fields["v"][0] *= -0.0
        np.savez(root / f"{name}.npz", **fields)
    return {"variables": ("w", "u", "z", "v", "x"), "fill_value": 0.5}


def some_arrays(root: Path) -> dict:
    for folder, channels, dtype in (("images", (2,), ">f4"), ("labels", (), bool)):
        (root / folder).mkdir(parents=True)
        for number in range(3):
            values = np.random.default_rng(number).random((16, 9, 11, *channels)) * 2
            np.save(root / folder / f"{number}.npy", values.astype(dtype))
    return {"variables": ("a", "b")}


def some_tiffs(root: Path) -> dict:
    tifffile = pytest.importorskip("tifffile", reason="needs the extra tiff")
    for folder, dtype in (("images", np.uint16), ("labels", np.uint8)):
        (root / folder).mkdir(parents=True)
        for number, compression in enumerate((None, "zlib", "zstd")):
            stack = np.random.default_rng(number).integers(0, 99, (16, 9, 11)).astype(dtype)
            tifffile.imwrite(root / folder / f"{number}.tif", stack, compression=compression)
    return {}


def some_series(root: Path) -> dict:
    pytest.importorskip("pydicom", reason="needs the extra dicom")
    from dicom_files import save_series

    for number in range(3):
        volume = np.random.default_rng(number).integers(-99, 99, (16, 9, 11)).astype(np.int16)
        save_series(root / f"p{number}", volume, 0.3, -5.0)
    return {}


def some_cases(root: Path, images: str, labels: str, channels: tuple[int, ...] = ()) -> None:
    for number in range(3):
        noise = np.random.default_rng(number)
        image = noise.integers(0, 99, (16, 9, 11, *channels)).astype(np.int16)
        save_nifti(root / images.format(number), image)
        if labels:
            label = noise.integers(0, 3, (16, 9, 11)).astype(np.uint8)
            save_nifti(root / labels.format(number), label)


def some_nnunet(root: Path) -> dict:
    for channel in range(2):
        some_cases(root, f"imagesTr/c{{}}_000{channel}.nii.gz", "labelsTr/c{}.nii.gz")
    about = {"channel_names": {"0": "a", "1": "b"}, "labels": {"background": 0}, "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps(about))
    folds = [{"train": ["c0", "c2"], "val": ["c1"]}]
    (root / "splits_final.json").write_text(json.dumps(folds))
    return {"variables": ("b", "a"), "fold": 0}


def some_files(root: Path) -> dict:
    some_cases(root, "{}.nii.gz", "")
    return {}


def some_decathlon(root: Path) -> dict:
    some_cases(root, "imagesTr/c{}.nii.gz", "labelsTr/c{}.nii.gz", (3,))
    cases = [{kind: f"./{kind}sTr/c{number}.nii.gz" for kind in ("image", "label")} for number in range(3)]
    about = {"modality": {"0": "a", "1": "b", "2": "c"}, "labels": {}, "training": cases}
    (root / "dataset.json").write_text(json.dumps(about))
    return {"variables": ("c", "a")}


def some_kits(root: Path) -> dict:
    some_cases(root, "case_0000{}/imaging.nii.gz", "case_0000{}/segmentation.nii.gz")
    return {}


def some_bids(root: Path) -> dict:
    pytest.importorskip("bids", reason="needs the extra bids")
    some_cases(root, "sub-{0}/anat/sub-{0}_T1w.nii.gz", "derivatives/m/sub-{0}/anat/sub-{0}_mask.nii.gz")
    about = {"Name": "m", "BIDSVersion": "1.8.0"}
    (root / "dataset_description.json").write_text(json.dumps(about))
    about |= {"DatasetType": "derivative", "GeneratedBy": [{"Name": "m"}]}
    (root / "derivatives/m/dataset_description.json").write_text(json.dumps(about))
    return {}


def some_table(root: Path) -> dict:
    some_cases(root, "{}.nii.gz", "label{}.nii.gz")
    some_cases(root, "other{}.nii.gz", "")
    rows = "".join(f"{n}.nii.gz;other{n}.nii.gz,label{n}.nii.gz,p{n},test\n" for n in range(3))
    (root / "cases.csv").write_text(f"image,label,group,split\n{rows}")
    return {"root": "cases.csv", "variables": ("a", "b")}


def some_masks(root: Path) -> dict:
    for folder, shape in (("images", (12, 16, 3)), ("masks", (12, 16))):
        (root / folder).mkdir(parents=True)
        for number in range(3):
            noise = np.random.default_rng(number).integers(0, 4, shape, np.uint8)
            Image.fromarray(noise).save(root / folder / f"{number}.png")
    return {"variables": ("red", "green", "blue")}


DATA = {
    "files": some_files,
    "nnunet_raw": some_nnunet,
    "msd": some_decathlon,
    "kits": some_kits,
    "bids": some_bids,
    "csv": some_table,
    "pairs": some_masks,
    "dicom": some_series,
    "tiff": some_tiffs,
    "basic_ct": some_volumes,
    "imagenet": some_images,
    "catsdogs": some_named_images,
    "fields": some_fields,
    "npy_pairs": some_arrays,
}


def test_every_source_is_prepared_here():
    assert {*SOURCES} - {"prepared"} == {*DATA}


def origin_of(kind: str, root: Path) -> Origin:
    options = DATA[kind](root)
    root = root / options.pop("root", "")
    return Origin.of(kind, str(root), options.pop("variables", None), options)


def check_equal(one, other):
    """Items, shapes, everything said about them, and what is read, to the bit."""
    for name in ("variables", "spatial_dims", "missing", "class_names", "normalization"):
        assert getattr(one, name) == getattr(other, name)
    rng = np.random.default_rng(0)
    for a, b in zip(one.items(), other.items(), strict=True):
        assert (a.key, a.stratum, a.class_index, a.group, a.split) == (
            *(b.key, b.stratum, b.class_index, b.group, b.split),
        )
        assert (a.label is None) == (b.label is None)
        shape = one.shape(a)
        assert shape == other.shape(b)
        starts = [rng.integers(0, size) for size in shape[1:]]
        region = tuple(slice(s, rng.integers(s, n) + 1) for s, n in zip(starts, shape[1:], strict=True))
        channels = rng.permutation(len(one.variables))[: rng.integers(1, len(one.variables) + 1)].tolist()
        for where in ((), (region,), (region, channels), (None, channels)):
            check_same(one.read(a, *where), other.read(b, *where))


def check_same(x, y):
    assert x.variables == y.variables
    for left, right in ((x.image, y.image), (x.label, y.label)):
        assert (left is None) == (right is None)
        if left is not None:
            assert (left.dtype, left.shape) == (right.dtype, right.shape)
            assert np.ascontiguousarray(left).tobytes() == np.ascontiguousarray(right).tobytes()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:bids", "ignore::UserWarning:bids")
@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("small", [False, True])
def test_any_source_is_equal_to_itself_prepared(tmp_path, kind, small):
    origin = origin_of(kind, tmp_path / "source")
    dims = origin.make().spatial_dims
    how = {"chunk": (4, 5, 3)[:dims], "shard_bytes": 2000, "workers": 2} if small else {}
    found = prepare(origin, tmp_path / "out", StorageOptions(**how))
    check_equal(origin.make(), Prepared(tmp_path / "out"))
    assert (
        verify(tmp_path / "out") == manifest.parse((tmp_path / "out/manifest.json").read_bytes(), "") == found
    )
    assert not (tmp_path / "out" / JOURNAL).exists()
    assert any(len(pack.shards("image")) > 1 for pack in found.packs) == small
    assert small or len(found.packs) < len(found.keys)


def test_zarr_reads_the_same(tmp_path):
    import zarr

    origin = origin_of("basic_ct", tmp_path / "source")
    found = prepare(origin, tmp_path / "out", StorageOptions(chunk=(4, 4, 4), shard_bytes=3000))
    source = origin.make()
    for pack in found.packs:
        image = zarr.open_array(tmp_path / "out/packs" / pack.name / "image", mode="r")
        for row, number in enumerate(pack.items):
            assert np.array_equal(image[row], source.read(source.items()[number]).image)
        assert image.shards[2] == pack.depth and image.chunks == (1, *pack.chunk)


def test_prepared_data_can_be_prepared_again(tmp_path):
    origin = origin_of("fields", tmp_path / "source")
    prepare(origin, tmp_path / "one", StorageOptions())
    prepare(
        Origin.of("prepared", str(tmp_path / "one"), None, {}), tmp_path / "two", StorageOptions(chunk=(5, 5))
    )
    check_equal(origin.make(), Prepared(tmp_path / "two"))


@settings(max_examples=40)
@given(st.data())
def test_any_box_of_any_grid(tmp_path_factory, data):
    space = data.draw(st.lists(st.integers(1, 12), min_size=2, max_size=3))
    chunk = data.draw(st.tuples(*[st.integers(1, 7)] * len(space)))
    channels, number = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 3))
    root = tmp_path_factory.mktemp("box")
    (root / "images").mkdir()
    stored = np.random.default_rng(0).random((number, *space, channels))
    for i in range(number):
        np.save(root / "images" / f"{i}.npy", stored[i])
    names = [f"v{c}" for c in range(channels)]
    origin = Origin.of("npy_pairs", str(root), names, {"tile_dims": len(space)})
    if origin.make().spatial_dims != len(space):
        return
    how = StorageOptions(chunk=chunk, shard_bytes=data.draw(st.integers(100, 5000)))
    prepare(origin, root / "out", how)
    source = Prepared(root / "out")
    for item in source.items():
        starts = [data.draw(st.integers(0, size - 1)) for size in space]
        region = tuple(slice(s, data.draw(st.integers(s + 1, n))) for s, n in zip(starts, space, strict=True))
        expected = np.moveaxis(stored[int(item.key)], -1, 0)[(slice(None), *region)]
        assert np.array_equal(source.read(item, region).image, expected)


def test_a_tile_touches_only_its_chunks(tmp_path):
    (tmp_path / "source/images").mkdir(parents=True)
    np.save(tmp_path / "source/images/a.npy", np.random.default_rng(0).random((64, 64, 64)))
    origin = Origin.of("npy_pairs", str(tmp_path / "source"), None, {"tile_dims": 3})
    found = prepare(origin, tmp_path / "out", StorageOptions(chunk=(16, 16, 16)))
    touched = []

    def counted(path, size, parts):
        touched.extend(stop - start for start, stop in parts)
        return Files().parts(path, size, parts)

    (pack,) = found.packs
    array, reader = (
        ShardedArray.of(pack, "image", str(tmp_path / "out/packs" / pack.name)),
        ShardReader(counted),
    )
    reader.read(array, (0, 0, 16, 32, 0), (1, 1, 32, 48, 32))
    assert len(touched) == 1 + 2 and touched[0] == 16 * 64 + 4
    assert sum(touched) < 2.1 * 16**3 * 8
    reader.read(array, (0, 0, 0, 0, 0), (1, 1, 1, 1, 1))
    assert len(touched) == 1 + 2 + 1


@pytest.mark.parametrize(
    ("tile", "dims", "expected"),
    [
        (None, 3, (64, 64, 64)),
        ((64, 64, 64), 3, (64, 64, 64)),
        ((96, 96, 96), 3, (48, 48, 48)),
        ((128, 128, 64), 3, (64, 64, 32)),
        ((256, 256), 3, (256, 256, 1)),
        ((1024, 1024), 2, (512, 512)),
        ((99, 99, 99), 3, (64, 64, 64)),
    ],
)
def test_chunks_divide_tiles(tile, dims, expected):
    assert chunk_sides(dims, tile) == expected


@given(
    st.integers(1, 5),
    st.tuples(*[st.integers(1, 300)] * 3),
    st.tuples(*[st.integers(1, 64)] * 3),
    st.integers(1, 2**24),
)
def test_shards_are_full_and_end_between_chunks(channels, space, chunk, limit):
    rows, depth = rows_and_depth(channels, space, (1, *chunk), limit)
    plane = 4 * channels * space[1] * space[2]
    assert depth % chunk[0] == 0
    assert plane * min(depth, space[0]) * rows <= limit or (rows == 1 and depth == chunk[0])
    assert rows == 1 or (depth >= space[0] and plane * space[0] * (rows + 1) > limit)


def converting(root: str, out: str) -> None:
    def hold(done: int, total: int) -> None:
        if done == 2:
            time.sleep(600)  # to be killed; the thread that writes is at the next

    prepare(
        Origin.of("basic_ct", root, None, {}), Path(out), StorageOptions(chunk=(4, 4, 4), shard_bytes=1), hold
    )


@pytest.mark.deep
def test_killed_it_goes_on_and_repeats_nothing(tmp_path, forkserver):
    origin = origin_of("basic_ct", tmp_path / "source")
    out = tmp_path / "out"
    process = forkserver.Process(target=converting, args=(str(tmp_path / "source"), str(out)))
    process.start()
    while not (out / JOURNAL).exists() or (out / JOURNAL).read_text().count("\n") < 3:
        assert process.is_alive()
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with pytest.raises(DataError, match=r"out: not finished; run the ucf-vit prepare command again"):
        Prepared(out)
    done = [json.loads(line)["job"] for line in (out / JOURNAL).read_text().splitlines()[1:]]
    times = {name: (out / "packs" / name / "image/zarr.json").stat().st_mtime_ns for name in done}
    seen = []
    how = StorageOptions(chunk=(4, 4, 4), shard_bytes=1)
    prepare(origin, out, how, lambda finished, total: seen.append((finished, total)))
    assert seen[0] == (len(done), 6) and seen[-1] == (6, 6) and len(done) < 6
    check_equal(origin.make(), Prepared(out))
    assert {n: (out / "packs" / n / "image/zarr.json").stat().st_mtime_ns for n in done} == times
    again = []
    prepare(origin, out, how, lambda finished, total: again.append((finished, total)))
    assert again == [(6, 6)]
    verify(out)


def unfinished(tmp_path: Path) -> tuple[Origin, Path, StorageOptions]:
    """All jobs are done, but there is no manifest."""
    origin, out = origin_of("basic_ct", tmp_path / "source"), tmp_path / "out"
    how = StorageOptions(chunk=(4, 4, 4), shard_bytes=1)
    found = prepare(origin, out, how)
    packs = json.loads((out / "manifest.json").read_text())["packs"]
    lines = [{"plan": found.plan}, *({"job": p["name"], "packs": [p], "failed": []} for p in packs)]
    (out / JOURNAL).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (out / "manifest.json").unlink()
    return origin, out, how


def test_incomplete_jobs_are_done_again(tmp_path):
    origin, out, how = unfinished(tmp_path)
    text = (out / JOURNAL).read_text()
    (out / JOURNAL).write_text(text[:-9])
    shard = next((out / "packs/000001/image").glob("c.*"))
    shard.write_bytes(shard.read_bytes()[:-5])
    (out / "packs/000002/image/zarr.json").unlink()
    (out / "packs/000099").mkdir()
    seen = []
    prepare(origin, out, how, lambda done, total: seen.append(done))
    assert seen == [3, 4, 5, 6]
    assert not (out / "packs/000099").exists()
    check_equal(origin.make(), Prepared(out))


def test_another_source_is_never_mixed_in(tmp_path):
    origin, out, how = unfinished(tmp_path)
    with pytest.raises(UserError, match="has a part of other data, or of this data with other options"):
        prepare(origin, out, StorageOptions())
    prepare(origin, out, how)
    save_nifti(tmp_path / "source/imagesTr/v1.nii.gz", np.ones((9, 12, 7), np.int16))
    with pytest.raises(UserError, match=r"has other data, or this data with .* files that have changed"):
        prepare(origin, out, how)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("x")
    with pytest.raises(UserError, match=r"full is not empty \(it has notes.txt\)"):
        prepare(origin, tmp_path / "full", how)


def test_one_writes_at_a_time(tmp_path):
    origin = origin_of("imagenet", tmp_path / "source")
    (tmp_path / "out").mkdir()
    with (
        locked_journal(tmp_path / "out"),
        pytest.raises(UserError, match="out: another ucf-vit prepare is writing there"),
    ):
        prepare(origin, tmp_path / "out", StorageOptions())
    prepare(origin, tmp_path / "out", StorageOptions())


def in_little_room(root: str, out: str, message: str) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
    try:
        prepare(Origin.of("npy_pairs", root, ("a", "b"), {}), Path(out), StorageOptions(shard_bytes=1))
    except UserError as error:
        Path(message).write_text(str(error))


def test_a_conversion_resumes_after_a_full_disk(tmp_path, forkserver):
    origin, out = origin_of("npy_pairs", tmp_path / "source"), tmp_path / "out"
    message = tmp_path / "message"
    process = forkserver.Process(
        target=in_little_room, args=(str(tmp_path / "source"), str(out), str(message))
    )
    process.start()
    process.join()
    assert "out: the disk is full; finished parts are kept" in message.read_text()
    prepare(origin, out, StorageOptions(shard_bytes=1))
    check_equal(origin.make(), Prepared(out))


def damaged_source(tmp_path: Path) -> Origin:
    """One volume without a header, one that ends too early."""
    origin = origin_of("basic_ct", tmp_path / "source")
    (tmp_path / "source/imagesTr/v1.nii.gz").write_bytes(b"nothing")
    late = tmp_path / "source/imagesTr/v3.nii.gz"
    late.write_bytes(late.read_bytes()[:-300])
    return origin


def test_unreadable_items_fail_by_name_or_are_left_out(tmp_path):
    origin = damaged_source(tmp_path)
    with pytest.raises(DataError, match=r"v1\.nii\.gz: no readable NIfTI header"):
        prepare(origin, tmp_path / "out", StorageOptions())
    found = prepare(origin, tmp_path / "out", StorageOptions(on_error="skip"))
    assert [Path(file).name for file, _ in found.skipped] == ["v1.nii.gz", "v3.nii.gz"]
    assert found.keys == ("v0", "v2", "v4", "v7")
    source = origin.make()
    kept = {item.key: item for item in source.items()}
    for item in Prepared(tmp_path / "out").items():
        check_same(source.read(kept[item.key]), Prepared(tmp_path / "out").read(item))
    with pytest.raises(DataError, match=r"more than 1 files can't be read, the last: .*v3\.nii\.gz"):
        prepare(origin, tmp_path / "few", StorageOptions(on_error="skip", max_errors=1))


def test_a_damaged_chunk_names_item_and_file(tmp_path):
    origin = origin_of("basic_ct", tmp_path / "source")
    out = tmp_path / "out"
    found = prepare(origin, out, StorageOptions(shard_bytes=1, chunk=(9, 12, 7)))
    pack = next(pack for pack in found.packs if found.keys[pack.items[0]] == "v2")
    shard = out / "packs" / pack.name / pack.shards("image")[0]
    good = shard.read_bytes()
    for what, content in {
        "item v2": bytes([*good[:40], good[40] ^ 1, *good[41:]]),
        "index of its chunks is damaged": bytes([*good[:-1], good[-1] ^ 1]),
        "it ends before byte": good[:-20],
    }.items():
        shard.write_bytes(content)
        source = Prepared(out)
        items = {item.key: item for item in source.items()}
        source.read(items["v0"])
        with pytest.raises(DataError, match=rf"{shard}.*{what}.*ucf-vit prepare --verify"):
            source.read(items["v2"])
        with pytest.raises(DataError, match=rf"1 file\(s\) differ from those.*\n.*{shard}.*\(items: v2\)"):
            verify(out)
    shard.unlink()
    with pytest.raises(DataError, match=rf"{shard}: damaged or gone"):
        Prepared(out).read(items["v2"])
    with pytest.raises(DataError, match=rf"{shard}: No such file or directory \(items: v2\)"):
        verify(out)


def test_manifests_of_others_are_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"no manifest\.json found; expected a directory written by ucf-vit prepare"
    ):
        Prepared(tmp_path)
    file = tmp_path / "manifest.json"
    for text, message in {
        "{}": r"manifest\.json: not the manifest",
        "[" * 10**5: r"manifest\.json: not the manifest .*RecursionError",
        '{"format": "ucf_vit.prepared", "version": 9}': "has version 9 of the format, expected 1",
        '{"format": "ucf_vit.prepared", "version": 1}': "the manifest is damaged",
    }.items():
        file.write_text(text)
        with pytest.raises(DataError, match=message):
            Prepared(tmp_path)
    file.unlink()
    with pytest.raises(DataError, match="no prepared data set found"):
        data_sets(tmp_path)


def test_variables_are_chosen_by_name(tmp_path):
    origin = origin_of("fields", tmp_path / "source")
    prepare(origin, tmp_path / "out", StorageOptions())
    chosen = Prepared(tmp_path / "out", ("x", "w"))
    whole = origin.make()
    item = chosen.items()[3]
    assert np.array_equal(chosen.read(item).image, whole.read(whole.items()[3], None, (4, 0)).image)
    assert chosen.read(item, None, (1,)).variables == ("w",)
    with pytest.raises(DataError, match=r"no variable 'q'.* prepared with w, u, z, v, x"):
        Prepared(tmp_path / "out", ("q",))
    with pytest.raises(DataError, match=r"fill_value 0\.25 was requested, the data was prepared with 0\.5"):
        Prepared(tmp_path / "out", fill_value=0.25)
    assert Prepared(tmp_path / "out", fill_value=0.5).missing


def test_only_chunks_that_are_touched_are_fetched_from_a_url(tmp_path, s3, bucket, scratch):
    origin = origin_of("basic_ct", tmp_path / "source")
    prepare(origin, tmp_path / "out", StorageOptions(chunk=(4, 4, 4), shard_bytes=3000))
    for path in sorted((tmp_path / "out").rglob("*")):
        if path.is_file():
            s3.upload_file(str(path), bucket, f"a b/{path.relative_to(tmp_path / 'out')}")
    source = Prepared(f"s3://{bucket}/a b", files=Files(Cache(scratch)))
    check_equal(origin.make(), source)
    (copied,) = (path for path in scratch.directory.iterdir() if path.suffix == ".json")
    assert copied.read_bytes() == (tmp_path / "out/manifest.json").read_bytes()
    shard = source.items()[2].image
    s3.put_object(Bucket=bucket, Key=shard.partition(f"{bucket}/")[2], Body=b"short")
    again = Prepared(f"s3://{bucket}/a b", files=Files(Cache(scratch), Patience(attempts=1)))
    with pytest.raises(DataError, match=rf"{shard}.*item v2"):
        again.read(again.items()[2])
    s3.put_object(Bucket=bucket, Key="half/unfinished.jsonl", Body=b"")
    with pytest.raises(DataError, match="half: not finished"):
        Prepared(f"s3://{bucket}/half", files=Files(Cache(scratch)))


def test_arrays_behind_a_url_are_converted(tmp_path, s3, bucket, scratch):
    origin = origin_of("npy_pairs", tmp_path / "source")
    for path in sorted((tmp_path / "source").rglob("*.npy")):
        s3.upload_file(str(path), bucket, str(path.relative_to(tmp_path / "source")))
    there = Origin.of("npy_pairs", f"s3://{bucket}", ("a", "b"), {"files": Files(Cache(scratch))})
    check_equal(origin.make(), there.make())
    prepare(there, tmp_path / "out", StorageOptions(workers=2))
    check_equal(origin.make(), Prepared(tmp_path / "out"))


@pytest.mark.parametrize("line", ['{"job": broken\n', '{"job": "000000"}\n'])
def test_a_damaged_journal_is_an_error(tmp_path, line):
    origin, out, how = unfinished(tmp_path)
    (out / JOURNAL).write_text((out / JOURNAL).read_text() + line)
    with pytest.raises(UserError, match=rf"{JOURNAL}: damaged .*prepare again"):
        prepare(origin, out, how)


def test_the_data_itself_is_no_destination(tmp_path):
    origin, _, how = unfinished(tmp_path)
    root = Path(origin.given["root"])
    before = sorted(root.rglob("*"))
    with pytest.raises(UserError, match="is the source of the data"):
        prepare(origin, root, how)
    assert sorted(root.rglob("*")) == before
