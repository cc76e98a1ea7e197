#!/usr/bin/env bash
# Measures a machine with one GPU and torch 2.11 or newer in at most eight minutes.
#   benchmarks/device.sh [--short] [--only PART,...] [--output DIR]
# Results are in DIR (device-results) as soon as they are there: results.jsonl, table.md, and a log of each part.
# Without a GPU, or with --short, all of it runs in a short form on the CPU. PYTHON names the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
command -v "$python" >/dev/null || python=python3
export PYTHONPATH="src${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" -m benchmarks.device "$@"
