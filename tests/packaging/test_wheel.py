"""The wheel, built from the source distribution, in an environment that has nothing else of the project."""

import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("configs", "launch", "training_scripts")


def shipped() -> set[str]:
    """The files of the folders that git knows, below the top."""
    done = subprocess.run(["git", "ls-files", *FOLDERS], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the two distributions, built from a copy without leftovers of other builds."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None or not (ROOT / ".git").exists():
        pytest.skip("needs uv (pip install uv) and a clone")
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    for name in files.stdout.split("\n"):
        if name and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    command = [
        uv,
        "build",
        "--quiet",
        "--no-build-isolation",
        "--python",
        sys.executable,
        "--out-dir",
        str(folder),
    ]
    subprocess.run([*command, str(source)], check=True)
    return folder


@pytest.mark.deep
def test_both_distributions_have_the_examples(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert shipped() <= names and {"LICENSE", "CHANGELOG.md"} <= names
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        inside = set(wheel.namelist())
    assert {f"ucf_vit/examples/{name}" for name in shipped()} <= inside
    assert "ucf_vit/py.typed" in inside and not any(name.startswith("tests/") for name in inside)


@pytest.mark.deep
def test_the_wheel_works_without_the_repository(built: Path, tmp_path: Path) -> None:
    """Its dependencies are those of this environment, without the .pth files there."""
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv/bin"
    wheel = next(built.glob("*.whl"))
    subprocess.run([binaries / "python", "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True)
    (site,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    torch = subprocess.run(
        [sys.executable, "-c", "import torch; print(torch.__path__[0])"], capture_output=True, text=True
    )
    (site / "dependencies.pth").write_text(str(Path(torch.stdout.strip()).parent) + "\n")

    def call(*words: str) -> str:
        done = subprocess.run([binaries / "ucf-vit", *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = [binaries / "python", "-c", "import ucf_vit; print(ucf_vit.__file__)"]
    assert str(site) in subprocess.run(where, cwd=tmp_path, capture_output=True, text=True).stdout
    assert "evaluate" in call("--help")
    assert "configs/basic_ct/unetr/demo.yaml" in call("config", "list")
    assert "wrote configs/basic_ct/unetr/demo.yaml" in call("config", "copy", "basic_ct/unetr/demo")
    assert "good, task segmentation" in call("config", "check", "configs/basic_ct/unetr/demo.yaml")
    call("config", "copy", "*", "all")
    copied = {path.relative_to(tmp_path / "all").as_posix() for path in (tmp_path / "all").rglob("*.*")}
    assert shipped() <= copied | {"launch/kubernetes", "launch/ray"}
