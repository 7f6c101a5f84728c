"""A line's limits, retries and breaker, with a clock that only pauses move."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
from langchain_core.exceptions import ModelRateLimitError
from langchain_core.messages import AIMessage

from middo.core.chat import AnswerFailed
from middo.core.errors import Interrupted, ProviderError, StorageError
from middo.providers.line import COOL_DOWN, TRIES, Line, Lost, Refused
from middo.providers.scripted import ScriptedChat


class HTTPError(Exception):
    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(f"status {status}")
        self.status_code = status
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.response = type("Response", (), {"headers": named})()


class Time:
    """Virtual time: the earliest pause ends when nothing else can run."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        self._due: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        due = self.now + seconds
        self._due.append(due)
        try:
            while self.now < due:
                for _ in range(20):  # let everybody else come as far as they can
                    await asyncio.sleep(0)
                if self.now < due and min(self._due) == due:
                    self.now = due
        finally:
            self._due.remove(due)


def line(clock: Time, probe: Any = "ok", *, slots: int = 8, timeout: float | None = None) -> Line:
    model = ScriptedChat(answer=lambda messages, schema: probe)
    return Line(
        model,
        name="acme:m",
        slots=slots,
        timeout=timeout,
        pause=clock.pause,
        clock=clock,
        rng=lambda: 0.5,
    )


def probes(one: Line) -> int:
    assert isinstance(one.model, ScriptedChat)
    return len(one.model.calls)


def script(*outcomes: Any) -> Callable[[], Awaitable[Any]]:
    """Return a call that meets one outcome after the other, the last one for ever."""
    left = list(outcomes)

    async def call() -> Any:
        await asyncio.sleep(0)
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return call


@pytest.mark.parametrize(
    "error",
    [
        HTTPError(408),
        HTTPError(409),
        HTTPError(425),
        HTTPError(500),
        HTTPError(503),
        TimeoutError(),
        ConnectionError(),
        IndexError("list index out of range"),
    ],
)
async def test_what_may_pass_is_tried_five_times_with_growing_pauses(error: Exception) -> None:
    clock = Time()
    one = line(clock)
    assert await one.send(script(error, error, error, error, "done")) == "done"
    assert clock.pauses == [1.0, 2.0, 4.0, 8.0]
    assert (one.limit, one.busy, one.fault) == (8, 0, None)


async def test_pauses_are_spread_by_half_to_either_side() -> None:
    for drawn, expected in ((0.0, 0.5), (0.999, 1.499)):
        clock = Time()
        one = Line(
            ScriptedChat(replies=["ok"]),
            name="m",
            pause=clock.pause,
            clock=clock,
            rng=lambda drawn=drawn: drawn,  # type: ignore[misc]
        )
        await one.send(script(HTTPError(500), "done"))
        assert clock.pauses == pytest.approx([expected])


async def test_never_more_than_the_slots_are_in_flight() -> None:
    one = line(Time(), slots=3)
    most = 0

    async def call() -> None:
        nonlocal most
        most = max(most, one.busy)
        await asyncio.sleep(0)

    await asyncio.gather(*(one.send(call) for _ in range(20)))
    assert (most, one.busy) == (3, 0)


async def test_a_rate_limit_halves_the_limit_and_windows_of_answers_raise_it_again() -> None:
    clock = Time()
    one = line(clock)
    assert await one.send(script(HTTPError(429), "done")) == "done"
    assert one.limit == 4
    seen = []
    for _ in range(4 + 5 + 6 + 7):
        await one.send(script("done"))
        seen.append(one.limit)
    # The call that was limited was answered in the new window: it counts as the first of four.
    assert [seen.index(limit) + 1 for limit in (5, 6, 7, 8)] == [3, 8, 14, 21]


