"""The reference page of all keys, in Markdown."""

from __future__ import annotations

from ucf_vit.config.describe.keys import Key, keys, sections

EXAMPLE = """\
trainer:
  task: segmentation
  max_epochs: 200
  data_type: bfloat16
  checkpoint_path: runs/ct_unetr
model:
  embed_dim: 768
  depth: 12
  num_heads: 12
  feature_size: 32
  num_classes: 4
input:
  default_vars: [ct]
  tile_size: [96, 96, 96]
  patch_size: 16
optimizer:
  lr: 1e-4
  warmup_steps: 500
data:
  dataset: basic_ct
  dict_root_dirs:
    scans: /data/scans
  dict_end_idx:
    scans: 0.8
  batch_size: 2
  num_workers: 4
"""
"""A complete config, shown on the page."""

PAGE = """\
# Configuration

<!-- Written by utils/write_config_reference.py from the schema in src/ucf_vit/config; do not edit. -->

One YAML file holds a run. This is a whole one; every other key has a default:

```yaml
{example}```

- `ucf-vit config explain adaptive.fixed_length` prints what a key means, `ucf-vit config check FILE` says
  whether a file can be used, and `ucf-vit config show FILE` prints it with every default filled in.
- Values are overridden on the command line: `ucf-vit train FILE model.depth=6 data.batch_size=4`. They are
  read as YAML: `input.tile_size=[64,64]`, `trainer.max_steps=null`.
- A path may begin with `~` and hold variables of the environment, `$SCRATCH/runs` or `${{USER}}_runs`; `$$`
  is a dollar sign. A variable that is not there is an error. URLs carry no credentials: docs/storage.md.
- To get a key's default, leave the key out; a key with nothing behind it is an error.
- Files with the keys of `input`, `adaptive`, `variables`, `diffusion` and `optimizer` in section `model`, or
  with all of these under `model.net.init_args`, load unchanged; overrides and `config explain` know both.
- A `dict_*` has one entry for each name in `data.dict_root_dirs`. It may be left out where it has a default,
  but not in part.
- Unknown keys, wrong values and keys that contradict each other are errors, reported together with file, line
  and what was expected, before anything is loaded. The exit status is 2.

{sections}"""

HEAD = "| key | type | unit | default | meaning |\n|---|---|---|---|---|\n"


def reference() -> str:
    """The page, as docs/configuration.md holds it."""
    return PAGE.format(example=EXAMPLE, sections="\n".join(_section(name) for name in sections()))


def _section(name: str) -> str:
    rows = [_row(key) for key in keys().values() if key.section == name]
    return f"## {name}\n\n{sections()[name]}\n\n{HEAD}" + "".join(rows)


def _row(key: Key) -> str:
    short = key.name.partition(".")[2].replace("<", "&lt;")
    cells = (f"`{short}`" if "&" not in short else short, key.kind, key.unit, key.default, key.description)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
