"""ws_echo in both roles against an independent implementation: a conformance suite relies on it to echo faithfully."""
import asyncio
import os
import random
import subprocess

import pytest
import websockets

from harness import PATIENCE_S, program_command, scaled

MAX_MESSAGE = 16 << 20
WS_ECHO = program_command("ws_echo")


def messages():
    sizes = [0, 1, 125, 126, 65535, 65536, 1 << 20, MAX_MESSAGE]
    return ["", "é😀" * 100, *(os.urandom(size) for size in sizes), *(b"%d" % i * i for i in range(scaled(500, least=50)))]


@pytest.fixture
def server():
    process = subprocess.Popen([*WS_ECHO, "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    address = process.stdout.readline().split()[-1]
    yield f"ws://{address}/any?path"
    process.terminate()
    assert process.wait(PATIENCE_S) == 0


def connect(uri):
    return websockets.connect(uri, max_size=None, compression=None, max_queue=1)


async def echo_all(connection, sent):
    """Sends without waiting for answers, so both directions fill up."""
    sender = asyncio.ensure_future(asyncio.gather(*[connection.send(message) for message in sent]))
    for message in sent:
        assert await connection.recv() == message
    await sender
    await (await connection.ping(b"still there"))


def test_the_server_echoes_text_as_text_and_binary_as_binary(server):
    async def run():
        async with connect(server) as connection:
            await echo_all(connection, messages())
            await connection.send(["fragmented ", "tö", "gether"])
            assert await connection.recv() == "fragmented tögether"
        assert connection.close_code == 1000

    asyncio.run(run())


def test_a_client_that_sends_without_reading_is_held_back_and_loses_nothing(server):
    async def run():
        async with connect(server) as connection:
            sent = [os.urandom(4 << 20) for _ in range(30)] # much more than the server and the sockets hold
            sender = asyncio.ensure_future(asyncio.gather(*[connection.send(message) for message in sent]))
            left = None
            while left != (left := connection.transport.get_write_buffer_size()):
                await asyncio.sleep(0.5)
            assert left > 0 and not sender.done() # the server takes no more
            for message in sent:
                assert await connection.recv() == message
            await sender

    asyncio.run(run())


def test_connections_do_not_mix(server):
    async def one(seed):
        chosen = random.Random(seed)
        async with connect(server) as connection:
            await echo_all(connection, [chosen.randbytes(chosen.randrange(5000)) for _ in range(20)])

    async def run():
        await asyncio.gather(*[one(seed) for seed in range(scaled(10, least=4))])

    asyncio.run(run())


def test_a_message_over_the_limit_is_closed_with_1009(server):
    async def run():
        connection = await connect(server)
        with pytest.raises(websockets.ConnectionClosed):
            await connection.send(b"x" * (MAX_MESSAGE + 1))
            await connection.recv()
        assert connection.close_code == 1009

    asyncio.run(run())


def test_the_client_echoes_and_ends_with_the_server():
    paths = []

    async def serve(connection):
        paths.append(getattr(connection, "path", None) or connection.request.path) # in earlier and later versions of the library
        await echo_all(connection, messages())

    async def run():
        async with websockets.serve(serve, "127.0.0.1", 0, max_size=None, compression=None) as server:
            port = server.sockets[0].getsockname()[1]
            client = await asyncio.create_subprocess_exec(*WS_ECHO, "--connect", f"ws://localhost:{port}/runCase?case=1&agent=x")
            assert await asyncio.wait_for(client.wait(), PATIENCE_S) == 0

    asyncio.run(run())
    assert paths == ["/runCase?case=1&agent=x"]


def test_nobody_to_connect_to_is_an_error():
    result = subprocess.run([*WS_ECHO, "--connect", "ws://127.0.0.1:1/"], capture_output=True, text=True, timeout=PATIENCE_S)
    assert result.returncode == 1
    assert "Connection refused" in result.stderr


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["127.0.0.1:0", "--connect", "ws://a/"], ["--connect", "wss://a/"]])
def test_bad_arguments_end_with_2(arguments):
    result = subprocess.run([*WS_ECHO, *arguments], capture_output=True, text=True, timeout=PATIENCE_S)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
