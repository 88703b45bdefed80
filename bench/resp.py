"""A small blocking client of the Redis protocol, version 2."""
import socket


class ReplyError(Exception):
    """An error reply; the connection is still good."""


class Connection:
    def __init__(self, address, timeout):
        self.received = b""
        self.socket = socket.create_connection(address, timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, *words):
        encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in encoded))

    def receive(self):
        """One reply; raises ReplyError, or OSError when there is none within the timeout."""
        value = self._value()
        if isinstance(value, ReplyError):
            raise value
        return value

    def call(self, *words):
        self.send(*words)
        return self.receive()

    def _more(self):
        more = self.socket.recv(1 << 16)
        if not more:
            raise ConnectionError("the server closed the connection")
        self.received += more

    def _line(self):
        while (end := self.received.find(b"\r\n")) < 0:
            self._more()
        line, self.received = self.received[:end], self.received[end + 2:]
        return line

    def _text(self, size):
        while len(self.received) < size + 2:
            self._more()
        text, self.received = self.received[:size], self.received[size + 2:]
        return text

    def _value(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return ReplyError(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._text(int(rest))
        if kind == b"*":
            return None if rest == b"-1" else [self._value() for _ in range(int(rest))]
        raise ConnectionError(f"not a reply: {line[:40]!r}")


def call(address, *words, timeout=5.0):
    """One command on a connection of its own."""
    with Connection(address, timeout) as connection:
        return connection.call(*words)
