"""python3 -m shop DIRECTORY CERTIFICATE KEY [--repaired]: serves the shop over TLS on a port of loopback.

Prints one JSON object: `tls` and `plain`, the ports, where nobody listens on the second one in the repaired twin, and
`kept`, a token that was valid a week ago. The database is a file in DIRECTORY.
"""
import argparse
import asyncio
import json
import os
import socket

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from shop import customers, login, staff
from shop.database import Database
from shop.weaknesses import Checks, Refused


def application(database, checks):
    shop = FastAPI(title="Shop", docs_url=None, redoc_url=None)
    shop.state.database, shop.state.checks = database, checks
    for part in (login, customers, staff):
        shop.include_router(part.routes)

    @shop.exception_handler(Refused)
    async def refuse(_request: Request, refused: Refused):
        return JSONResponse({"error": refused.detail}, status_code=refused.status, headers=refused.headers)

    return shop


def bound():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    return listener


def server(shop, **tls):
    # Connections outlast the script: one that is closed as it is used again would fail it.
    return uvicorn.Server(uvicorn.Config(
        shop, loop="asyncio", http="h11", lifespan="off", log_level="error", access_log=False, timeout_keep_alive=320,
        proxy_headers=False, **tls))


async def serve(arguments):
    checks = Checks(arguments.repaired)
    database = Database(os.path.join(arguments.directory, "shop.sqlite"), sequential_invoices=not arguments.repaired)
    shop = application(database, checks)
    tls, plain = bound(), bound()
    serving = [server(shop, ssl_certfile=arguments.certificate, ssl_keyfile=arguments.key).serve([tls])]
    tls.listen(256)
    if checks.serves_cleartext():
        plain.listen(256)
        serving.append(server(shop).serve([plain]))
    print(json.dumps({"tls": tls.getsockname()[1], "plain": plain.getsockname()[1],
                      "kept": staff.kept_token(database, checks)}), flush=True)
    await asyncio.gather(*serving)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("certificate")
    parser.add_argument("key")
    parser.add_argument("--repaired", action="store_true")
    asyncio.run(serve(parser.parse_args()))
