"""Finding the launcher, host lists, and which GPU is whose."""

import socket
from dataclasses import astuple
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import runs
from ucf_vit.cli.train import train
from ucf_vit.core.errors import UserError
from ucf_vit.training.launch import Place, find_place
from ucf_vit.training.launch.device import gpu_index
from ucf_vit.training.launch.processes import join
from ucf_vit.training.launch.slurm import hosts, tasks_per_node

TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "node7",
    "MASTER_PORT": "1234",
}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "0",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "1",
    "MASTER_ADDR": "node7",
}
MPICH = {"PMI_RANK": "3", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "4"}
BATCH = {
    "SLURM_JOB_ID": "77",
    "SLURM_JOB_NODELIST": "frontier[00009-00011]",
    "SLURM_NTASKS": "24",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
}
TASK = BATCH | {
    "SLURM_STEP_ID": "2",
    "SLURM_STEP_NUM_TASKS": "20",
    "SLURM_STEP_TASKS_PER_NODE": "8(x2),4",
    "SLURM_STEP_NODELIST": "frontier[00009-00011]",
    "SLURM_PROCID": "17",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "2",
}


def test_without_a_launcher_there_is_one_process() -> None:
    assert find_place({}) == Place(0, 1, 0, 1, "127.0.0.1", 0, "one process")


def test_each_launcher_is_found() -> None:
    assert astuple(find_place(TORCHRUN)) == (5, 8, 1, 4, "node7", 1234, "torchrun")
    assert astuple(find_place(OPEN_MPI)) == (1, 2, 0, 1, "node7", 29500, "Open MPI")
    assert astuple(find_place(MPICH)) == (3, 4, 1, 4, "127.0.0.1", 29500, "MPICH")
    place = find_place(TASK)
    assert astuple(place)[:5] == (17, 20, 1, 4, "frontier00009")
    assert place.launcher == "SLURM"
    assert 12_000 <= place.master_port < 32_000


def test_what_is_given_wins_over_what_is_derived() -> None:
    place = find_place(TASK | {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "5000"})
    assert (place.master_addr, place.master_port) == ("10.0.0.1", 5000)


def test_steps_and_jobs_meet_at_ports_of_their_own() -> None:
    others = [TASK, TASK | {"SLURM_STEP_ID": "3"}, TASK | {"SLURM_JOB_ID": "78"}]
    assert len({find_place(one).master_port for one in others}) == 3


@pytest.mark.parametrize(("outer", "inner"), [(TASK, TORCHRUN), (OPEN_MPI, TORCHRUN), (TASK, OPEN_MPI)])
def test_the_launcher_that_started_last_counts(outer: dict[str, str], inner: dict[str, str]) -> None:
    assert find_place(outer | inner).launcher == find_place(inner).launcher


