#!/usr/bin/env bash
# Train a classifier on one folder of images with their class in their names; mode fsdp: its weights are spread over the GPUs of each node.
#   sbatch --account=PROJECT launch/lung/train_classification_fsdp.sh configs/lung/classification/base_config.yaml [KEY=VALUE ...]
# Sites, environments and what else there is to set: docs/launching.md.
#SBATCH --job-name=classification_fsdp
#SBATCH --nodes=2
#SBATCH --time=02:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.out
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?start this script with sbatch, from the root of the repository}"
# shellcheck source=launch/common.sh
source launch/common.sh

train training_scripts/train_classification.py "${1:?CONFIG is missing}" \
  parallelism.mode=fsdp parallelism.fsdp_size="$ranks_per_node" "${@:2}"
