"""What follows from what ranks showed of themselves."""

from ucf_vit.parallel.ranks.heartbeat import Heard, Sign, judge, left, listed

NOW = 100.0


def sign(count: int, end: str = "") -> Sign:
    return Sign("node7", beat=9, count=count, step=count, doing="computing", end=end)


def test_a_silent_rank_is_lost() -> None:
    heard = {0: Heard(sign(17), 99, 99), 3: Heard(sign(17), 35, 30)}
    assert judge(heard, NOW, 60, 60) == "rank 3 (node7) was last seen at step 17 (computing), 65 s ago"
    assert judge(heard, NOW, 70, 70) == ""


def test_a_rank_that_lives_but_stays_behind_is_named() -> None:
    heard = {0: Heard(sign(18), 99, 20), 3: Heard(sign(17), 99, 30), 4: Heard(sign(17), 99, 90)}
    assert judge(heard, NOW, 60, 60) == (
        "rank 3 (node7) has not come further than step 17 (computing) for 70 s, others have"
    )


def test_a_rank_that_left_is_not_lost_but_says_why() -> None:
    heard = {0: Heard(sign(18), 99, 99), 3: Heard(sign(17, end="DataError: a.nii"), 10, 10)}
    assert judge(heard, NOW, 60, 60) == ""
    assert left(heard) == "rank 3 (node7) left at step 17 (computing): DataError: a.nii"


def test_a_sign_is_new_by_its_beat_and_progress_by_its_count() -> None:
    heard = Heard(sign(17), 10, 10)
    assert heard.then(sign(17), NOW) == heard
    again = Sign("node7", beat=10, count=17)
    assert heard.then(again, NOW) == Heard(again, at=NOW, moved=10)
    assert heard.then(Sign("node7", beat=10, count=18), NOW).moved == NOW
    assert Sign.unpack(again.pack().encode()) == again


def test_of_many_lost_ranks_some_are_named() -> None:
    assert listed([str(number) for number in range(20)], most=3) == "0; 1; 2; and 17 more"
