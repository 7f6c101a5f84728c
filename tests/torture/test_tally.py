from tests.torture.tally import summed, table


def test_figures_of_the_same_row_are_added_up() -> None:
    told = [("kills", {"survived": 1}), ("faults", {"met": 3}), ("kills", {"survived": 1_200})]
    assert table(summed(told)) == ["faults  3 met", "kills   1,201 survived"]
