"""The harness itself: how long it waits for what others have on this host."""

import pytest

from .runs import GONE_AFTER, OTHERS, Patience

BEGIN = 1000.0


@pytest.mark.parametrize("others_end", [0.0, GONE_AFTER / 2, GONE_AFTER + 1, OTHERS])
def test_patience_begins_when_others_have_ended(others_end: float) -> None:
    patience = Patience(BEGIN)
    steps = [BEGIN + second for second in range(int(others_end) + 1)]
    assert all(patience.lasts(now, others=bool(others_end)) for now in steps)
    assert patience.lasts(BEGIN + others_end + GONE_AFTER - 1.5, others=False)
    assert not patience.lasts(BEGIN + others_end + GONE_AFTER + 1, others=False)


def test_others_are_not_waited_for_without_end() -> None:
    patience = Patience(BEGIN)
    assert not all(patience.lasts(BEGIN + second, others=True) for second in range(int(OTHERS + GONE_AFTER) + 2))
