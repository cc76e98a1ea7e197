"""`ucf-vit prepare`, as typed, and training on what it wrote."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import runs
from ucf_vit.cli.main import app
from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.sources import Prepared

pytest.importorskip("zarr", reason="needs the extra zarr")


def prepare(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["prepare", *map(str, arguments)])
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("task", ["masked", "classification"])
def test_training_on_prepared_data_is_the_same(tmp_path: Path, request, task: str) -> None:
    root = request.getfixturevalue("coloured" if task == "classification" else "concrete")
    sections = {
        "trainer": {"max_steps": 3, "max_epochs": 1},
        "data": {"num_workers": 1, "dict_end_idx": {"tiny": 1.0}},
    }
    config = runs.write_config(tmp_path / "a/c.yaml", task, root, **sections)
    text = prepare(config, tmp_path / "fast", "data.batch_size=2")
    pasted = yaml.safe_load(text[text.index("data:") :])["data"]
    assert pasted == {"dataset": "prepared", "dict_root_dirs": {"tiny": str(tmp_path / "fast/tiny")}}
    sections["data"] |= pasted
    other = runs.write_config(tmp_path / "b/c.yaml", task, root, **sections)
    for one in (config, other):
        runs.train(one)
    assert runs.losses(tmp_path / "a/out") == runs.losses(tmp_path / "b/out")
    assert "all intact" in prepare(tmp_path / "fast", "--verify")
    chunk = Prepared(tmp_path / "fast/tiny").manifest.packs[0].chunk
    assert chunk == ((3, 16, 16) if task == "classification" else (1, 16, 16, 16))


def test_a_directory_needs_the_option_dataset(concrete: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"name its source with --dataset: basic_ct, .*npy_pairs"):
        prepare(concrete, tmp_path / "out")
    options = ("--dataset", "basic_ct", "--variables", "ct", "--chunk", "8x16x32", "--shard-size", "1")
    text = prepare(concrete, tmp_path / "out", *options)
    assert f"{tmp_path / 'out'}: 4 items" in text and f"{{out: {tmp_path / 'out'}}}" in text
    found = Prepared(tmp_path / "out")
    assert found.variables == ("ct",)
    assert {pack.chunk for pack in found.manifest.packs} == {(1, 8, 16, 32)}
    assert len(found.manifest.packs) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("SRC",), "DST is missing"),
        (
            ("SRC", "OUT", "--dataset", "basic_ct", "--chunk", "64"),
            "--chunk 64: expected 3 sides, such as 64x64x64",
        ),
        (("SRC", "OUT", "--dataset", "basic_ct", "--chunk", "axb"), "--chunk axb: expected sides"),
        (("SRC", "OUT", "model.depth=1", "--dataset", "basic_ct"), "only a config has keys to set"),
        (("SRC", "OUT", "--dataset", "basic_cd"), "did you mean 'basic_ct'"),
        (("c.yaml", "OUT", "--dataset", "basic_ct"), "a config describes the data"),
    ],
)
def test_wrong_arguments_are_errors(concrete: Path, tmp_path: Path, arguments, message: str) -> None:
    given = [{"SRC": concrete, "OUT": tmp_path / "out"}.get(one, one) for one in arguments]
    with pytest.raises(UserError, match=message):
        prepare(*given)


def test_skipping_from_the_command_line_and_from_a_config(tmp_path: Path) -> None:
    runs_root = tmp_path / "data"
    from ucf_vit.synthetic import write_dataset

    write_dataset(runs_root, number=3, size=(32, 32, 32), seed=0)
    (runs_root / "imagesTr/concrete_0001.nii.gz").write_bytes(b"no volume")
    with pytest.raises(DataError, match="concrete_0001"):
        prepare(runs_root, tmp_path / "a", "--dataset", "basic_ct")
    text = prepare(runs_root, tmp_path / "a", "--dataset", "basic_ct", "--on-error", "skip")
    assert "2 items, 1 unreadable skipped" in text
    config = runs.write_config(tmp_path / "c.yaml", "masked", runs_root)
    assert "2 items, 1 unreadable skipped" in prepare(config, tmp_path / "b", "data.on_error=skip")


def test_all_data_sets_of_a_config_are_prepared(concrete: Path, tmp_path: Path) -> None:
    (tmp_path / "test").symlink_to(concrete)
    roots = {"validation": {"tiny": str(concrete)}, "test": {"tiny": str(tmp_path / "test")}}
    data = {**roots, "dict_end_idx": {"tiny": 0}}
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, data=data)
    text = prepare(config, tmp_path / "fast")
    pasted = yaml.safe_load(text[text.index("data:") :])["data"]
    places = {"dict_root_dirs": "tiny", "validation": "tiny_validation", "test": "tiny_test"}
    expected = {key: {"tiny": str(tmp_path / "fast" / place)} for key, place in places.items()}
    assert pasted == {"dataset": "prepared", **expected}
    assert all(len(Prepared(roots["tiny"]).items()) == 4 for roots in expected.values())
    assert prepare(tmp_path / "fast", "--verify").count("all intact") == 3
