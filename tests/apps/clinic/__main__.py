"""python3 -m clinic LOG CERTIFICATE KEY: serves the clinic over TLS on a port of loopback.

Prints one JSON object: `port`, `token`, and `personal`, the values that belong in no description of the API. LOG gets
one JSON object for each answer: `method`, `route` as the framework matched it (null where nothing did), `status`.
"""
import asyncio
import json
import socket
import sys

import uvicorn
from fastapi import FastAPI

from clinic.records import Records
from clinic.routes import TOKEN, anybody, routes


class Told:
    """Writes down what each request was matched to, by the framework itself."""

    def __init__(self, app, log):
        self.app, self.log = app, log

    async def __call__(self, scope, receive, send):
        async def heard(message):
            if message["type"] == "http.response.start":
                route = scope.get("route")
                # A route whose path matches and whose method does not answers 405.
                is_ours = route is not None and scope["method"] in route.methods
                line = {"method": scope["method"], "route": route.path if is_ours else None, "status": message["status"]}
                print(json.dumps(line), file=self.log, flush=True)
            await send(message)

        await self.app(scope, receive, heard)


def application(records):
    clinic = FastAPI(title="Clinic", docs_url=None, redoc_url=None, openapi_url=None)
    clinic.state.records = records
    clinic.include_router(anybody)
    clinic.include_router(routes)
    return clinic


async def serve(log, certificate, key):
    records = Records()
    # asyncio sets TCP_NODELAY only where the protocol is named; without it each answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(256)
    server = uvicorn.Server(uvicorn.Config(
        Told(application(records), log), loop="asyncio", http="h11", lifespan="off", log_level="error", access_log=False,
        timeout_keep_alive=60, proxy_headers=False, ssl_certfile=certificate, ssl_keyfile=key))
    print(json.dumps({"port": listener.getsockname()[1], "token": TOKEN, "personal": records.personal()}), flush=True)
    await server.serve([listener])


if __name__ == "__main__":
    with open(sys.argv[1], "w", encoding="utf-8") as log:
        asyncio.run(serve(log, *sys.argv[2:4]))
