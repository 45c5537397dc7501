#!/usr/bin/env python3
"""Records of rdv in NATS JetStream, and back (needs nats-py).

usage: jetstream.py publish|deliver SOCKET [NATS_URL]

publish: listens on SOCKET for `rdv source --output unix:SOCKET --ack`; a record is acknowledged once the
stream "hooks" has stored it. Its subject is "hooks." and its key.
deliver: connects to `rdv destination --input unix:SOCKET`; a message is acknowledged once its record is.
"""

import asyncio
import base64
import json
import sys
from urllib.parse import quote

import nats
from nats.js.api import ConsumerConfig
from nats.js.errors import NotFoundError

STREAM = "hooks"
# The default limit of NATS for a message.
MAX_BYTES = 1 << 20


def subject(record):
    key = base64.b64decode(record["key"] or "")
    # Dots, wildcards and spaces have a meaning in subjects, and a token cannot be empty.
    return f"{STREAM}." + (quote(key, safe="").replace(".", "%2E") or "%")


async def publish(js, path):
    async def consume(reader, writer):
        try:
            # One after the other: a record that has to be sent again does not overtake.
            while line := await reader.readline():
                record = json.loads(line)
                # Repetitions within the duplicate window of the stream (2 minutes) are dropped.
                headers = {"Nats-Msg-Id": record["position"]}
                await js.publish(subject(record), line, headers=headers)
                writer.write(json.dumps({"ack": record["position"]}).encode() + b"\n")
        finally:
            # The source connects again, and sends what was not acknowledged.
            writer.close()

    server = await asyncio.start_unix_server(consume, path, limit=MAX_BYTES)
    await server.serve_forever()


async def deliver(js, path):
    # One at a time: a redelivery does not follow later records of its key.
    config = ConsumerConfig(ack_wait=5, max_ack_pending=1)
    messages = await js.pull_subscribe(f"{STREAM}.>", "rdv", config=config)
    reader, writer = await asyncio.open_unix_connection(path)
    while True:
        try:
            [message] = await messages.fetch(1, timeout=60)
        except nats.errors.TimeoutError:
            continue
        writer.write(message.data)
        if not await reader.readline():
            raise SystemExit("rdv destination disconnected")
        await message.ack_sync()


async def main(command, path, server="nats://127.0.0.1:4222"):
    client = await nats.connect(server, max_reconnect_attempts=-1)
    js = client.jetstream()
    try:
        await js.stream_info(STREAM)
    except NotFoundError:
        await js.add_stream(name=STREAM, subjects=[f"{STREAM}.>"])
    await {"publish": publish, "deliver": deliver}[command](js, path)


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("publish", "deliver"):
        raise SystemExit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
