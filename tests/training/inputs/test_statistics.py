"""Statistics over the training items alone: found once, taken up after a kill, used by every run."""

import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

import runs
from ucf_vit.cli.main import app
from ucf_vit.config import load
from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.prepare.conversion import Origin, StorageOptions
from ucf_vit.data.prepare.convert import prepare
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.training.inputs import statistics_files
from ucf_vit.training.inputs.datasets import build_datasets
from ucf_vit.training.inputs.statistics_files import find_statistics

NAMES = ["heat", "wind", "salt"]


@pytest.fixture
def ocean(tmp_path: Path) -> Path:
    """Two files of 6 steps; a quarter of the values is missing, and the last 3 steps are far off."""
    rng = np.random.default_rng(0)
    (tmp_path / "ocean").mkdir()
    for file in "ab":
        arrays = {name: rng.normal(5 * i, 1 + i, (6, 16, 16)) for i, name in enumerate(NAMES)}
        for array in arrays.values():
            array[rng.random(array.shape) < 0.25] = np.nan
            array[3:] += 1000 if file == "b" else 0
        np.savez(tmp_path / "ocean" / f"{file}.npz", **arrays)
    return tmp_path / "ocean"


def config_of(ocean: Path, **data: object) -> Path:
    sections = {
        "model": {"default_vars": NAMES, "tile_size": [16, 16]},
        "data": {"dataset": "fields", "augmentation": False, **data},
    }
    return runs.write_config(ocean.parent / "c.yaml", "masked", ocean, **sections)


def training(ocean: Path, name: str) -> np.ndarray:
    return np.concatenate([np.load(ocean / f"{file}.npz")[name] for file in "ab"])[:9]


def find(config: Path, *overrides: str, **options):
    run = load(config, overrides)
    (dataset,) = build_datasets(run, Scratch(), statistics=False)
    return find_statistics(dataset, run, **options)


def test_they_are_those_of_the_training_values_that_are_there(ocean: Path) -> None:
    found = find(config_of(ocean))
    assert found.done == 9
    for name in NAMES:
        values, one = training(ocean, name), found.variables[name]
        assert one.number == np.isfinite(values).sum()
        assert np.allclose((one.mean, one.std), (np.nanmean(values), np.nanstd(values)), rtol=1e-12)


