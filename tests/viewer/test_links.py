from middo.viewer.links import Served


def test_empty_filters_are_left_out_of_an_address() -> None:
    links = Served()
    assert links.samples() == "/samples"
    assert links.samples(round=0, text="", cluster=None) == "/samples?round=0"
    assert links.samples(text="a&b=c d") == "/samples?text=a%26b%3Dc+d"


def test_an_id_is_one_part_of_the_path() -> None:
    assert Served().sample("../a?b#c") == "/samples/..%2Fa%3Fb%23c"
