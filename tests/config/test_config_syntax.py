"""Text that is no YAML: the line to be mended, and no time lost over it."""

import re
import time
from pathlib import Path

import pytest

from ucf_vit.config import load
from ucf_vit.core.errors import ConfigError

HERE = Path(__file__).parent
SMALL = (HERE / "small.yaml").read_text()
FILES = [HERE / "small.yaml", *sorted(HERE.glob("established/*/[ms]*/*.yaml"))]
KEY = re.compile(r"(\s*\w+):(\s|$)(.*)")
LONG = 200_000


@pytest.mark.parametrize("path", FILES, ids=lambda path: "-".join(path.parts[-3:-1]))
def test_a_missing_colon_or_space_is_found_in_its_line(path, write):
    lines = path.read_text().splitlines()
    keys = {number: found for number, line in enumerate(lines) if (found := KEY.fullmatch(line))}
    assert len(keys) > 10
    for number, found in keys.items():
        for spoiled in {found[1] + found[2] + found[3], f"{found[1]}:{found[3]}"} - {found[0]}:
            text = "\n".join([*lines[:number], spoiled, *lines[number + 1 :]])
            with pytest.raises(ConfigError, match=f"run.yaml:{number + 1}: "):
                load(write(text), task="segmentation")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model:\n  depth 12\n  lr: 1\n", "2: expected 'key: value', with a colon and a space after the key"),
        ("model:\n  # why\n  depth 12\n\n  lr: 1\n", "3: expected 'key: value', .* found 'depth 12'"),
        ("model:\n  lr: a: b\n", "2: not valid YAML: mapping values are not allowed here"),
        ("trainer:\n  task\nmodel: {}\n", "2: trainer = 'task': expected a section"),
        ("model:\n  lr: 'a\n  depth: 3\n", "4: not valid YAML: .*unexpected end of stream .begun in line 2."),
        ("model: {depth: [1, 2}\n", "1: not valid YAML: while parsing a flow sequence expected ',' or ']'"),
        ("model:\n  depth: !!int x\n", "2: not valid YAML: a value does not fit its tag"),
    ],
)
def test_errors_name_the_line_and_the_remedy(write, text, message):
    with pytest.raises(ConfigError, match=f"run.yaml:{message}"):
        load(write(text))


def merges(length: int) -> str:
    """Mappings that each merge the one before twice: in all `2 ** length` keys."""
    lines = ["a0: &a0 {k: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, length)]
    return "\n".join([*lines, f"model: *a{length - 1}"])


@pytest.mark.parametrize(
    "text",
    [
        SMALL + f"  order: {'[' * LONG}\n",
        SMALL + f"  order: {'{a: ' * LONG}\n",
        SMALL + f"  order:\n   {'- ' * LONG}1\n",
        SMALL + f"  {'? ' * LONG}1\n",
        SMALL + f"  order: {'9' * LONG}.x\n",
        SMALL + f"  order: '{'word ' * (LONG // 5)}'\n",
        SMALL + f"  order: {'w' * LONG}\n",
        SMALL + f"  ? {'k' * LONG}\n  : 1\n",
        SMALL + f"  order: {'s3://b?key=1 ' * (LONG // 20)}\n",
        SMALL + f"  order: *{'a' * LONG}\n",
        SMALL + f"  order: !{'a' * LONG} 1\n",
        SMALL + "".join(f"  k{number}: &a{number} 1\n" for number in range(LONG // 50)),
        SMALL.replace("ct1: 0.8", ", ".join(f"d{number}: 0" for number in range(LONG // 50))),
        SMALL.replace("[ct]", str([f"v{number}" for number in range(LONG // 50)])) + "  order: none\n",
        "model: " + "x" * 2**20,
        merges(60),
    ],
    ids=range(16),
)
def test_long_deep_and_many_things_take_no_time_and_no_room(write, text):
    path = write(text)
    before = time.process_time()
    with pytest.raises(ConfigError) as error:
        load(path)
    assert time.process_time() - before < 20, "seconds of this process, of which it needs less than 3"
    assert len(str(error.value)) < 20_000


def test_merging_within_reason_stays(write):
    text = SMALL.replace("model:", "usual: &usual\n  depth: 7\nmodel:\n  <<: *usual").replace(
        "usual: &", "x: &"
    )
    with pytest.raises(ConfigError, match=r"x = .*: unknown key"):
        load(write(text))
    run = load(write(SMALL.replace("model:\n", "model:\n  <<: {depth: 7}\n")))
    assert run.model.depth == 7


def test_a_device_and_a_large_file_are_no_config(write):
    with pytest.raises(ConfigError, match="/dev/zero: larger than 1 MiB"):
        load(Path("/dev/zero"))
    with pytest.raises(ConfigError, match=r"run.yaml: larger than 1 MiB"):
        load(write(b"#" * 2**21))


def test_line_ends_of_all_systems(small, write):
    for end in ("\r\n", "\r"):
        assert load(write(SMALL.replace("\n", end).encode())) == load(small)
