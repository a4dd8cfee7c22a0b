"""Logging in, the second factor, refreshing, registering, forgotten passwords."""
import secrets

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from people import everybody
from shop import tokens
from shop.callers import Caller, half_way
from shop.database import password_hash
from shop.weaknesses import Refused

CODES = {person.number: person.code for person in everybody()}
# A token of the second step is good for five minutes, one for reports for two.
HALF_WAY, REPORTS = 300, 120

routes = APIRouter(prefix="/api/auth")


class Login(BaseModel):
    username: str
    password: str


class Code(BaseModel):
    code: str


class Refresh(BaseModel):
    refresh_token: str


class Forgotten(BaseModel):
    email: str


def access_token(request, user):
    checks = request.app.state.checks
    claims = tokens.claims_of(user, "access", checks.lifetime_of_access())
    claims["place"] = request.client.host
    return tokens.encode(claims, checks.secret)


def handed_out(request, user):
    refresh = secrets.token_urlsafe(24)
    request.app.state.database.add("sessions", refresh=refresh, user_id=user["id"])
    return {"access_token": access_token(request, user), "refresh_token": refresh, "token_type": "Bearer",
            "user_id": user["id"]}


@routes.post("/login")
async def login(given: Login, request: Request):
    checks, database = request.app.state.checks, request.app.state.database
    address = request.client.host
    checks.no_lockout(given.username, address)
    user = database.one("select * from users where name = ?", given.username)
    if user is None or user["password_hash"] != password_hash(given.password):
        checks.failed(given.username, address)
        checks.user_enumeration_at_login(user)
    checks.succeeded(given.username)
    if user["mfa"]:
        claims = tokens.claims_of(user, "second-factor", HALF_WAY)
        claims["place"] = address
        return {"mfa_required": True, "mfa_token": tokens.encode(claims, checks.secret)}
    return handed_out(request, user)


@routes.post("/mfa")
async def second_factor(given: Code, request: Request, caller: Caller = Depends(half_way)):
    if not secrets.compare_digest(given.code, CODES.get(caller.id, "")):
        raise Refused(401, "wrong code")
    user = request.app.state.database.one("select * from users where id = ?", caller.id)
    return handed_out(request, user)


@routes.post("/refresh")
async def refresh(given: Refresh, request: Request):
    database = request.app.state.database
    user = database.one("select users.* from users join sessions on users.id = user_id where refresh = ?",
                        given.refresh_token)
    if user is None:
        raise Refused(401, "log in")
    return {"access_token": access_token(request, user), "token_type": "Bearer"}


@routes.post("/password/forgot", status_code=202)
async def forgot(given: Forgotten, request: Request):
    user = request.app.state.database.one("select id from users where email = ?", given.email)
    request.app.state.checks.user_enumeration_at_reset(user)
    return {"message": "a letter is on its way"}


@routes.post("/register", status_code=201)
async def register(given: dict, request: Request):
    state = request.app.state
    if not {"username", "password", "display_name"} <= set(given):
        raise Refused(422, "username, password and display_name are needed")
    user = {"name": str(given["username"]), "tenant": "acme", "role": "customer", "mfa": 0,
            "password_hash": password_hash(str(given["password"])), "email": f"{given['username']}@acme.example"}
    user |= state.checks.assignable(given, {"display_name"}, state.database.columns("users"))
    number = state.database.add("users", **user)
    record = state.database.one("select id, name, display_name, tenant, role, is_admin from users where id = ?", number)
    return state.checks.view(record, ("id", "name", "display_name"))
