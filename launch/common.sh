# shellcheck shell=bash
# Settings of all jobs; the scripts in launch/DATASET source it. Every variable here is optional:
#   UCF_VIT_SITE            frontier, generic, or none: no modules, no network variables, no binding of devices
#   UCF_VIT_ENV             where Python is: an environment, a packed one (.tar, .tar.gz) or a container (.sif)
#   UCF_VIT_LOCAL           a directory on every node's own disk: the packed environment or container is copied there
#   UCF_VIT_RANKS_PER_NODE  processes per node, one for each GPU
#   UCF_VIT_REQUEUES        how often a job may go back into the queue: 100

: "${UCF_VIT_SITE:=$([[ ${LMOD_SYSTEM_NAME:-} == frontier ]] && echo frontier || echo generic)}"
requeues=${UCF_VIT_REQUEUES:-100}
container_options=()
# shellcheck source=launch/site/generic.sh
source "launch/site/$UCF_VIT_SITE.sh"

# train SCRIPT CONFIG [KEY=VALUE ...]: train on all nodes of the job; SCRIPT is a file, or ucf-vit for any task. A job that was told to stop, by the signal before
# its time limit or by preemption, saves, goes back into the queue and continues from there.
train() {
  local config=${2:?usage: sbatch SCRIPT.sh CONFIG [KEY=VALUE ...]} status stop=0 step='' interrupted=1
  local program=("$1")
  if [[ $1 == ucf-vit ]]; then program=(-m ucf_vit train); fi
  shift 2
  # srun passes the signal on to every process; training saves at its next step and ends with status 0.
  trap 'stop=1 interrupted=1; [[ -z $step ]] || kill -USR1 "$step" 2>/dev/null || true' USR1
  site_environment
  find_python
  # One OpenMP thread per process: the loader's workers are processes, not threads.
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
  if ((stop)); then requeue; fi

  srun --ntasks-per-node="$ranks_per_node" --ntasks="$((ranks_per_node * SLURM_JOB_NUM_NODES))" \
    --kill-on-bad-exit=1 "${task_options[@]}" \
    "${python[@]}" -u "${program[@]}" "$config" trainer.resume_from_checkpoint=true "$@" &
  step=$!
  # A trapped signal ends `wait` early; then srun is still there.
  while ((interrupted)); do
    interrupted=0 status=0
    wait "$step" || status=$?
  done
  trap '' USR1
  if ((stop)) || { ((status == 0)) && preempted; }; then requeue; fi
  return "$status"
}

# Whether the scheduler wants the nodes for somebody else. It tells the processes (SIGTERM), but not this script.
preempted() {
  scontrol show job "$SLURM_JOB_ID" | grep -q 'PreemptTime=[0-9]'
}

requeue() {
  if ((${SLURM_RESTART_COUNT:-0} >= requeues)); then
    echo "job $SLURM_JOB_ID was requeued ${SLURM_RESTART_COUNT:-0} times; not again (UCF_VIT_REQUEUES)" >&2
    exit 1
  fi
  scontrol requeue "$SLURM_JOB_ID"
  # SLURM ends this script. Were it to end by itself, the job might count as completed.
  sleep 60
}

load_modules() {
  # The functions of module systems read variables that may not be set.
  set +u
  local name
  for name in "$@"; do module load "$name"; done
  set -u
}

# The command `python` of UCF_VIT_ENV, after a copy to the nodes' own disks if UCF_VIT_LOCAL says so: thousands of
# processes that import the same small files from a shared file system take minutes to start.
find_python() {
  local place=${UCF_VIT_ENV:-} local_place
  python=(python)
  if [[ -n $place && -f $place && -n ${UCF_VIT_LOCAL:-} ]]; then
    local_place=$UCF_VIT_LOCAL/${SLURM_JOB_ID}_$(basename "$place")
    srun --ntasks-per-node=1 --ntasks="$SLURM_JOB_NUM_NODES" mkdir -p "$UCF_VIT_LOCAL"
    sbcast --force "$place" "$local_place"
    place=$local_place
  fi
  case $place in
    "") ;;
    *.sif) python=(apptainer exec "${container_options[@]}" "$place" python) ;;
    *.tar | *.tar.gz | *.tgz)
      [[ -n ${UCF_VIT_LOCAL:-} ]] || { echo "$place is packed: say with UCF_VIT_LOCAL where to unpack it" >&2; exit 1; }
      unpack "$place" "${place}.unpacked"
      PATH=$place.unpacked/bin:$PATH
      ;;
    *)
      [[ -x $place/bin/python ]] || { echo "UCF_VIT_ENV: no $place/bin/python" >&2; exit 1; }
      PATH=$place/bin:$PATH
      ;;
  esac
}

# unpack ARCHIVE DIRECTORY: on every node; conda-pack's own script then mends the paths in it.
unpack() {
  # shellcheck disable=SC2016  # expanded on the nodes
  srun --ntasks-per-node=1 --ntasks="$SLURM_JOB_NUM_NODES" bash -euc '
    mkdir -p "$2"
    tar -xf "$1" -C "$2"
    if [[ -x $2/bin/conda-unpack ]]; then "$2/bin/python" "$2/bin/conda-unpack"; fi
  ' unpack "$1" "$2"
}
