"""Carry out commands of `middo`, each in a process of its own, with the libraries loaded once.

    python -m tests.torture.commands     reads a JSON line per command, answers with its exit code

A command's environment, folder, standard output and standard error are its own.
"""

import json
import os
import signal
import sys
from typing import Any, NoReturn

PATIENCE = 300
"""Seconds after which a command counts as one that hangs, and is killed."""


def serve() -> None:
    """Fork for every line on standard input until it ends."""
    import chromadb
    import peft
    import torch

    import middo.graph.build
    import middo.training.scorer
    import middo.training.sft

    assert chromadb and peft and torch and middo.graph.build
    assert middo.training.scorer and middo.training.sft
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _carry_out(order)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _carry_out(order: dict[str, Any]) -> NoReturn:
    code = 70
    try:
        signal.alarm(PATIENCE)
        for number, name in ((0, os.devnull), (1, order["out"]), (2, order["err"])):
            handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(handle, number)
            os.close(handle)
        os.chdir(order["folder"])
        os.environ.update(order["environment"])
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
        sys.argv = ["middo", *order["arguments"]]
        from middo.cli.main import main

        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
