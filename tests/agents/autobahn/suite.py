"""The cases of the Autobahn test suite against one peer, run by kosoku. Prints the verdicts as JSON: by case,
on its messages and on its end.

usage: suite.py client URL   the peer is a server at this URL
       suite.py server       the peer is a client; the first line printed is the address for it
"""

import asyncio
import json
import sys

import kosoku

# Compression (RFC 7692), which is not offered.
EXCLUDED = ["12.*", "13.*"]


async def results():
    if sys.argv[1] == "client":
        return await kosoku.run_fuzzingclient(sys.argv[2], exclude_cases=EXCLUDED, concurrency=8)
    async with kosoku.run_fuzzingserver(exclude_cases=EXCLUDED, port=0) as server:
        print(f"{server.address}:{server.port}", flush=True)
        return await server.get_result()


async def main():
    try:
        judged = await results()
    except kosoku.FailureError as failure:
        # These are the failed cases only; the test misses the others.
        judged = failure.results
    print(json.dumps({it.case_id: [it.behavior.value, it.behavior_close.value] for it in judged}))


asyncio.run(main())
