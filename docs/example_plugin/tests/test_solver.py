"""Does the solver behave? The suite knows."""

from memplan import testing


def test_it_conforms() -> None:
    assert testing.check_solver("keep_or_reload") > 100
