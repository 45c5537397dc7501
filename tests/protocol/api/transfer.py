"""A complete transfer through the generated client: transfer.py FOLDER URL"""

import io
import sys
from threading import Thread

sys.path.insert(0, sys.argv[1])

from relay_client import Client  # noqa: E402
from relay_client.api.relay import get_version  # noqa: E402
from relay_client.api.streams import create_stream, delete_stream, download, get_status, upload  # noqa: E402
from relay_client.models import Creation, Error, HeaderFields  # noqa: E402
from relay_client.models import State  # noqa: E402
from relay_client.types import File  # noqa: E402

DATA = bytes(range(256)) * 4096

client = Client(base_url=sys.argv[2])
assert get_version.sync(client=client).name == "rdv"

headers = HeaderFields.from_dict({"X-Part": 1})
created = create_stream.sync(client=client, body=Creation(download_headers=headers, ttl_seconds=60))
assert created.ttl_seconds == 60, created
stream = created.stream
before = get_status.sync(stream, client=client)
assert (before.state, before.active) == (State.CREATED, True), before


def send():
    sent = upload.sync_detailed(stream, client=client, body=File(io.BytesIO(DATA)))
    assert sent.status_code == 200, sent


sender = Thread(target=send)
sender.start()
received = download.sync_detailed(stream, client=client)
sender.join()
assert received.status_code == 200 and received.headers["X-Part"] == "1", received.headers
assert received.content == DATA
assert received.parsed.payload.read() == DATA

after = get_status.sync(stream, client=client)
assert (after.state, after.active, after.bytes_transferred) == (State.FINISHED, False, len(DATA)), after
refused = delete_stream.sync_detailed(stream, client=client)
assert refused.status_code == 404 and isinstance(refused.parsed, Error), refused
assert refused.parsed.name == "SessionNotFoundError"
print("transferred")