def test_mpich_that_reaches_its_nodes_by_srun_counts_srun_with_its_interface_does_not() -> None:
    one_per_node = {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_TASKS_PER_NODE": "1", "SLURM_PROCID": "0"}
    assert find_place(TASK | one_per_node | MPICH).launcher == "MPICH"
    assert find_place(TASK | {"PMI_RANK": "17", "PMI_SIZE": "20"}).launcher == "SLURM"


def test_a_batch_script_is_one_process() -> None:
    assert find_place(BATCH).size == 1


def test_mpirun_on_several_nodes_asks_the_batch_system_or_the_user_where_to_meet() -> None:
    several = {key: value for key, value in OPEN_MPI.items() if key != "MASTER_ADDR"}
    assert find_place(BATCH | several).master_addr == "frontier00009"
    with pytest.raises(UserError, match=r"MASTER_ADDR is not set; .*mpirun -x MASTER_ADDR=node1"):
        find_place(several)


@pytest.mark.parametrize("environment", [TORCHRUN, OPEN_MPI, MPICH, TASK], ids=lambda e: next(iter(e)))
def test_a_missing_variable_is_named(environment: dict[str, str]) -> None:
    optional = {"MASTER_ADDR", "SLURM_NTASKS", "SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"}
    says_who = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_STEP_ID", "SLURM_PROCID"}
    for missing in sorted(environment.keys() - optional - says_who):
        rest = {key: value for key, value in environment.items() if key != missing}
        with pytest.raises(UserError, match=f"{missing} is not set"):
            find_place(rest)


def test_nonsense_is_refused() -> None:
    with pytest.raises(UserError, match="RANK='one' should be a whole number"):
        find_place(TORCHRUN | {"RANK": "one"})
    with pytest.raises(UserError, match="rank 8 of 8"):
        find_place(TORCHRUN | {"RANK": "8"})


def test_on_loopback_the_local_ranks_are_the_ranks() -> None:
    by_hand = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1234"}
    assert astuple(find_place(by_hand))[2:4] == (1, 2)


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z]{1,5}", fullmatch=True),
            st.integers(1, 5),
            st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 12)), min_size=1, max_size=4),
            st.sampled_from(["", "-ib"]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_host_lists_are_expanded_in_order(
    entries: list[tuple[str, int, list[tuple[int, int]], str]],
) -> None:
    written, expected = [], []
    for prefix, width, ranges, suffix in entries:
        spans = [(first, first + more) for first, more in ranges]
        numbers = [f"{n:0{width}d}" for first, last in spans for n in range(first, last + 1)]
        inside = ",".join(f"{a:0{width}d}" if a == b else f"{a:0{width}d}-{b:0{width}d}" for a, b in spans)
        written.append(f"{prefix}[{inside}]{suffix}")
        expected += [f"{prefix}{number}{suffix}" for number in numbers]
    assert hosts(",".join(written)) == expected


def test_host_lists_of_other_forms() -> None:
    assert hosts("login1") == ["login1"]
    assert hosts("a,b-2,c[1-2]") == ["a", "b-2", "c1", "c2"]
    assert hosts("r[1-2]n[08-10]") == ["r1n08", "r1n09", "r1n10", "r2n08", "r2n09", "r2n10"]


@given(st.text("ab1,-[] ", max_size=12))
def test_no_text_is_a_crash(written: str) -> None:
    try:
        assert all(hosts(written))
    except UserError as error:
        assert repr(written) in str(error)


@pytest.mark.parametrize("written", ["", "a[", "a[1", "a]", "a[]", "a[x]", "a[3-1]", "a,,b", "a,", "a[1-]"])
def test_what_is_no_host_list_is_refused(written: str) -> None:
    with pytest.raises(UserError, match="is not a list of"):
        hosts(written)


@given(st.lists(st.integers(1, 64), min_size=1, max_size=8), st.booleans())
def test_tasks_per_node(counts: list[int], short: bool) -> None:
    runs_of: list[list[int]] = []
    for count in counts:
        if short and runs_of and runs_of[-1][0] == count:
            runs_of[-1][1] += 1
        else:
            runs_of.append([count, 1])
    written = ",".join(f"{count}(x{times})" if times > 1 else str(count) for count, times in runs_of)
    assert tasks_per_node(written) == counts


@given(st.integers(0, 15), st.integers(0, 16))
def test_every_process_has_a_gpu_of_its_own(local_rank: int, count: int) -> None:
    place = Place(local_rank, 16, local_rank, 16, "node7", 1234, "SLURM")
    assume(local_rank < count)
    assert gpu_index(place, count, own=False) == local_rank


def test_a_gpu_of_its_own_is_the_first_it_sees() -> None:
    place = Place(5, 8, 5, 8, "node7", 1234, "SLURM")
    assert gpu_index(place, 1, own=True) == 0
    for count in (0, 1, 4):
        with pytest.raises(UserError, match=f"local rank 5 of 8 has no GPU .* sees {count} here"):
            gpu_index(place, count, own=False)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        place = Place(0, 2, 0, 2, "127.0.0.1", port, "SLURM")
        with pytest.raises(UserError, match=f"cannot reach the others at 127.0.0.1:{port} .*MASTER_PORT"):
            join(place, torch.device("cpu"), timedelta(seconds=5))


def test_two_launchers_at_once_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", tmp_path)
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"--nproc 2 .*torchrun has started 8 already"):
        train(config, nproc=2)
