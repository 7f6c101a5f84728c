"""How the command's process ends when it is asked to stop at the wrong moment."""

import subprocess
import sys

LATE = """
import os, signal, sys
from functools import partial
from middo.cli import main as command

command.carry_out = lambda *_: 130

class Last:
    kill = partial(os.kill, os.getpid(), signal.{name})

    def __del__(self):
        self.kill()
        self.kill = None

sys.last_of_all = Last()
command.main()
"""
AMONG = """
import os, signal
from middo.cli import main as command

class Finalized:
    def __del__(self): raise KeyboardInterrupt

def carry_out(*_):
    Finalized()
    return 0

command.carry_out = carry_out
command.main()
"""


def test_a_signal_while_the_interpreter_ends_leaves_the_exit_code() -> None:
    for name in ("SIGINT", "SIGTERM"):
        ended = subprocess.run([sys.executable, "-c", LATE.format(name=name)], check=False)
        assert ended.returncode == 130


def test_ctrl_c_in_a_finalizer_prints_no_traceback() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", AMONG], check=False, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