def test_the_command_then_training_and_evaluation(ocean: Path) -> None:
    config = config_of(ocean)
    missing = rf"tiny: no statistics of its training items in .*tiny\.json; .*ucf-vit stats {config}"
    with pytest.raises(DataError, match=missing):
        runs.train(config)
    done = CliRunner().invoke(app, ["stats", str(config)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "heat" in done.output and "9 items" in done.output
    runs.train(config, "data.num_workers=1")
    assert len(runs.losses(ocean.parent / "out")) == 6
    table = CliRunner().invoke(app, ["evaluate", str(ocean.parent / "out/config.yaml")])
    assert table.exit_code == 0, table.output


def test_batches_have_mean_0_deviation_1_and_0_where_nothing_is(ocean: Path) -> None:
    config = config_of(ocean)
    find(config)
    (dataset,) = build_datasets(load(config), Scratch())
    from ucf_vit.data.loader.whole_items import volumes

    images = np.concatenate([batch.image.numpy() for batch in volumes([dataset])])
    for channel, name in enumerate(NAMES):
        here = np.isfinite(training(ocean, name))
        assert (images[:, channel][~here] == 0).all()
        values = images[:, channel][here].astype(float)
        assert np.allclose((values.mean(), values.std()), (0, 1), atol=1e-5)
    subset = load(config, ["model.default_vars=[salt,heat]"])
    (part,) = build_datasets(subset, Scratch())
    again = np.concatenate([batch.image.numpy() for batch in volumes([part])])
    assert np.array_equal(again, images[:, [2, 0]])


@pytest.mark.parametrize("at", [1, 4, 8])
def test_a_killed_call_is_taken_up_and_gives_the_same_bits(
    ocean: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    config = config_of(ocean)
    whole = find(config, f"data.dict_stats.tiny={ocean.parent / 'whole.json'}")
    monkeypatch.setattr(statistics_files, "SAVE_SECONDS", 0.0)
    seen: list[int] = []

    def kill(done: int, total: int) -> None:
        seen.append(done)
        if done == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find(config, on_item=kill)
    assert not (ocean.parent / "out/stats/tiny.json").exists()
    assert find(config, on_item=lambda done, total: seen.append(done)) == whole
    assert seen == [*range(at + 1), *range(at, 10)]
    assert [path.name for path in (ocean.parent / "out/stats").iterdir()] == ["tiny.json"]


def test_only_what_is_missing_is_measured(ocean: Path) -> None:
    config = config_of(ocean)
    few = find(config, "model.default_vars=[wind]")
    assert find(config).variables["wind"] == few.variables["wind"]
    file = ocean.parent / "out/stats/tiny.json"
    before, calls = file.read_bytes(), []
    find(config, on_item=lambda *of: calls.append(of))
    assert not calls
    assert file.read_bytes() == before


def test_statistics_of_other_items_are_refused_unless_named(
    ocean: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(ocean)
    find(config)
    fewer = "data.dict_end_idx.tiny=0.5"
    with pytest.raises(DataError, match=r"of other items than those that train.*ucf-vit stats .*overwrite"):
        build_datasets(load(config, [fewer]), Scratch())
    with pytest.raises(UserError, match="statistics of 9 other items; replace them with --overwrite"):
        find(config, fewer)
    named = f"data.dict_stats.tiny={ocean.parent / 'out/stats/tiny.json'}"
    with caplog.at_level("WARNING", "ucf_vit"):
        build_datasets(load(config, [fewer, named]), Scratch())
    assert "are of other items than those that train (9 items, 6 train)" in caplog.text
    assert find(config, fewer, overwrite=True).done == 6


def test_statistics_measured_with_another_fill_value_are_refused(ocean: Path) -> None:
    """By training, by the command, and where they are taken up; named in data.dict_stats, too."""
    config, fill = config_of(ocean), "dataset_options.fields_fill_value.tiny=5.0"
    arrays = dict(np.load(ocean / "a.npz"))
    arrays["wind"][:, :8] = 5
    np.savez(ocean / "a.npz", **arrays)
    plain = find(config)
    file = ocean.parent / "out/stats/tiny.json"
    told = r"measured with fill_value not set, not 5\.0"
    for named in ([], [f"data.dict_stats.tiny={file}"]):
        with pytest.raises(DataError, match=rf"tiny: the statistics in .* were {told}; .* and --overwrite"):
            build_datasets(load(config, [fill, *named]), Scratch())
        with pytest.raises(UserError, match=rf"tiny\.json has statistics {told}; replace them with --over"):
            find(config, fill, *named)
    filled = find(config, fill, overwrite=True)
    assert filled.variables["wind"].number < plain.variables["wind"].number
    assert len(build_datasets(load(config, [fill]), Scratch())) == 1
    with pytest.raises(DataError, match=r"were measured with fill_value 5\.0, not not set"):
        build_datasets(load(config), Scratch())
    with pytest.raises(DataError, match=r"were measured with fill_value 5\.0, not 6\.0"):
        build_datasets(load(config, ["dataset_options.fields_fill_value.tiny=6.0"]), Scratch())


def test_a_killed_call_is_not_taken_up_with_another_fill_value(
    ocean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, fill = config_of(ocean), "dataset_options.fields_fill_value.tiny=5.0"
    monkeypatch.setattr(statistics_files, "SAVE_SECONDS", 0.0)

    def kill(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find(config, on_item=kill)
    seen: list[int] = []
    find(config, fill, on_item=lambda done, total: seen.append(done))
    assert seen == [*range(10)]


def test_prepared_data_has_the_options_that_it_was_made_with(ocean: Path, tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    config, fill = config_of(ocean), "dataset_options.fields_fill_value.tiny=5.0"
    find(config, fill)
    for destination, options in (("plain", {}), ("filled", {"fill_value": 5.0})):
        origin = Origin.of("fields", str(ocean), NAMES, options)
        prepare(origin, tmp_path / destination, StorageOptions(chunk=(16, 16)))
    of_the_source = f"data.dict_stats.tiny={ocean.parent / 'out/stats/tiny.json'}"
    common = ["data.dataset=prepared", of_the_source]
    for given in ([], [fill]):
        run = load(config, [*common, f"data.dict_root_dirs.tiny={tmp_path / 'filled'}", *given])
        assert build_datasets(run, Scratch())[0].normalization.kind == "mean_std"
    with pytest.raises(DataError, match=r"were measured with fill_value 5\.0, not not set"):
        build_datasets(load(config, [*common, f"data.dict_root_dirs.tiny={tmp_path / 'plain'}"]), Scratch())


def test_statistics_of_other_channels_are_refused_where_only_the_run_names_them(tmp_path: Path) -> None:
    for name in "abcd":
        volume = np.random.default_rng(0).normal((0, 100), 1, (16, 16, 16, 2)).astype(np.float32)
        (tmp_path / "d/imagesTr").mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / f"d/imagesTr/{name}.nii")
    options = {
        "model": {"default_vars": ["ct", "pet"]},
        "data": {"dict_normalization": {"tiny": {"kind": "stats"}}},
    }
    config = runs.write_config(tmp_path / "c.yaml", "masked", tmp_path / "d", **options)
    assert find(config).variables["pet"].mean > 50
    assert len(build_datasets(load(config), Scratch())) == 1
    with pytest.raises(DataError, match=r"measured with pet in channel 1, not 0; ct in channel 0, not 1"):
        build_datasets(load(config, ["model.default_vars=[pet,ct]"]), Scratch())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_that_cannot_be_written_is_said(ocean: Path) -> None:
    ocean.chmod(0o500)
    with pytest.raises(UserError, match="can't be written"):
        find(config_of(ocean), f"data.dict_stats.tiny={ocean / 'stats.json'}")


def test_nothing_is_written_beside_the_data(ocean: Path) -> None:
    find(config_of(ocean))
    assert sorted(path.name for path in ocean.iterdir()) == ["a.npz", "b.npz"]


def test_variables_without_values_or_variation(ocean: Path) -> None:
    arrays = {"heat": np.full((6, 16, 16), 7.0), "wind": np.ones((6, 16, 16)), "salt": np.ones((6, 16, 16))}
    for file in "ab":
        np.savez(ocean / f"{file}.npz", **arrays)
    config = config_of(ocean)
    find(config)
    (dataset,) = build_datasets(load(config), Scratch())
    assert dataset.normalization.std == (1.0, 1.0, 1.0)
    for file in "ab":
        np.savez(ocean / f"{file}.npz", **{**arrays, "wind": np.full((6, 16, 16), np.nan)})
    with pytest.raises(DataError, match="'wind' has no value in any training item"):
        find(config, overwrite=True)


def test_infinite_values_name_file_and_variable_or_are_skipped(ocean: Path) -> None:
    arrays = dict(np.load(ocean / "a.npz"))
    arrays["wind"][2, 0, 0] = np.inf
    np.savez(ocean / "a.npz", **arrays)
    with pytest.raises(DataError, match=r"a\.npz: variable wind holds NaN or infinite values"):
        find(config_of(ocean))
    found = find(config_of(ocean), "data.on_error=skip")
    assert np.isfinite(found.variables["wind"].mean)


def test_another_file_in_its_place_is_refused(ocean: Path) -> None:
    file = ocean.parent / "out/stats/tiny.json"
    file.parent.mkdir(parents=True)
    one = {"mean": 0.0, "squares": 1.0, "values": 4}
    broken = [{**one, "squares": -1}, {**one, "mean": float("nan")}, {**one, "values": float("inf")}, {}, 7]
    written = {"fingerprint": "", "items": 1}
    texts = [json.dumps({**written, "variables": {"heat": entry}}) for entry in broken]
    for text in ("nonsense", "[]", "[" * 10**5, json.dumps({"variables": {}}), *texts):
        file.write_text(text)
        with pytest.raises(DataError, match=r"tiny\.json: no statistics as `ucf-vit stats` writes them"):
            build_datasets(load(config_of(ocean)), Scratch())


def test_any_source_can_be_normalised_so(concrete: Path, tmp_path: Path) -> None:
    normalization = {"dict_normalization": {"tiny": {"kind": "stats"}}}
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, data=normalization)
    find(config)
    (dataset,) = build_datasets(load(config), Scratch())
    voxels = [dataset.source.read(item).image for item in dataset.items]
    assert np.allclose(dataset.normalization.mean, np.mean(voxels), rtol=1e-6)


def test_without_use_the_command_says_so(concrete: Path, tmp_path: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete)
    assert "nothing to do" in CliRunner().invoke(app, ["stats", str(config)]).output


def test_an_autoencoder_trains_on_all_14_variables_of_the_real_ocean(
    shared_data: Path, tmp_path: Path
) -> None:
    config = Path(__file__).parents[3] / "configs/fields/mae/base_config.yaml"
    overrides = [
        f"data.dict_root_dirs.ocean={shared_data / 'esku_climate'}",
        f"trainer.checkpoint_path={tmp_path / 'out'}",
        "trainer.max_epochs=12",
        "trainer.validation_epochs=12",
        "trainer.pictures=false",
        "trainer.log_steps=1",
        "trainer.device=cpu",
        "model.embed_dim=32",
        "model.depth=2",
        "model.decoder_embed_dim=32",
        "model.lr=5e-3",
        "data.num_workers=0",
    ]
    found = find(config, *overrides)
    with np.load(shared_data / "esku_climate/esku_monthly.npz") as stored:
        names, months = [str(name) for name in stored["variables"]], stored["data"][:9].astype(float)
    expected = np.nanmean(months, (0, 2, 3)), np.nanstd(months, (0, 2, 3))
    moments = [found.variables[name] for name in names]
    assert np.allclose(([one.mean for one in moments], [one.std for one in moments]), expected)
    runs.train(config, *overrides)
    losses = runs.losses(tmp_path / "out")
    assert len(losses) == 36
    first, last = ([losses[step] for step in steps] for steps in (range(1, 4), range(34, 37)))
    assert np.mean(last) < 0.9 * np.mean(first)
