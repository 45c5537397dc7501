"""An agent that behaves as the client of the original swaggersocket (go-openapi/swaggersocket) does.

It serves on a WebSocket of the text dialect. As in the original:
- it starts to write an answer when it reads the request, which ends the previous message, even within
  an answer; the rest of an answer whose message was ended is dropped;
- an answer is one message, in frames of 4 KiB, unless the handler flushes it;
- nothing is checked for UTF-8;
- a lost connection is detected by a failed ping, and is dialled again;
- a Close frame, whatever its code, ends it.

Usage: agent.py HOST PORT NAME. Prints a line for each event, and reads a line of standard input
where a handler waits.
"""

import base64
import json
import os
import socket
import struct
import sys
import threading
import time

FRAME_BYTES = 4096
PING_SECONDS = 1
CLOSED = 3


def say(*words):
    # One write: lines of several threads stay lines.
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


class Closed(Exception):
    """A Close frame was received."""


class Message:
    """The writer of one message; opening the next one ends it."""

    def __init__(self, link):
        self.link, self.buffer, self.begun, self.over = link, b"", False, False

    def write(self, data):
        with self.link.lock:
            if self.over:
                return
            self.buffer += data
            while len(self.buffer) > FRAME_BYTES:
                self.send(self.buffer[:FRAME_BYTES], False)
                self.buffer = self.buffer[FRAME_BYTES:]

    def send(self, data, final):
        opcode = 0 if self.begun else 1
        self.begun = True
        self.link.frame(opcode | (0x80 if final else 0), data)

    def close(self):
        with self.link.lock:
            self.end()

    def end(self):
        if not self.over:
            self.over = True
            self.send(self.buffer, True)


class Link:
    """One connection."""

    def __init__(self, host, port, name):
        self.socket = socket.create_connection((host, port))
        self.input = self.socket.makefile("rb")
        self.lock = threading.RLock()
        self.message = None
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /socket HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        status = self.input.readline()
        while self.input.readline() not in (b"\r\n", b""):
            pass
        if b" 101 " not in status:
            raise OSError(status.decode().strip() or "no answer")
        secret = f"the secret of {name}"
        self.json({"Type": "ClientHandshakeMetaData", "Meta": {"name": name, "secret": secret}})
        welcome = json.loads(self.read())
        self.json({"Type": "ClientHandshakeAckFrame"})
        say("connected", welcome["ConnectionID"])

    def json(self, value):
        message = self.writer()
        message.write(json.dumps(value).encode())
        message.close()

    def frame(self, first, data):
        mask = os.urandom(4)
        length = len(data)
        head = bytes([first])
        if length < 126:
            head += bytes([0x80 | length])
        else:
            head += bytes([0x80 | 126]) + struct.pack(">H", length)
        whole = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
        masked = (int.from_bytes(data, "big") ^ whole).to_bytes(length, "big")
        self.socket.sendall(head + mask + masked)

    def writer(self):
        with self.lock:
            if self.message and not self.message.over:
                say("cut")
                self.message.end()
            self.message = Message(self)
            return self.message

    def exactly(self, count):
        data = self.input.read(count)
        if len(data) < count:
            raise OSError("the connection ended")
        return data

    def read(self):
        """Returns the next message."""
        message = b""
        while True:
            first, length = self.exactly(2)
            if length == 126:
                (length,) = struct.unpack(">H", self.exactly(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", self.exactly(8))
            data = self.exactly(length)
            if first & 0x0F == 8:
                raise Closed(int.from_bytes(data[:2], "big"))
            if first & 0x0F == 9:
                with self.lock:
                    self.frame(0x8A, data)
            elif first & 0x0F < 3:
                message += data
                if first & 0x80:
                    return message


class Answer:
    """The answer to one request; chunked unless a handler writes its own head."""

    def __init__(self, link, request):
        head, _, self.body = request.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.method, self.target, _ = lines[0].split(" ")
        fields = dict(line.split(": ", 1) for line in lines[1:])
        self.id = next(fields[name] for name in fields if name.lower() == "x-correlation-id")
        self.link, self.message = link, link.writer()

    def head(self, *fields):
        fields = (f"X-Correlation-Id: {self.id}", *fields)
        self.message.write(("HTTP/1.1 200 OK\r\n" + "\r\n".join(fields) + "\r\n\r\n").encode())

    def chunk(self, data):
        self.message.write(b"%x\r\n%s\r\n" % (len(data), data))

    def flush(self):
        if not self.message.over:
            self.message.close()
            self.message = self.link.writer()

    def finish(self):
        self.message.close()


def handle(answer):
    path, _, query = answer.target.partition("?")
    if path == "/echo":
        body = f"{answer.method} {answer.target} ".encode() + answer.body
        answer.head(f"Content-Length: {len(body)}")
        answer.message.write(body)
    elif path == "/wait":
        sys.stdin.readline()
        answer.head("Content-Length: 6")
        answer.message.write(b"waited")
    elif path == "/follow":
        answer.head("Transfer-Encoding: chunked")
        answer.chunk(b"first ")
        answer.flush()
        say("flushed")
        sys.stdin.readline()
        answer.chunk(b"second")
        answer.message.write(b"0\r\n\r\n")
    elif path == "/large":
        answer.head("Transfer-Encoding: chunked")
        for _ in range(int(query) // 2000):
            answer.chunk(b"x" * 2000)
        answer.message.write(b"0\r\n\r\n")
    elif path == "/bytes":
        answer.head("Content-Length: 256")
        answer.message.write(bytes(range(256)))
    elif path == "/unsized":
        answer.head()
        answer.message.write(b"to the end of the message")
    elif path == "/long-head":
        answer.message.write(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70000 + b"\r\n\r\n")
    elif path == "/broken-chunks":
        answer.head("Transfer-Encoding: chunked")
        answer.chunk(b"first")
        answer.flush()
        answer.message.write(b"zz\r\nnot a chunk")
    elif path == "/raw":
        # The target has the answer, as hexadecimal digits.
        answer.message.write(bytes.fromhex(query))
        answer.flush()
        answer.message.write(b"more of it\r\n\r\n")
    say("answered", answer.target[:80])
    answer.finish()


def serve(link):
    try:
        while True:
            answer = Answer(link, link.read())
            say("asked", answer.method, answer.target[:80])
            threading.Thread(target=handle, args=(answer,), daemon=True).start()
    except Closed as closed:
        say("closed", closed)
        os._exit(CLOSED)
    except OSError as error:
        say("lost", error)


def keep_alive(link):
    while True:
        time.sleep(PING_SECONDS)
        try:
            with link.lock:
                link.frame(0x89, b"")
        except OSError:
            return


def connect(host, port, name):
    while True:
        try:
            return Link(host, port, name)
        except OSError as error:
            say("refused", error)
            time.sleep(0.1)


def main():
    host, port, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    while True:
        link = connect(host, port, name)
        threading.Thread(target=serve, args=(link,), daemon=True).start()
        keep_alive(link)


main()
