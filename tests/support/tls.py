"""A TLS proxy for a plain server.

tls.py CERTIFICATE KEY HOST:PORT [cut]

Prints the port it listens on. With `cut`, connections end without close_notify. Ends with its
standard input.
"""

import os
import select
import socket
import ssl
import sys
import threading


def move(secured, plain):
    """Moves bytes both ways until the plain side has ended."""
    secured.setblocking(False)
    to_client = b""
    to_server = b""
    client_over = False
    server_over = False
    while not server_over or to_client:
        wants_read = []
        wants_write = []
        if not to_server and not client_over:
            wants_read.append(secured)
        if to_server:
            wants_write.append(plain)
        if to_client:
            wants_write.append(secured)
        elif not server_over:
            wants_read.append(plain)
        pending = secured in wants_read and secured.pending()
        readable, writable, _ = select.select(wants_read, wants_write, [], 0 if pending else None)
        if secured in readable or pending:
            try:
                to_server = secured.recv(1 << 18)
                if not to_server:
                    client_over = True
                    plain.shutdown(socket.SHUT_WR)
            except ssl.SSLWantReadError:
                pass
        if plain in writable and to_server:
            try:
                to_server = to_server[plain.send(to_server) :]
            except OSError:
                # It reads no more; its response can still be read.
                to_server, client_over = b"", True
        if plain in readable:
            try:
                to_client = plain.recv(1 << 18)
            except OSError:
                pass
            server_over = not to_client
        if secured in writable and to_client:
            try:
                to_client = to_client[secured.send(to_client) :]
            except ssl.SSLWantWriteError:
                pass


def serve(socket_, context, place, cut):
    plain = None
    try:
        # A reset would drop unacknowledged data.
        socket_.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        secured = context.wrap_socket(socket_, server_side=True, suppress_ragged_eofs=False)
        plain = socket.create_connection(place)
        try:
            move(secured, plain)
        finally:
            if not cut:
                try:
                    # Sends close_notify, without waiting for the client's.
                    secured.unwrap()
                except (ssl.SSLError, OSError):
                    pass
            secured.close()
    except OSError:
        socket_.close()
    finally:
        if plain:
            plain.close()


def main():
    certificate, key, place = sys.argv[1:4]
    host, port = place.rsplit(":", 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0), backlog=16)
    print(listener.getsockname()[1], flush=True)

    def accept():
        while True:
            accepted, _ = listener.accept()
            arguments = (accepted, context, (host, int(port)), "cut" in sys.argv[4:])
            threading.Thread(target=serve, args=arguments, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


main()
