"""A server that parses forms with Python's MIME parser and returns the result as JSON."""

import hashlib
import http.server
import json
from email import policy
from email.parser import BytesFeedParser


def parameters(part):
    """The parameters of a part's disposition; names are raw UTF-8 (RFC 7578, section 5.1)."""
    raw = next(value for name, value in part.raw_items() if name == "Content-Disposition")
    text = str(raw).encode("ascii", "surrogateescape").decode("utf-8")
    return policy.HTTP.header_factory("Content-Disposition", text).params


def found(content_type, body):
    parser = BytesFeedParser(policy=policy.HTTP)
    parser.feed(b"Content-Type: " + content_type.encode("ascii") + b"\r\n\r\n")
    parser.feed(body)
    form = parser.close()
    defects = [str(defect) for defect in form.defects]
    parts = []
    for part in form.iter_parts():
        content = part.get_payload(decode=True)
        names = parameters(part)
        parts.append(
            {
                "name": names.get("name"),
                "filename": names.get("filename"),
                "type": part.get_content_type(),
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        )
    return {"defects": defects, "preamble": form.preamble, "epilogue": form.epilogue, "parts": parts}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = b""
        if self.headers["Transfer-Encoding"] == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                assert self.rfile.readline() == b"\r\n"
            assert self.rfile.readline() == b"\r\n"
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = json.dumps(found(self.headers["Content-Type"], body)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, "kept", flush=True)
server.serve_forever()
