"""The least that an HTTP server can do: answers every request with the same 200, unread."""

from __future__ import annotations

import os
import select
import socket

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def main() -> None:
    listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=1024)
    listener.settimeout(0)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()] = client
                poll.register(client, select.EPOLLIN)
                continue
            # Loopback delivers a request of this size whole, so one read is one request.
            if clients[number].recv(262_144):
                clients[number].send(ANSWER)
            else:
                clients.pop(number).close()


if __name__ == "__main__":
    main()
