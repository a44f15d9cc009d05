"""The proxy in front of a real server: what a client meets in each mode, and that all is well again after it."""

import socket
import threading
from collections.abc import Iterator

import pytest

from penstock.testing.tcp_proxy import Mode, TcpProxy

PATIENCE_S = 10.0


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that answers what it is sent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer_all, args=(server,), daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)  # `accept` returns


@pytest.fixture
def proxy(echo: int) -> Iterator[TcpProxy]:
    with TcpProxy(echo) as made:
        yield made


def answer_all(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=answer_one, args=(connection,), daemon=True).start()


def answer_one(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(1024):
                connection.sendall(data)
        except OSError:
            return


def connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), PATIENCE_S)


def ask(connection: socket.socket, words: bytes = b"hello") -> bytes:
    connection.sendall(words)
    return connection.recv(1024)


def test_data_and_both_ends_pass(proxy: TcpProxy) -> None:
    with connect(proxy) as connection:
        assert ask(connection) == b"hello"
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1024) == b""


def test_a_delay_meets_open_connections_too(proxy: TcpProxy) -> None:
    with connect(proxy) as connection:
        assert ask(connection) == b"hello"
        proxy.change("delay", delay_s=0.1)
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            ask(connection, b"later")
        connection.settimeout(PATIENCE_S)
        assert connection.recv(1024) == b"later"


def test_cut_closes_what_is_open_and_what_comes(proxy: TcpProxy) -> None:
    with connect(proxy) as connection:
        assert ask(connection) == b"hello"
        proxy.change("cut")
        assert connection.recv(1024) == b""
        with connect(proxy) as late:
            assert late.recv(1024) == b""


@pytest.mark.parametrize("mode", ["reset", "refuse"])
def test_a_reset_is_one(proxy: TcpProxy, mode: Mode) -> None:
    with connect(proxy) as connection:
        assert ask(connection) == b"hello"
        proxy.change(mode)
        with pytest.raises(ConnectionResetError):
            connection.recv(1024)


def test_half_open_takes_and_never_answers_until_it_is_reset(proxy: TcpProxy) -> None:
    with connect(proxy) as connection:
        assert ask(connection) == b"hello"
        proxy.change("half-open")
        late = connect(proxy)
        for deaf in (connection, late):
            deaf.sendall(b"is anybody there")
            deaf.settimeout(0.05)
            with pytest.raises(TimeoutError):
                deaf.recv(1024)
            deaf.settimeout(PATIENCE_S)
        proxy.change("pass")
        for deaf in (connection, late):
            with pytest.raises(ConnectionResetError):
                deaf.recv(1024)
        late.close()


@pytest.mark.parametrize("mode", ["delay", "cut", "half-open", "reset", "refuse"])
def test_after_each_all_is_well_at_the_same_port(proxy: TcpProxy, mode: Mode) -> None:
    proxy.change(mode)
    proxy.change("pass")
    with connect(proxy) as connection:
        assert ask(connection) == b"hello"


def test_nobody_listens_while_it_refuses(proxy: TcpProxy) -> None:
    proxy.change("refuse")
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)


def test_a_server_that_is_away_is_a_reset(proxy: TcpProxy, echo: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        proxy.target = gone.getsockname()[1]
    with pytest.raises(ConnectionResetError), connect(proxy) as connection:
        connection.recv(1024)
    proxy.target = echo
    with connect(proxy) as connection:
        assert ask(connection) == b"hello"
