"""A provider on loopback that turns ill by a script, and keeps a log of what it has served.

It speaks the HTTP of OpenAI's API and gives the answers of `tests.loop`, so that a run through the
real `ChatOpenAI` ends with the same data whichever illness it has recovered from.
"""

import json
import random
import socket
import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from middo.core.ids import content_hash
from middo.providers.ladder import Mooring
from middo.providers.line import PROBE
from tests.loop import teacher

ROUNDS_OF_HANGING = 30.0
"""Seconds after which a hanging request is let go at the latest."""
LONG = 10_000_000
REPAIR = "That reply can't be used"

Illness = str
Script = Callable[["Asked"], Illness]
"""From a request to what happens to it: `fine`, or one of `ILLNESSES`."""


class Asked:
    """One request: its number among all, the question's hash, how often that was asked before."""

    def __init__(self, number: int, question: str, before: int, body: dict[str, Any]) -> None:
        self.number = number
        self.question = question
        self.before = before
        self.body = body

    @property
    def is_probe(self) -> bool:
        """Whether this is the line's tiny question, which belongs to no sample."""
        return bool(self.body["messages"][-1]["content"] == PROBE)

    @property
    def is_repair(self) -> bool:
        """Whether an answer that did not fit is asked for again."""
        return str(self.body["messages"][-1]["content"]).startswith(REPAIR)


def well(asked: Asked) -> Illness:
    """Answer everything."""
    return "fine"


