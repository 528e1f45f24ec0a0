"""Hosts on raw sockets that follow a script: what they send, when they stop, and how they close.

A host runs in threads of its own with blocking calls, so that nothing of it runs in the event loop under test.
"""

import contextlib
import errno
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

PATIENCE_S = 10.0
"""A host that waits longer than this for its client gives up, and the test fails on what is then missing."""


class End(Enum):
    """How a host ends a connection."""

    FIN = "fin"
    """Nothing more will be sent; what the client sends is still taken."""
    RESET = "reset"


Step = bytes | float | End
"""Sent at once, waited for in seconds, or the end of the connection."""
Steps = Sequence[Step]


class Visit:
    """One connection of a client, seen by the host."""

    def __init__(self, host: "Host", sock: socket.socket, number: int) -> None:
        self.number = number
        self.requests = 0
        self.sent = 0
        """Bytes that the operating system has taken."""
        self.gone_at: float | None = None
        """`time.monotonic()` of the client's close, where the script has waited for it."""
        self._host = host
        self._sock = sock
        self._got = b""

    def asked(self) -> bytes | None:
        """The next whole request, None where the client has closed."""
        while (end := self._got.find(b"\r\n\r\n")) < 0:
            if not self._more():
                return None
        length = 0
        for line in self._got[:end].split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        whole = end + 4 + length
        while len(self._got) < whole:
            if not self._more():
                return None
        request, self._got = self._got[:whole], self._got[whole:]
        self._host.took(self, request)
        return request

    def head(self) -> None:
        """Reads the head of a request, or somewhat more of it."""
        while b"\r\n\r\n" not in self._got and self._more():
            pass

    def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            taken = self._sock.send(view[: 1 << 16])
            self.sent += taken
            view = view[taken:]

    def follow(self, steps: Steps) -> bool:
        """Does what the steps say; False after the end of the connection."""
        for step in steps:
            if isinstance(step, bytes):
                self.send(step)
            elif isinstance(step, float):
                time.sleep(step)
            else:
                self.end(step)
                return False
        return True

    def end(self, how: End) -> None:
        if how is End.RESET:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._sock.close()
        else:
            self._sock.shutdown(socket.SHUT_WR)

    def gone(self) -> None:
        """Waits for the client to close."""
        with contextlib.suppress(ConnectionError):
            while self._more():
                pass
        self.gone_at = time.monotonic()

    def _more(self) -> bool:
        data = self._sock.recv(1 << 16)
        self._got += data
        return bool(data)


Script = Callable[[Visit], None]
"""Serves one connection; it is closed when the script returns."""


@dataclass
class Host:
    """A running host."""

    url: str = ""
    visits: list[Visit] = field(default_factory=list)
    requests: list[tuple[int, bytes]] = field(default_factory=list)
    """Number of the connection and the request, in the order in which they came."""
    open: int = 0
    """Connections that neither side has closed."""
    most_open: int = 0
    failures: list[BaseException] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def took(self, visit: Visit, request: bytes) -> None:
        with self._lock:
            visit.requests += 1
            self.requests.append((visit.number, request))

    def comes(self, sock: socket.socket) -> Visit:
        with self._lock:
            visit = Visit(self, sock, len(self.visits))
            self.visits.append(visit)
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        return visit

    def leaves(self) -> None:
        with self._lock:
            self.open -= 1

    def until(self, what: Callable[["Host"], bool], seconds: float = PATIENCE_S) -> bool:
        """Waits until something holds of this host; False where it does not in time."""
        limit = time.monotonic() + seconds
        while not what(self):
            if time.monotonic() > limit:
                return False
            time.sleep(0.002)
        return True


class _Listener:
    def __init__(self, host: Host, script: Script, family: socket.AddressFamily, tls: ssl.SSLContext | None) -> None:
        self._host = host
        self._script = script
        self._tls = tls
        self._stopping = False
        self._open: set[socket.socket] = set()
        self._sock = socket.socket(family, socket.SOCK_STREAM)
        self._sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self._sock.listen(512)
        self.port: int = self._sock.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._stopping:
            try:
                sock, _ = self._sock.accept()
            except OSError:
                return
            if self._stopping:
                sock.close()
                return
            self._open.add(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        sock = plain
        sock.settimeout(PATIENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        visit = self._host.comes(sock)
        try:
            if self._tls is not None:
                visit._sock = sock = self._tls.wrap_socket(sock, server_side=True)
            self._script(visit)
        except (ssl.SSLError, ConnectionError):
            pass  # the client's doing; what it sees is what the test looks at
        except OSError as error:
            # A client that reset the connection leaves a socket which is no longer connected.
            if not self._stopping and error.errno != errno.ENOTCONN:
                self._host.failures.append(error)
        except BaseException as error:
            self._host.failures.append(error)
        finally:
            self._host.leaves()
            sock.close()
            plain.close()

    def stop(self) -> None:
        self._stopping = True
        for sock in (self._sock, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        self._sock.close()


@contextmanager
def peer(
    script: Script, *, family: socket.AddressFamily = socket.AF_INET, tls: ssl.SSLContext | None = None
) -> Iterator[Host]:
    """Runs a host for the length of a `with` block. A script that raised fails the block."""
    host = Host()
    listener = _Listener(host, script, family, tls)
    name = "[::1]" if family == socket.AF_INET6 else "127.0.0.1"
    host.url = f"{'https' if tls else 'http'}://{name}:{listener.port}"
    try:
        yield host
    finally:
        listener.stop()
    assert not host.failures, host.failures


def answering(*answers: Steps) -> Script:
    """A script that answers the first request, on whatever connection it comes, with the first steps, and so on.

    When the answers have run out it sends none.
    """
    left = list(answers)
    lock = threading.Lock()

    def script(visit: Visit) -> None:
        while visit.asked() is not None:
            with lock:
                steps = left.pop(0) if left else []
            if not visit.follow(steps):
                return

    return script


def certificate(folder: Path, name: str = "localhost", address: str = "127.0.0.1") -> tuple[Path, ssl.SSLContext]:
    """(the file of a certificate that signs itself, a host's context with it). Needs the openssl command."""
    key, pem = folder / f"{name}.key", folder / f"{name}.pem"
    wanted = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:{address}"]
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*made, "-days", "2", "-keyout", key, "-out", pem, *wanted], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return pem, context
