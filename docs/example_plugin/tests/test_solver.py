"""Does the solver behave? The suite knows."""

from memplan.solving.testing import check_solver


def test_it_conforms() -> None:
    assert check_solver("keep_or_reload") > 100
