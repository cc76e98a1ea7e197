"""Messages about lost ranks, from the heartbeats of all ranks."""

from ucf_vit.parallel.ranks.heartbeat import (
    Heartbeat,
    RankStatus,
    describe_departed_ranks,
    describe_lost_ranks,
    join_texts,
)

NOW = 100.0


def heartbeat(count: int, end: str = "") -> Heartbeat:
    return Heartbeat("node7", beat=9, count=count, step=count, doing="computing", end=end)


def test_a_silent_rank_is_lost() -> None:
    statuses = {0: RankStatus(heartbeat(17), 99, 99), 3: RankStatus(heartbeat(17), 35, 30)}
    assert (
        describe_lost_ranks(statuses, NOW, 60, 60)
        == "rank 3 (node7) was last seen at step 17 (computing), 65 s ago"
    )
    assert describe_lost_ranks(statuses, NOW, 70, 70) == ""


def test_a_rank_that_is_alive_but_stays_behind_is_named() -> None:
    statuses = {
        0: RankStatus(heartbeat(18), 99, 20),
        3: RankStatus(heartbeat(17), 99, 30),
        4: RankStatus(heartbeat(17), 99, 90),
    }
    assert describe_lost_ranks(statuses, NOW, 60, 60) == (
        "rank 3 (node7) has not come further than step 17 (computing) for 70 s, others have"
    )


def test_a_rank_that_left_is_not_lost_and_its_reason_is_named() -> None:
    statuses = {
        0: RankStatus(heartbeat(18), 99, 99),
        3: RankStatus(heartbeat(17, end="DataError: a.nii"), 10, 10),
    }
    assert describe_lost_ranks(statuses, NOW, 60, 60) == ""
    assert describe_departed_ranks(statuses) == "rank 3 (node7) left at step 17 (computing): DataError: a.nii"


def test_status_is_updated_by_beat_and_progress_by_count() -> None:
    status = RankStatus(heartbeat(17), 10, 10)
    assert status.update(heartbeat(17), NOW) == status
    again = Heartbeat("node7", beat=10, count=17)
    assert status.update(again, NOW) == RankStatus(again, seen_at=NOW, progress_at=10)
    assert status.update(Heartbeat("node7", beat=10, count=18), NOW).progress_at == NOW
    assert Heartbeat.unpack(again.pack().encode()) == again


def test_only_some_of_many_lost_ranks_are_named() -> None:
    assert join_texts([str(number) for number in range(20)], limit=3) == "0; 1; 2; and 17 more"
