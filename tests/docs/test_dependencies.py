"""The table of dependencies is what pyproject.toml says."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ROW = re.compile(r"\| (?:([\w]+) \| )?([\w-]+) \| ([\d.]+) \| .+ \|")
PAGE = (ROOT / "docs/dependencies.md").read_text()


def floors(requirements: list[str]) -> dict[str, str]:
    return dict(requirement.split("[")[0].split(">=") for requirement in requirements)


def test_every_floor_is_in_the_table_and_no_other() -> None:
    rows = [found.groups() for line in PAGE.splitlines() if (found := ROW.fullmatch(line))]
    assert {name: floor for extra, name, floor in rows if extra is None} == floors(PROJECT["dependencies"])
    extras = {
        name: floors(needed) for name, needed in PROJECT["optional-dependencies"].items() if name != "dev"
    }
    said: dict[str, dict[str, str]] = {}
    for extra, name, floor in rows:
        if extra is not None:
            said.setdefault(extra, {})[name] = floor
    assert said == extras


@pytest.mark.parametrize(
    ("package", "least"),
    [
        ("pillow", (12, 3)),
        ("opencv-python-headless", (4, 12)),
        ("monai", (1, 6)),
        ("torch", (2, 10)),
        ("aiohttp", (3, 14, 3)),
        ("pydicom", (3, 0, 2)),
    ],
)
def test_no_floor_falls_below_the_last_mended_vulnerability(package: str, least: tuple[int, ...]) -> None:
    extras = PROJECT["optional-dependencies"].values()
    all_floors = [
        floors(PROJECT["dependencies"]),
        *(floors(extra) for extra in extras if "[" not in extra[0]),
    ]
    found = next(one[package] for one in all_floors if package in one)
    assert tuple(map(int, found.split("."))) >= least


def test_the_pythons_that_are_named_are_those_of_the_classifiers() -> None:
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert PROJECT["requires-python"] == f">={named[0]}"
    for page in ("docs/dependencies.md", "README.md"):
        assert f"{named[0]} to {named[-1]}" in (ROOT / page).read_text()


def test_what_runs_with_the_floors_is_there() -> None:
    named = re.findall(r"tests/[\w/]+\.py", (ROOT / ".ci/floors").read_text())
    assert named and [name for name in named if not (ROOT / name).is_file()] == []


def test_nothing_in_the_project_names_the_host_of_a_registry() -> None:
    """Packages come from wherever pip and apt are set up to look."""
    hosts = r"pypi\.(org|io)|pythonhosted|npmjs\.|deb\.debian\.|index-url|download\.pytorch"
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    files = [ROOT / name for name in listed.stdout.splitlines() if name != "tests/docs/test_dependencies.py"]
    if not files:
        pytest.skip("needs the files that git knows")
    texts = {path: path.read_bytes().decode(errors="replace") for path in files if path.is_file()}
    assert [path for path, text in texts.items() if re.search(hosts, text)] == []
