"""`ucf-vit visualize volume`: slices in proportion, with labels, as PNG and GIF."""

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import runs
from ucf_vit.cli.main import app
from ucf_vit.core.errors import DataError, UserError
from ucf_vit.drawing.style import class_colour
from ucf_vit.drawing.volumes import VolumeView, draw_gif, draw_volume
from ucf_vit.visualization.volume import guess, view_of_dataset, view_of_file


def visualize(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["visualize", "volume", *map(str, arguments)])
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def view(**changes: object) -> VolumeView:
    label = np.zeros((20, 16, 8), int)
    label[4:9, 3:9, 2:5] = 2
    image = np.random.default_rng(0).normal(size=(2, 20, 16, 8)).astype(np.float32)
    return replace(VolumeView("x", image, ("a", "b"), label, {2: "lesion"}), **changes)


def pixels(data: bytes, tmp_path: Path, name: str) -> np.ndarray:
    (tmp_path / name).write_bytes(data)
    return np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(int)


def frames(path: Path) -> int:
    with Image.open(path) as film:
        return film.n_frames


def count(picture: np.ndarray, number: int) -> int:
    """Pixels of about the colour of the outline of a class."""
    colour = 255 * np.array(class_colour(number))
    return int((np.abs(picture - colour).max(-1) < 40).sum())


def test_the_label_is_drawn_in_the_colour_of_its_class(tmp_path: Path) -> None:
    with_label = pixels(draw_volume(view()), tmp_path, "a.png")
    without = pixels(draw_volume(view(label=None)), tmp_path, "b.png")
    assert count(with_label, 2) > 500 > count(without, 2)
    assert draw_volume(view()) == draw_volume(view())
    ignored = view(label=np.full((20, 16, 8), -1))
    assert count(pixels(draw_volume(ignored), tmp_path, "c.png"), 2) < 500


def test_sides_have_the_proportions_of_the_spacing(tmp_path: Path) -> None:
    """The coronal slice of 20 x 8 voxels becomes a square where slices are 2.5 voxels apart."""
    plain = view(label=None, image=np.zeros((1, 20, 16, 8)), channels=("a",))
    for spacing, ratio in (((1.0, 1.0, 1.0), 8 / 20), ((1.0, 1.0, 2.5), 1.0)):
        picture = pixels(draw_volume(replace(plain, spacing=spacing)), tmp_path, "a.png")
        grey = (np.abs(picture - 127) < 30).all(-1) | (picture == 0).all(-1)
        columns = np.flatnonzero(np.count_nonzero(grey, axis=0) > 60)
        parts = np.split(columns, np.flatnonzero(np.diff(columns) > 5) + 1)
        assert len(parts) == 3
        height = np.count_nonzero(grey[:, parts[1]].sum(1) > len(parts[1]) // 2)
        assert abs(height / len(parts[1]) - ratio) < 0.06


def test_axes_are_turned_to_the_right_front_and_up() -> None:
    affine = np.array([[0, 0, 2.0, 0], [-1.0, 0, 0, 0], [0, 3.0, 0, 0], [0, 0, 0, 1]])
    image = np.arange(5 * 4 * 3.0).reshape(1, 5, 4, 3)
    turned = VolumeView("x", image, ("a",), image[0].astype(int)).turned(affine)
    assert turned.image.shape == (1, 3, 5, 4) and turned.spacing == (2, 1, 3)
    assert turned.planes == ("sagittal", "coronal", "axial")
    assert np.array_equal(turned.image[0], np.transpose(image[0], (2, 0, 1))[:, ::-1])
    assert np.array_equal(turned.label, turned.image[0])


def test_the_animation_goes_through_all_slices(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(draw_gif(view(spacing=(1.0, 1.0, 2.0))))
    with Image.open(tmp_path / "a.gif") as film:
        assert film.n_frames == 8 and film.size == (2 * 256, 205)
        film.seek(3)
        inside = count(np.asarray(film.convert("RGB")).astype(int), 2)
        film.seek(7)
        assert inside > 200 > count(np.asarray(film.convert("RGB")).astype(int), 2)
    long = view(image=np.random.default_rng(0).random((1, 4, 4, 300)), label=None, channels=("a",))
    (tmp_path / "b.gif").write_bytes(draw_gif(long))
    assert frames(tmp_path / "b.gif") == 100


def test_files_and_data_sets(concrete: Path, tmp_path: Path) -> None:
    text = visualize(concrete, "--sample", 2, "--output", tmp_path / "a.png", "--gif", tmp_path / "a.gif")
    assert f"wrote {tmp_path / 'a.png'}: concrete_0002, 32 x 32 x 32" in text
    assert frames(tmp_path / "a.gif") > 20
    with pytest.raises(UserError, match=r"a\.png exists already"):
        visualize(concrete, "--output", tmp_path / "a.png")
    image = concrete / "imagesTr/concrete_0002.nii.gz"
    label = concrete / "labelsTr/concrete_0002.nii.gz"
    one, other = view_of_file(image, label), view_of_dataset(concrete, 2, None, ("ct",), {})
    assert np.array_equal(one.image, other.image) and np.array_equal(one.label, other.label)
    config = runs.write_config(tmp_path / "c.yaml", "segmentation", concrete)
    visualize(config, "--sample", 1, "--output", tmp_path / "c.png")
    with pytest.raises(UserError, match=r"--sample 4: .* has items 0 to 3"):
        view_of_dataset(concrete, 4, None, ("ct",), {})
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3)), np.eye(4)), tmp_path / "small.nii")
    with pytest.raises(DataError, match=r"small\.nii: shape \(3, 3, 3\) is not that of the image"):
        view_of_file(image, tmp_path / "small.nii")
    with pytest.raises(UserError, match=r"call it \.gif"):
        visualize(concrete, "--output", tmp_path / "d.png", "--gif", tmp_path / "d.png")
    with pytest.raises(UserError, match="only a run has keys"):
        visualize(concrete, "data.batch_size=1", "--output", tmp_path / "d.png")


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["dataset.json", "imagesTr/a_0000.nii.gz"], "nnunet_raw"),
        (["dataset.json", "imagesTr/a.nii.gz"], "msd"),
        (["imagesTr/a.nii.gz"], "basic_ct"),
        (["case_0/imaging.nii.gz"], "kits"),
        (["images/a.npy"], "npy_pairs"),
        (["images/a.png"], "pairs"),
        (["manifest.json", "packs/x"], "prepared"),
        (["manifest.json", "images/x"], "npy_pairs"),
        (["dataset_description.json"], "bids"),
    ],
)
def test_what_a_directory_looks_like(tmp_path: Path, names: list[str], kind: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert guess(tmp_path) == kind
    assert guess(Path("x.csv")) == "csv"


def test_a_directory_that_looks_like_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="say what it is with --dataset"):
        guess(tmp_path)
