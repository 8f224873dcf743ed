"""A clean process that has the libraries imported and forks one child per piece of work.

A fresh interpreter needs seconds to import the learning libraries; a fork of one that has them
needs milliseconds. Forking is safe here because this process has one thread and never runs
parallel code itself. It does not import the user's script, so a script needs no
`if __name__ == "__main__"` guard.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import importlib
import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from socket import socketpair
from typing import NoReturn

from promise.engine.memory import pss_mb
from promise.engine.messages import NO_ROOM, Ended, Outcome, Request, Started
from promise.errors import PromiseError, disk_is_full

PRELOAD = (
    "numpy",
    "scipy.sparse",
    "scipy.special",
    "sklearn.linear_model",
    "sklearn.ensemble",
    "lightgbm",
    "xgboost",
)
"""Imported before the first fork; PyTorch is not, since most work does without it."""

_PR_SET_PDEATHSIG = 1
_NO_OUTCOME, _NO_FORK = 70, 71  # exit codes
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from promise.engine.zygote import serve; serve(int(sys.argv[2]), json.loads(sys.argv[3]))"
)
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_QUIET = {
    "PYTHONHASHSEED": "0",  # the order of sets is the same in every run
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # Arrow would start a thread at import
}


class Zygote:
    """The parent's end: starts the process, sends requests, receives what became of them."""

    def __init__(self, log: Path, preload: Sequence[str] = PRELOAD) -> None:
        ours, theirs = socketpair()
        environment = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1"), **_QUIET}
        with theirs, log.open("ab") as errors:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    _BOOT,
                    json.dumps([p or os.getcwd() for p in sys.path]),  # noqa: PTH109
                    str(theirs.fileno()),
                    json.dumps(list(preload)),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                env=environment,
                start_new_session=True,  # the terminal's Ctrl-C is the parent's to handle
            )
        self._connection = Connection(ours.detach())

    @property
    def pid(self) -> int:
        """Process id of the zygote."""
        return self._process.pid

    def send(self, request: Request) -> None:
        """Ask for a child; OSError when the zygote is gone."""
        self._connection.send_bytes(pickle.dumps(request))

    def receive(self, timeout_s: float) -> list[Started | Ended]:
        """Return what has happened, waiting at most this long; EOFError when the zygote is gone."""
        messages: list[Started | Ended] = []
        try:
            while self._connection.poll(0 if messages else timeout_s):
                messages.append(pickle.loads(self._connection.recv_bytes()))
        except OSError as error:
            raise EOFError from error
        return messages

    def close(self) -> None:
        """End the zygote, and with it every child; returns when it is gone."""
        self._connection.close()
        self._process.kill()
        self._process.wait()


def serve(descriptor: int, preload: Sequence[str]) -> None:
    """Be the zygote: import, then fork a child per request until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for module in preload:
        with contextlib.suppress(Exception):  # a library that is absent is the child's to report
            importlib.import_module(module)
    libc = ctypes.CDLL(None, use_errno=True)
    awake, alarm = os.pipe()
    os.set_blocking(alarm, False)
    signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    gc.collect()
    gc.freeze()  # the collector then leaves the shared pages untouched in children
    connection = Connection(descriptor)
    numbers: dict[int, int] = {}  # child's process id to the request's number
    try:
        while True:
            ready = wait([connection, awake])
            if awake in ready:
                os.read(awake, 4096)
                _reap(connection, numbers)
            if connection in ready:
                request = pickle.loads(connection.recv_bytes())
                _fork(connection, request, numbers, libc)
    except (EOFError, OSError):  # the parent closed its end, or died
        for pid in numbers:
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
        os._exit(0)


def _reap(connection: Connection, numbers: dict[int, int]) -> None:
    """Tell the parent about every child that has ended."""
    while numbers:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        ended = Ended(numbers.pop(pid), os.waitstatus_to_exitcode(status))
        connection.send_bytes(pickle.dumps(ended))


def _fork(
    connection: Connection, request: Request, numbers: dict[int, int], libc: ctypes.CDLL
) -> None:
    """Fork a child for one request and tell the parent its process id."""
    if request.module.startswith("promise.") and request.module not in sys.modules:
        with contextlib.suppress(Exception):  # the child meets and reports the same error
            importlib.import_module(request.module)
            gc.freeze()
    zygote = os.getpid()
    try:
        pid = os.fork()
    except OSError:  # no process or memory to be had: this work fails, the zygote stays
        traceback.print_exc()
        connection.send_bytes(pickle.dumps(Ended(request.number, _NO_FORK)))
        return
    if pid == 0:
        status = _NO_OUTCOME
        try:
            connection.close()
            _become_child(request, zygote, libc)
            _work(request)
        except BaseException as error:  # the outcome could not be written: the log says why
            status = NO_ROOM if disk_is_full(error) else status
            _log()
        finally:  # whatever happens, a child never goes on as the zygote
            os._exit(status)
    with contextlib.suppress(OSError):  # the child does the same; whoever comes first
        os.setpgid(pid, pid)
    numbers[pid] = request.number
    connection.send_bytes(pickle.dumps(Started(request.number, pid)))


def _become_child(request: Request, zygote: int, libc: ctypes.CDLL) -> None:
    """Take an own process group and own streams; die with the zygote."""
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    if sys.platform == "linux":
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != zygote:  # it died before the request took effect
            os._exit(_NO_OUTCOME)
        with contextlib.suppress(OSError):  # should the machine run out, children go first
            Path("/proc/self/oom_score_adj").write_text("500")
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(request.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable()
    sys.path[:] = request.path
    with contextlib.suppress(OSError):
        os.chdir(request.folder)


def _work(request: Request) -> NoReturn:
    """Run the call and leave its outcome; the file is whole or absent."""
    try:
        if request.threads > 1:
            _allow_threads(request.threads)
        function, arguments = pickle.loads(request.call)
        written = pickle.dumps(Outcome(value=function(*arguments), pss_mb=pss_mb(os.getpid())))
    except BaseException as error:  # everything is reported, even SystemExit
        _log()
        written = pickle.dumps(_failure(error))
    part = Path(request.result + ".part")
    part.write_bytes(written)
    part.replace(request.result)
    with contextlib.suppress(OSError):  # a log that the disk has no room for
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)


def _log() -> None:
    """Write the error at hand into the log, where the disk has room for it."""
    with contextlib.suppress(OSError):
        traceback.print_exc()
        sys.stderr.flush()


def _failure(error: BaseException) -> Outcome:
    """Describe an error in one line; keep the error itself where the user can act on it."""
    first_line = str(error).strip().splitlines()[:1]
    own = isinstance(error, PromiseError)
    return Outcome(
        error=str(error) if own else ": ".join([type(error).__name__, *first_line]),
        out_of_memory=isinstance(error, MemoryError),
        disk_full=disk_is_full(error),
        cause=error if isinstance(error, PromiseError) and _picklable(error) else None,
        pss_mb=pss_mb(os.getpid()),
    )


def _picklable(error: Exception) -> bool:
    """Say whether an error survives the way to the parent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return False
    return True


def _allow_threads(threads: int) -> None:
    """Let the libraries' thread pools grow to this size; they start with one thread each."""
    with contextlib.suppress(ImportError):
        importlib.import_module("threadpoolctl").threadpool_limits(threads)
    for name in _ONE_THREAD:
        os.environ[name] = str(threads)
