"""Listening sockets."""

import asyncio
import errno
import socket

import pytest

from core.kit.sockets import listening


async def test_connections_do_not_wait_before_they_send() -> None:
    found: list[int] = []

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted = writer.get_extra_info("socket")
        found.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    made = listening("127.0.0.1", 0, 5)
    async with await asyncio.start_server(answer, sock=made):
        reader, writer = await asyncio.open_connection(*made.getsockname())
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    assert found == [1]


def test_a_taken_port_is_told_and_nothing_stays_open() -> None:
    with listening("127.0.0.1", 0, 5) as first, pytest.raises(OSError, match="in use") as refused:
        listening(*first.getsockname(), 5)
    assert refused.value.errno == errno.EADDRINUSE
