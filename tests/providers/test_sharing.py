from middo.providers.local.sharing import Lease, Shared


class Engine:
    def __init__(self, key: str) -> None:
        self.key = key
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_an_engine_is_shared_and_closed_by_its_last_user() -> None:
    made: list[Engine] = []

    def make(key: str) -> Engine:
        made.append(Engine(key))
        return made[-1]

    shared: Shared[str, Engine] = Shared(make)
    one, other, third = Lease(shared, "a"), Lease(shared, "a"), Lease(shared, "b")
    assert made == []
    assert one.open() is one.open() is other.open()
    assert third.open() is not one.open()
    one.close()
    one.close()
    assert "a" in shared
    assert made[0].closed == 0
    other.close()
    assert "a" not in shared
    assert [engine.closed for engine in made] == [1, 0]
    assert one.open() is not made[0]  # made anew
