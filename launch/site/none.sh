# shellcheck shell=bash
# Nothing but SLURM: no modules, no network variables, no binding of devices.
# shellcheck disable=SC2034  # read by launch/common.sh

ranks_per_node=${UCF_VIT_RANKS_PER_NODE:-${SLURM_NTASKS_PER_NODE:-1}}
task_options=()

site_environment() {
  :
}