class Provider(ThreadingHTTPServer):
    """Serves one script at a time; `served` counts the answers that were sent whole."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = Lock()
        self.let_go = Event()
        self.begin(well)

    def begin(self, script: Script) -> None:
        """Follow another script, with an empty log."""
        with self.lock:
            self.let_go.set()
            self.let_go = Event()
            self.script = script
            self.asked = 0
            self.served: Counter[str] = Counter()
            self.ill: Counter[Illness] = Counter()
            self.asks: defaultdict[str, int] = defaultdict(int)

    def turn(self, script: Script) -> None:
        """Follow another script and keep the log."""
        with self.lock:
            self.let_go.set()
            self.let_go = Event()
            self.script = script

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def take(self, body: dict[str, Any]) -> tuple[Asked, Illness]:
        with self.lock:
            messages = body["messages"]
            if str(messages[-1]["content"]).startswith(REPAIR):  # the same question, once more
                messages = messages[:-2]
            question = content_hash([messages, body.get("response_format")])
            asked = Asked(self.asked, question, self.asks[question], body)
            self.asked += 1
            self.asks[question] += 1
            illness = self.script(asked)
            self.ill[illness] += 1
            return asked, illness

    def start(self) -> Thread:
        thread = Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        return thread

    def stop(self, thread: Thread) -> None:
        self.let_go.set()
        self.shutdown()
        self.server_close()
        thread.join(5)


class Handler(BaseHTTPRequestHandler):
    """Answers, or does what the illness does."""

    protocol_version = "HTTP/1.1"
    server: Provider

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        let_go = self.server.let_go
        asked, illness = self.server.take(body)
        try:
            match illness:
                case "fine":
                    # Counted first: who has the answer may look at the log at once.
                    self._count(asked, 1)
                    try:
                        self._say(json.dumps(answer_to(body)))
                    except OSError:
                        self._count(asked, -1)
                        raise
                case "no answer":
                    self.close_connection = True
                    let_go.wait(ROUNDS_OF_HANGING)
                case "reset":
                    self._reset()
                case "cut":
                    self._say(json.dumps(answer_to(body)), promise=1_000)
                case "wrong schema":
                    self._say('{"reply": 4}')
                case "empty":
                    self._say("")
                case "half":
                    self._say('{"answer": "There are many')
                case "10 MB":
                    self._say(json.dumps({"answer": "word " * (LONG // 5)}))
                case "10 MB of openings":
                    self._say('{"a":[' * (LONG // 6))
                case "HTML":
                    self._send(200, b"<html><body>Back soon</body></html>", kind="text/html")
                case _:
                    self._refuse(illness)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client gave up

    def _count(self, asked: Asked, change: int) -> None:
        if not asked.is_probe:
            with self.server.lock:
                self.server.served[asked.question] += change

    def _refuse(self, illness: Illness) -> None:
        status, words, headers = REFUSALS[illness]
        code = "insufficient_quota" if "quota" in illness else None
        error = {"error": {"message": words, "code": code, "type": code}}
        self._send(status, json.dumps(error).encode(), headers=headers)

    def _say(self, content: str, promise: int = 0) -> None:
        message = {"role": "assistant", "content": content}
        reply = {
            "id": "r",
            "object": "chat.completion",
            "created": 1,
            "model": "ill-1",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }
        self._send(200, json.dumps(reply).encode(), promise=promise)

    def _send(
        self,
        status: int,
        data: bytes,
        *,
        kind: str = "application/json",
        headers: dict[str, str] | None = None,
        promise: int = 0,
    ) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data) + promise))
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = promise > 0

    def _reset(self) -> None:
        """Send half of an answer, then a TCP reset."""
        self.wfile.write(b'HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{"id": "r", "cho')
        self.wfile.flush()
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


REFUSALS: dict[Illness, tuple[int, str, dict[str, str]]] = {
    "429": (429, "slow down", {}),
    "429 for a moment": (429, "slow down", {"retry-after-ms": "15"}),
    "429 for ten minutes": (429, "slow down", {"retry-after": "590"}),
    "429 for a day": (429, "slow down", {"retry-after": "86400"}),
    "429 until no such day": (
        429,
        "slow down",
        {"retry-after": "Fri, 31 Dec 99999999999999999999 23:59:59 GMT"},
    ),
    "500": (500, "it broke", {}),
    "503": (503, "overloaded", {"retry-after-ms": "15"}),
    "401": (401, "the key was revoked", {}),
    "402": (402, "no credit is left", {}),
    "quota": (429, "you exceeded your current quota", {}),
}
PASSING = ("429", "429 for a moment", "500", "503", "reset", "cut", "HTML", "half", "empty")
"""What a question survives as long as it does not last."""
MISFITS = ("wrong schema", "empty", "half")
"""Answers that came, of no use; one of them is repaired, a second one is for good."""


def passing_mix(seed: int, share: float = 0.3) -> Script:
    """Make each question ill with this probability, up to three times, a misfit once at most."""

    def script(asked: Asked) -> Illness:
        draw = random.Random(f"{seed} {asked.question} {asked.before}")
        illness = draw.choice(PASSING)
        if asked.is_probe or asked.before >= 3 or draw.random() >= share:
            return "fine"
        return "500" if illness in MISFITS and asked.is_repair else illness

    return script


def lasting_mix(seed: int, share: float = 0.3) -> Script:
    """Make each request ill with this probability, and some questions for good."""
    kinds = (*PASSING, "wrong schema", "no answer", "poison")

    def script(asked: Asked) -> Illness:
        if asked.is_probe:
            return "fine"
        first = random.Random(f"{seed} {asked.question}")
        if first.random() < share / len(kinds):
            return first.choice(("500", "no answer", "HTML"))
        draw = random.Random(f"{seed} {asked.question} {asked.before}")
        illness = draw.choice(kinds)
        return illness if draw.random() < share and illness != "poison" else "fine"

    return script


def answer_to(body: dict[str, Any]) -> str | dict[str, Any]:
    """Return what the teacher of `tests.loop` answers."""
    wanted = body.get("response_format", {}).get("json_schema", {}).get("schema")
    if wanted is not None and wanted["properties"].keys() == Mooring.model_fields.keys():
        return {"harbour_name": "Lisbon", "boats_counted": 7}
    answer = teacher().answer
    assert answer is not None
    said = answer(_messages(body["messages"]), wanted)
    assert isinstance(said, str | dict)
    return said


def _messages(plain: Sequence[dict[str, Any]]) -> list[BaseMessage]:
    kinds = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    return [kinds[one["role"]](one["content"]) for one in plain]
