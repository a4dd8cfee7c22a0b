"""Who is calling: a user by a token, the batch job by its key, nobody."""
import base64
import dataclasses
import hmac

from fastapi import Depends, Request

from people import BATCH_KEY, PARTNER
from shop.weaknesses import Refused


@dataclasses.dataclass(frozen=True)
class Caller:
    id: int
    tenant: str
    role: str


BATCH = Caller(0, "shop", "batch")


def bearer(request):
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token else None


def of_token(request, token, skip_step_check=False):
    state = request.app.state
    claims = state.checks.accepted_claims(token)
    if not skip_step_check:
        state.checks.step_skipped(claims)
    state.checks.token_tied_to_place(claims, request.client.host)
    user = state.database.one("select id, tenant, role from users where id = ?", claims.get("sub"))
    if user is None:
        raise Refused(401, "no such user")
    return Caller(user["id"], user["tenant"], user["role"])


async def anybody(request: Request):
    """The caller, or None."""
    if hmac.compare_digest(request.headers.get("x-api-key", ""), BATCH_KEY):
        return BATCH
    token = bearer(request)
    return of_token(request, token) if token else None


async def somebody(caller=Depends(anybody)):
    if caller is None:
        raise Refused(401, "log in")
    return caller


async def half_way(request: Request):
    """Who gave a password, and no second factor yet."""
    token = bearer(request)
    if token is None:
        raise Refused(401, "log in")
    return of_token(request, token, skip_step_check=True)


async def partner(request: Request):
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    expected = base64.b64encode(":".join(PARTNER).encode()).decode()
    if scheme.lower() != "basic" or not hmac.compare_digest(given, expected):
        raise Refused(401, "log in")
    return PARTNER[0]
