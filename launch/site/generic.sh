# shellcheck shell=bash
# A SLURM cluster with NVIDIA or AMD GPUs. Ask sbatch for the GPUs: --gpus-per-node=4.
#   UCF_VIT_MODULES  modules to load, e.g. "python/3.12 cuda/12.8"
# The network is the site's business: what it wants (NCCL_SOCKET_IFNAME, NCCL_IB_HCA, FI_PROVIDER, ...), set before
# sbatch, which takes the environment along; or copy this file, and name the copy in UCF_VIT_SITE.
# shellcheck disable=SC2034  # read by launch/common.sh

ranks_per_node=${UCF_VIT_RANKS_PER_NODE:-${SLURM_GPUS_ON_NODE:-${SLURM_NTASKS_PER_NODE:-1}}}
cpus_per_rank=$((${SLURM_CPUS_ON_NODE:?} / ranks_per_node))

task_options=(
  # Cores to match: loader workers stay beside their process. More than one would wait on a single core.
  --cpus-per-task="$((cpus_per_rank > 0 ? cpus_per_rank : 1))"
  --cpu-bind=cores
  # Neighbouring local ranks fill a socket before the next, as GPUs are numbered: process, GPU and memory are close.
  --distribution=block:block
)
if [[ -n ${SLURM_GPUS_ON_NODE:-} ]]; then
  # Every process sees all GPUs of its node and takes that of its local rank. Hidden from one another, they could not
  # exchange data over NVLink or PCIe directly, and NCCL would go through host memory.
  task_options+=(--gpu-bind=none)
fi
if [[ -e /dev/kfd ]]; then
  container_options=(--rocm)
else
  container_options=(--nv)
fi

site_environment() {
  # shellcheck disable=SC2086  # several names
  load_modules ${UCF_VIT_MODULES:-}
}
