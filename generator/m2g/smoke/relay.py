"""Let clients on this machine reach a model whose server has a network of its own.

The socket is opened before the walls are built and goes through every stage; a socket keeps the network in which it was
made. The model's code never gets it: m2g copies the bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from m2g.core.errors import InputError

HOST = "127.0.0.1"
_PIECE = 64 << 10
_POLL = 0.2


def open_listener(port: int) -> int:
    """A listening socket on the loopback address, as a file descriptor that the next stages inherit; 0 is any port.

    Raises InputError if the port is in use.
    """
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        hint = "stop the program that uses it, name another port, or remove --port: m2g finds a free one"
        raise InputError(f"port {port} cannot be used: {error.strerror}", hint=hint) from error
    listener.set_inheritable(True)
    return listener.detach()


def find_address(listener: int) -> str:
    """The URL at which clients reach the listener."""
    with socket.socket(fileno=listener) as one:
        try:
            return f"http://{HOST}:{one.getsockname()[1]}"
        finally:
            one.detach()


def relay(listener: int, port: int, is_alive: Callable[[], bool]) -> None:
    """Connect each client of the listener with a port of the server, until SIGINT or until the server has ended."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_relay(socket.socket(fileno=listener), port, is_alive))


async def _relay(listener: socket.socket, port: int, is_alive: Callable[[], bool]) -> None:
    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            server_reader, server_writer = await asyncio.open_connection(HOST, port)
            with contextlib.closing(server_writer):
                await asyncio.gather(_copy(reader, server_writer), _copy(server_reader, writer))

    listener.setblocking(False)
    async with await asyncio.start_server(connect, sock=listener):
        while is_alive():
            await asyncio.sleep(_POLL)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()
    writer.write_eof()