async def test_a_burst_of_refusals_halves_once_and_the_limit_never_falls_below_one() -> None:
    clock = Time()
    one = line(clock)
    calls = [one.send(script(HTTPError(429), "done")) for _ in range(8)]
    assert await asyncio.gather(*calls) == ["done"] * 8
    assert one.limit == 5  # 4, and eight answers since: one window of four
    await one.send(script(*[HTTPError(429)] * 6, "done"))
    assert one.limit == 2  # 1, and one answer since


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry_after": "30"}, 30.0), ({"retry_after_ms": "20500", "retry_after": "21"}, 20.5)],
)
async def test_every_call_waits_for_as_long_as_was_asked(
    headers: dict[str, str], seconds: float
) -> None:
    clock = Time()
    one = line(clock, slots=2)
    sent: list[float] = []

    async def call() -> str:
        sent.append(clock.now - 1000.0)
        if len(sent) == 1:
            raise HTTPError(429, **headers)
        return "done"

    first = asyncio.create_task(one.send(call))
    await asyncio.sleep(0)
    others = [one.send(call) for _ in range(3)]
    await asyncio.gather(first, *others)
    assert sent == [0.0, *[seconds] * 4]


async def test_an_overloaded_server_that_says_when_to_come_back_limits_the_rate() -> None:
    clock = Time()
    one = line(clock)
    assert await one.send(script(*[HTTPError(503, retry_after="9")] * 12, "done")) == "done"
    assert clock.pauses == [9.0] * 12
    assert one.limit == 2


async def test_rate_limits_use_up_no_tries_and_end_after_ten_minutes() -> None:
    clock = Time()
    one = line(clock, probe=HTTPError(429))
    with pytest.raises(ProviderError, match=r"acme:m is down: no answer within 600 s of waiting"):
        await one.send(script(ModelRateLimitError("slow down")))
    assert clock.pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, *[60.0] * 8]
    patient = line(Time(), probe=HTTPError(429))
    mixed = [HTTPError(429)] * 7 + [HTTPError(500)] * 4
    assert await patient.send(script(*mixed, "done")) == "done"


async def test_a_wait_of_hours_is_not_begun() -> None:
    clock = Time()
    with pytest.raises(ProviderError, match="rate limit"):
        await line(clock, probe=HTTPError(429)).send(script(HTTPError(429, retry_after="9000")))
    assert clock.pauses == []


async def test_a_request_that_fails_while_others_are_answered_is_lost_alone() -> None:
    clock = Time()
    one = line(clock)
    poison = asyncio.create_task(one.send(script(HTTPError(500))))
    while len(clock.pauses) < TRIES - 1:
        await asyncio.sleep(0)
    assert await one.send(script("done")) == "done"
    with pytest.raises(Lost, match=r"no answer in 5 tries .*status 500.*others are answered"):
        await poison
    assert probes(one) == 0
    assert one.fault is None


async def test_what_was_still_answered_when_the_provider_fell_ill_proves_nothing_later() -> None:
    clock = Time()
    one = line(clock, probe=HTTPError(500))
    first = asyncio.create_task(one.send(script(HTTPError(500))))
    while not clock.pauses:
        await asyncio.sleep(0)
    assert await one.send(script("done")) == "done"  # it was under way already
    with pytest.raises(ProviderError, match="acme:m is down"):
        await first
    assert probes(one) == 1


async def test_an_answer_before_the_first_failure_proves_nothing() -> None:
    one = line(Time(), probe=HTTPError(500))
    await one.send(script("done"))
    with pytest.raises(ProviderError, match="acme:m is down"):
        await one.send(script(HTTPError(500)))
    assert probes(one) == 1


async def test_a_probe_that_is_answered_makes_it_this_request_and_its_tokens_count() -> None:
    one = line(Time())
    with pytest.raises(Lost, match="probe is answered") as lost:
        await one.send(script(HTTPError(500)))
    assert isinstance(lost.value, AnswerFailed)
    assert lost.value.probe is not None
    assert lost.value.probe.usage_metadata is not None
    assert lost.value.probe.usage_metadata["output_tokens"] == 1
    assert one.fault is None


async def test_calls_that_are_used_up_together_share_one_probe() -> None:
    one = line(Time())
    calls = [one.send(script(HTTPError(500))) for _ in range(6)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Lost] * 6
    assert probes(one) == 1
    assert sum(o.probe is not None for o in outcomes if isinstance(o, Lost)) == 1


