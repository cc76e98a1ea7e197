#!/usr/bin/env bash
# Train a diffusion model of CT volumes; mode fsdp: its weights are spread over the GPUs of each node.
#   sbatch --account=PROJECT launch/basic_ct/train_diffusion_fsdp.sh configs/basic_ct/diffusion/base_config.yaml [KEY=VALUE ...]
# Sites, environments and what else there is to set: docs/launching.md.
#SBATCH --job-name=diffusion_fsdp
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

train training_scripts/train_diffusion.py "${1:?CONFIG is missing}" \
  parallelism.mode=fsdp parallelism.fsdp_size="$ranks_per_node" "${@:2}"
