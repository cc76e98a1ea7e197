"""Reference page of all keys, in Markdown."""

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
"""Complete config, shown on the page."""

PAGE = """\
# Configuration

<!-- Written by utils/write_config_reference.py from the schema in src/ucf_vit/config; do not edit. -->

A run is configured by one YAML file. This is a complete one; every other key has a default:

```yaml
{example}```

- `ucf-vit config explain adaptive.fixed_length` explains a key, `ucf-vit config check FILE` checks a file,
  and `ucf-vit config show FILE` prints it with all defaults filled in.
- Values are overridden on the command line: `ucf-vit train FILE model.depth=6 data.batch_size=4`. They are
  read as YAML: `input.tile_size=[64,64]`, `trainer.max_steps=null`.
- A path may begin with `~` and contain environment variables, `$SCRATCH/runs` or `${{USER}}_runs`; `$$` is a
  dollar sign. An undefined variable is an error. A relative path is relative to the current directory, in all
  keys. URLs must not contain credentials: docs/storage.md.
- To get a key's default, leave the key out; a key without a value is an error.
- Files with the keys of `input`, `adaptive`, `variables`, `diffusion` and `optimizer` in section `model`, or
  with all of these under `model.net.init_args`, load unchanged; overrides and `config explain` know both.
- A `dict_*` has one entry for each name in `data.dict_root_dirs`. If it has a default it may be left out, but
  only as a whole.
- Unknown keys, wrong values and keys that contradict each other are errors, reported together with file, line
  and what was expected, before anything is loaded. The exit status is 2.

{sections}"""

HEAD = "| key | type | unit | default | meaning |\n|---|---|---|---|---|\n"


def reference() -> str:
    """Returns the page that docs/configuration.md holds."""
    return PAGE.format(example=EXAMPLE, sections="\n".join(_section(name) for name in sections()))


def _section(name: str) -> str:
    rows = [_row(key) for key in keys().values() if key.section == name]
    return f"## {name}\n\n{sections()[name]}\n\n{HEAD}" + "".join(rows)


def _row(key: Key) -> str:
    short = key.name.partition(".")[2].replace("<", "&lt;")
    cells = (f"`{short}`" if "&" not in short else short, key.kind, key.unit, key.default, key.description)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
