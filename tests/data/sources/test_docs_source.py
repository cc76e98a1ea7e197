"""The example in the documentation of sources works as it stands."""

import re
from pathlib import Path

import numpy as np

import runs


def test_the_example_trains(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs/sources.md").read_text()
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0].replace("128", "32")
    (tmp_path / "my_source.py").write_text(code)
    for number in range(4):
        noise = np.random.default_rng(number).random((32, 32, 32), dtype=np.float32)
        noise.tofile(tmp_path / f"{number}.raw")
    dataset = {"dataset": f"{tmp_path / 'my_source.py'}:Raw", "dict_in_variables": {"tiny": ["intensity"]}}
    model = {"default_vars": ["intensity"]}
    config = runs.write_config(tmp_path / "c.yaml", "masked", tmp_path, data=dataset, model=model)
    runs.train(config, "data.num_workers=2", "trainer.max_steps=3")
    assert len(runs.losses(tmp_path / "out")) == 3
