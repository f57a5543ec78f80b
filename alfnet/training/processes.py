"""The processes of one training: each knows when another one ends, however that happens, and then ends too.

A collective operation whose partner has died may fail at once (gloo), after minutes (NCCL) or not at all, when the
process is busy elsewhere. So each process also keeps a connection to the first one. The system closes it when a process
ends, by `kill -9` too, and keep-alive packets find a machine that is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment

from alfnet.errors import AlfnetError

SECONDS_TO_END = 5.0
"""How long a process may take to end by itself when another one has ended."""
SECONDS_TO_MEET = 60.0
KEEP_ALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""Seconds of silence, seconds between packets, packets: a machine that is gone is noticed after 20 s."""

STARTER = "ALFNET_TRAINING_STARTER"
_SET_PARENT_DEATH_SIGNAL = 1  # prctl's PR_SET_PDEATHSIG


@contextmanager
def one_of_several(fabric: Fabric) -> Iterator[None]:
    """Within the block the end of one process of the training ends all of them, within 30 seconds.

    Its own error, or that it gave none, is said by the others too, whose output may be on another machine. Errors name
    the process. On Linux; nothing happens where there is one process.
    """
    if fabric.world_size == 1:
        yield
        return
    me = f"process {fabric.global_rank} of {fabric.world_size}"
    watch = _Watch(fabric)
    _end_with_starter(None)  # from here on the watch sees it
    try:
        yield
    except AlfnetError as error:
        watch.leave(str(error))
        raise AlfnetError(f"{me}: {error}") from None
    except RuntimeError as error:
        # What gloo and NCCL raise has types of its own or none, but their names are in it.
        said = f"{type(error).__name__} {error}".lower()
        if not any(word in said for word in ("gloo", "nccl", "connection", "distributed")):
            watch.leave(said)
            raise
        if watch.said.wait(SECONDS_TO_END):
            sys.exit(2)
        watch.leave("another process cannot be reached")
        raise AlfnetError(
            f"{me}: another process of this training has ended or cannot be reached; its own message says why"
        ) from None
    except Exception as error:
        watch.leave(f"{type(error).__name__}: {error}")
        raise
    except BaseException:  # Ctrl-C, SIGTERM
        watch.leave("it was stopped")
        raise
    else:
        watch.leave()


def end_with_starter(fabric: Fabric) -> None:
    """Call before `fabric.launch`: processes that this one starts then end with it from their first moment.

    Until they have met they would wait half an hour for it. torchrun and srun watch over theirs.
    """
    if not isinstance(getattr(fabric.strategy, "cluster_environment", None), LightningEnvironment):
        return
    if "LOCAL_RANK" not in os.environ:
        os.environ[STARTER] = str(os.getpid())
    elif STARTER in os.environ:
        _end_with_starter(int(os.environ[STARTER]))


def _end_with_starter(starter: int | None) -> None:
    """Ask for SIGTERM when the process `starter` ends; None takes it back. Does nothing where the system cannot."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM if starter else 0)
    if starter and os.getppid() != starter:
        raise AlfnetError("the process that started this one of a training has ended; ending too")


class _Watch:
    """A thread that waits for the end of others; the first process has a connection to each, the others to the first."""

    def __init__(self, fabric: Fabric) -> None:
        self.rank, self.world = fabric.global_rank, fabric.world_size
        self.said = threading.Event()
        """Set when the end of another process has been seen and said."""
        self._left: set[int] = set()
        self._peers: dict[int, socket.socket] = {}
        self._meet(fabric)
        if self._peers:
            threading.Thread(target=self._watch, name="watch of the other processes", daemon=True).start()

    def leave(self, error: str | None = None) -> None:
        """Tell the others that this process ends: as it should, or by an error."""
        for peer in self._peers.values():
            _tell(peer, self.rank, error)
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_WR)  # what arrives is read on, or the kernel would drop what was just sent

    def _meet(self, fabric: Fabric) -> None:
        several_machines = getattr(fabric.strategy, "num_nodes", 1) > 1
        server = None
        if self.rank == 0:
            if several_machines and socket.has_dualstack_ipv6():
                server = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=self.world)
            else:
                server = socket.create_server(("" if several_machines else "127.0.0.1", 0), backlog=self.world)
        place: tuple[int, str] = (server.getsockname()[1], secrets.token_hex(16)) if server else (0, "")
        port, token = fabric.broadcast(place)
        try:
            if server:
                self._accept(server, token)
            else:
                address = os.environ.get("MASTER_ADDR", "127.0.0.1") if several_machines else "127.0.0.1"
                peer = socket.create_connection((address, port), SECONDS_TO_MEET)
                peer.sendall(f"{token} {self.rank}\n".encode())
                self._peers[0] = peer
        except OSError as error:
            print(
                f"process {self.rank} of {self.world}: cannot watch the others ({error}); one that dies may leave the rest "
                "waiting for minutes",
                file=sys.stderr,
            )
        for peer in self._peers.values():
            peer.settimeout(None)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in KEEP_ALIVE.items():
                if hasattr(socket, name):
                    peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def _accept(self, server: socket.socket, token: str) -> None:
        with server:
            server.settimeout(SECONDS_TO_MEET)
            while len(self._peers) < self.world - 1:
                peer, _ = server.accept()
                peer.settimeout(SECONDS_TO_MEET)
                words = _line(peer).split()
                if len(words) == 2 and secrets.compare_digest(words[0], token):
                    self._peers[int(words[1])] = peer
                else:
                    peer.close()

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            for rank, peer in self._peers.items():
                selector.register(peer, selectors.EVENT_READ, rank)
            while selector.get_map():
                for key, _ in selector.select():
                    rank, message = key.data, _received(self._peers[key.data])
                    if message is not None and message["error"] is None:
                        self._left.add(rank)
                    elif rank not in self._left:
                        self._end(message or {"rank": rank, "error": "it was killed, or its machine is gone"})
                    else:
                        selector.unregister(key.fileobj)

    def _end(self, message: dict[str, Any]) -> NoReturn:
        """Say which process has ended, tell the others, and end this one if it does not by itself."""
        print(
            f"error: process {self.rank} of {self.world}: process {message['rank']} has ended ({message['error']}); "
            "ending too. The same command goes on from the last checkpoint",
            file=sys.stderr,
            flush=True,
        )
        self.said.set()
        if self.rank == 0:
            for rank, peer in self._peers.items():
                if rank != message["rank"]:
                    _tell(peer, message["rank"], message["error"])
        threading.Event().wait(SECONDS_TO_END)
        os._exit(2)  # it may hang within a collective operation, or in the libraries' own clean-up


def _tell(peer: socket.socket, rank: int, error: str | None) -> None:
    with contextlib.suppress(OSError):
        peer.sendall(json.dumps({"rank": rank, "error": error}).encode() + b"\n")


def _received(peer: socket.socket) -> dict[str, Any] | None:
    """The next message of a process; None when there will be none."""
    try:
        message = json.loads(_line(peer))
    except (OSError, ValueError):
        return None
    return message if isinstance(message, dict) and message.keys() == {"rank", "error"} else None


def _line(peer: socket.socket) -> str:
    """A line, or what has come of it before the connection was closed. Lines are few and short."""
    text = b""
    while not text.endswith(b"\n") and (byte := peer.recv(1)):
        text += byte
    return text.decode(errors="replace")
