# shellcheck shell=bash
# OLCF Frontier: 4 MI250X per node, 8 dies that each count as a GPU; 64 cores in 8 groups with a cache of their own.
#   sbatch --account=PROJECT --partition=batch --network=disable_rdzv_get launch/...   (add -C nvme for UCF_VIT_LOCAL)
#   UCF_VIT_MODULES  other modules than those below, e.g. another ROCm
#   UCF_VIT_LOCAL    /mnt/bb/$USER, worth it from some tens of nodes on
# --network=disable_rdzv_get goes with FI_CXI_RDZV_PROTO=alt_read, which the module rccl-net-plugin sets: the NIC of the
# receiver no longer fetches large messages on its own, which slows RCCL on many nodes.
# shellcheck disable=SC2034  # read by launch/common.sh

ranks_per_node=${UCF_VIT_RANKS_PER_NODE:-8}

task_options=(
  # 8 groups of 8 cores, of which the system keeps the first of each for itself.
  --cpus-per-task=7
  # A process on cores 1-7 gets die 4, on 9-15 die 5, on 17-23 die 2, ...: the one wired to its cores, and through it the
  # NIC, which hangs on the die. Each process sees this one die only, as device 0.
  --gpus-per-task=1
  --gpu-bind=closest
)
container_options=(--rocm)

site_environment() {
  # shellcheck disable=SC2086  # several names
  load_modules ${UCF_VIT_MODULES:-PrgEnv-gnu rocm rccl-net-plugin craype-accel-amd-gfx90a}

  # Rank 0 is on the node of this script. Its name belongs to the slow management network; this is its fast address.
  export MASTER_ADDR=${MASTER_ADDR:-$(hostname -i | cut -d ' ' -f 1)}

  # RCCL. It finds its peers over sockets: on the Slingshot interfaces, not on the management network.
  export NCCL_SOCKET_IFNAME=${NCCL_SOCKET_IFNAME:-hsn0,hsn1,hsn2,hsn3}
  # The same for gloo, which takes one.
  export GLOO_SOCKET_IFNAME=${GLOO_SOCKET_IFNAME:-hsn0}
  # Slingshot has no rails: a ring may enter a node by one of its four NICs and leave by another.
  export NCCL_CROSS_NIC=${NCCL_CROSS_NIC:-1}
  # NIC and die exchange data without host memory where they share a host bridge, as they do here.
  export NCCL_NET_GDR_LEVEL=${NCCL_NET_GDR_LEVEL:-PHB}
  # Without the libfabric plugin RCCL falls back to TCP, an order of magnitude slower: better to stop. A job of one node
  # has no network to find.
  if ((SLURM_JOB_NUM_NODES > 1)); then
    export NCCL_NET=${NCCL_NET:-OFI}
  fi
  # RCCL's transfers over PCIe need memory that both sides see coherently.
  export HSA_FORCE_FINE_GRAIN_PCIE=${HSA_FORCE_FINE_GRAIN_PCIE:-1}

  # libfabric. It caches registered memory and must notice when that is freed; watching malloc instead can deadlock.
  export FI_MR_CACHE_MONITOR=${FI_MR_CACHE_MONITOR:-kdreg2}
  # Registering host buffers with the GPU runtime can deadlock with RCCL's own allocations.
  export FI_CXI_DISABLE_HOST_REGISTER=${FI_CXI_DISABLE_HOST_REGISTER:-1}
  # Queues for completions and for sends, long enough that thousands of peers do not overrun them.
  export FI_CXI_DEFAULT_CQ_SIZE=${FI_CXI_DEFAULT_CQ_SIZE:-131072}
  export FI_CXI_DEFAULT_TX_SIZE=${FI_CXI_DEFAULT_TX_SIZE:-2048}
  # When the NIC has no room left to match messages, go on in software rather than fail.
  export FI_CXI_RX_MATCH_MODE=${FI_CXI_RX_MATCH_MODE:-hybrid}
  # All messages of RCCL are for GPU memory: none is sent early into a bounce buffer.
  export FI_CXI_RDZV_EAGER_SIZE=${FI_CXI_RDZV_EAGER_SIZE:-0}
  export FI_CXI_RDZV_THRESHOLD=${FI_CXI_RDZV_THRESHOLD:-0}
  export FI_CXI_RDZV_GET_MIN=${FI_CXI_RDZV_GET_MIN:-0}

  # MIOpen keeps found kernels in SQLite files, whose locks fail on shared file systems: on each node's own.
  export MIOPEN_USER_DB_PATH=${MIOPEN_USER_DB_PATH:-/tmp/miopen_$SLURM_JOB_ID}
  export MIOPEN_CUSTOM_CACHE_DIR=${MIOPEN_CUSTOM_CACHE_DIR:-$MIOPEN_USER_DB_PATH}
  srun --ntasks-per-node=1 --ntasks="$SLURM_JOB_NUM_NODES" mkdir -p "$MIOPEN_USER_DB_PATH"
}