async def test_a_provider_that_is_down_stops_every_call_of_the_line_at_once() -> None:
    clock = Time()
    one = line(clock, probe=ConnectionError("refused"), slots=2)
    calls = [one.send(script(ConnectionError("refused"))) for _ in range(10)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {str(outcome) for outcome in outcomes} == {
        "acme:m is down: no answer in 5 tries (ConnectionError: refused); check the network and "
        "the provider's status, then `middo resume`"
    }
    assert {type(outcome) for outcome in outcomes} == {ProviderError}
    assert probes(one) == 1
    assert one.busy == 0
    sent: list[int] = []
    with pytest.raises(ProviderError, match="acme:m is down"):
        await one.send(lambda: _note(sent))
    assert sent == []


async def _note(sent: list[int]) -> str:
    sent.append(1)
    await asyncio.sleep(0)
    return "done"


async def test_after_the_cool_down_one_call_tries_and_its_answer_closes_the_line() -> None:
    clock = Time()
    one = line(clock, probe=ConnectionError())
    with pytest.raises(ProviderError):
        await one.send(script(ConnectionError()))
    clock.now += COOL_DOWN
    sent: list[int] = []
    outcomes = await asyncio.gather(
        *(one.send(lambda: _note(sent)) for _ in range(4)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [str, *[ProviderError] * 3]
    assert len(sent) == 1
    assert one.fault is None
    assert await one.send(script("done")) == "done"


async def test_a_trial_that_fails_opens_the_line_for_another_cool_down() -> None:
    clock = Time()
    one = line(clock, probe=ConnectionError())
    with pytest.raises(ProviderError):
        await one.send(script(ConnectionError()))
    clock.now += COOL_DOWN
    begun = len(clock.pauses)
    with pytest.raises(ProviderError, match="still down"):
        await one.send(script(ConnectionError()))
    assert len(clock.pauses) == begun  # one try, no pauses
    with pytest.raises(ProviderError, match="still down"):
        await one.send(script("done"))
    clock.now += COOL_DOWN
    assert await one.send(script("done")) == "done"


@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_wrong_credentials_open_the_line_at_once_without_a_probe(status: int) -> None:
    clock = Time()
    one = line(clock)
    waiting = asyncio.create_task(one.send(script(HTTPError(500), "done")))
    while not clock.pauses:
        await asyncio.sleep(0)
    with pytest.raises(ProviderError, match="check key, quota and model name"):
        await one.send(script(HTTPError(status)))
    with pytest.raises(ProviderError, match="check key"):
        await waiting
    assert probes(one) == 0
    assert len(clock.pauses) == 1


async def test_a_refused_request_is_the_callers_business() -> None:
    one = line(Time())
    with pytest.raises(Refused, match="status 400"):
        await one.send(script(HTTPError(400)))
    assert one.fault is None


async def test_a_try_that_takes_too_long_is_given_up_and_tried_again() -> None:
    one = line(Time(), timeout=0.01)
    begun = 0

    async def call() -> str:
        nonlocal begun
        begun += 1
        if begun < 3:
            await asyncio.sleep(60)
        return "done"

    assert await one.send(call) == "done"
    assert (begun, one.busy) == (3, 0)


async def test_time_outs_to_the_end_name_the_time() -> None:
    async def hang(*_: Any) -> str:
        await asyncio.sleep(60)
        return "never"

    one = line(Time(), timeout=0.005)
    with pytest.raises(Lost, match=r"5 tries \(TimeoutError: no reply within 0.005 s\)"):
        await one.send(hang)


async def test_cancelled_calls_leave_no_slot_taken_wherever_they_were() -> None:
    clock = Time()
    one = line(clock, slots=1)
    gate = asyncio.Event()

    async def block() -> str:
        await gate.wait()
        return "done"

    holding = asyncio.create_task(one.send(block))
    queued = [asyncio.create_task(one.send(script("done"))) for _ in range(3)]
    await asyncio.sleep(0.001)
    queued[0].cancel()  # in the queue
    holding.cancel()  # in flight; its slot goes to the next, which is cancelled with it in hand
    await asyncio.sleep(0)
    queued[1].cancel()
    assert await queued[2] == "done"
    retrying = asyncio.create_task(one.send(script(HTTPError(429, retry_after="5"), "done")))
    while not clock.pauses:
        await asyncio.sleep(0)
    retrying.cancel()  # held
    await asyncio.gather(holding, *queued, retrying, return_exceptions=True)
    assert one.busy == 0
    assert await one.send(script("done")) == "done"


async def test_a_cancelled_trial_lets_the_next_call_try() -> None:
    clock = Time()
    one = line(clock, probe=ConnectionError())
    with pytest.raises(ProviderError):
        await one.send(script(ConnectionError()))
    clock.now += COOL_DOWN
    trial = asyncio.create_task(one.send(asyncio.Event().wait))
    await asyncio.sleep(0.001)
    trial.cancel()
    await asyncio.gather(trial, return_exceptions=True)
    assert await one.send(script("done")) == "done"


def test_a_line_outlives_an_event_loop_that_was_cut_short() -> None:
    clock = Time()
    one = line(clock, slots=1)

    async def cut() -> None:
        tasks = [asyncio.create_task(one.send(asyncio.Event().wait)) for _ in range(3)]
        await asyncio.sleep(0.001)
        assert (one.busy, len(tasks)) == (1, 3)

    asyncio.run(cut())
    assert one.busy == 0
    assert asyncio.run(one.send(script(AIMessage("done")))).text == "done"


async def test_a_call_that_waits_to_be_sent_again_is_not_sent_once_none_may_be() -> None:
    clock, sent = Time(), list[int]()
    full: list[StorageError] = []

    def may_call() -> None:
        if full:
            raise full[0]

    async def refuse() -> str:
        sent.append(1)
        full.append(StorageError("ledger.db: can't be written"))
        raise HTTPError(503)

    model = ScriptedChat(replies=["ok"])
    busy = Line(model, name="acme:m", may_call=may_call, pause=clock.pause, clock=clock)
    with pytest.raises(StorageError, match="can't be written"):
        await busy.send(refuse)
    assert sent == [1]
    assert busy.fault is None  # it is not the provider that is down


class Wish:
    """What a signal leaves behind; `heed` is what a run hands to its lines."""

    def __init__(self) -> None:
        self.made = False

    def heed(self) -> None:
        if self.made:
            raise Interrupted("stopped")


async def soon(waiting: Iterable[asyncio.Task[Any]], wish: Wish) -> list[BaseException | Any]:
    """Wish to stop once the tasks wait; return what became of them within a second."""
    tasks = list(waiting)
    await asyncio.sleep(0.02)
    assert not any(task.done() for task in tasks)
    wish.made = True
    async with asyncio.timeout(1):
        return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("illness", [HTTPError(429, retry_after="590"), HTTPError(503)])
async def test_a_wish_to_stop_ends_the_wait_for_another_try_and_for_a_rate_limit(
    illness: HTTPError,
) -> None:
    wish, asked = Wish(), list[int]()
    one = Line(ScriptedChat(replies=["ok"]), name="m", slots=2, heed=wish.heed, rng=lambda: 0.9)

    async def refuse() -> None:
        asked.append(1)
        await asyncio.sleep(0)
        raise illness

    ended = await soon((asyncio.create_task(one.send(refuse)) for _ in range(2)), wish)
    assert [type(error) for error in ended] == [Interrupted] * 2
    assert len(asked) == 2
    assert (one.busy, one.fault, probes(one)) == (0, None, 0)
    wish.made = False
    one = Line(ScriptedChat(replies=["ok"]), name="m", heed=wish.heed)
    assert await one.send(script("done")) == "done"


async def test_a_wish_to_stop_ends_the_wait_for_a_slot_and_lets_what_was_sent_finish() -> None:
    wish, gate = Wish(), asyncio.Event()
    one = Line(ScriptedChat(replies=["ok"]), name="m", slots=1, heed=wish.heed)

    async def block() -> str:
        await gate.wait()
        return "done"

    sent = asyncio.create_task(one.send(block))
    await asyncio.sleep(0)
    ended = await soon((asyncio.create_task(one.send(script("never"))) for _ in range(3)), wish)
    assert [type(error) for error in ended] == [Interrupted] * 3
    assert one.busy == 1
    gate.set()
    assert await sent == "done"
    assert one.busy == 0


async def test_a_call_that_used_up_its_tries_asks_no_probe_once_the_run_is_to_stop() -> None:
    wish, clock, tries = Wish(), Time(), list[int]()
    model = ScriptedChat(replies=["ok"])
    one = Line(model, name="m", heed=wish.heed, pause=clock.pause, clock=clock)

    async def refuse() -> None:
        tries.append(1)
        wish.made = len(tries) == TRIES
        await asyncio.sleep(0)
        raise HTTPError(503)

    with pytest.raises(Interrupted):
        await one.send(refuse)
    assert (len(tries), probes(one), one.fault) == (TRIES, 0, None)
