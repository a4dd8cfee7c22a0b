"""Products, and what staff, jobs and partners do."""
import time

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from shop import tokens
from shop.callers import Caller, anybody, partner, somebody
from shop.customers import found, state_of
from shop.login import REPORTS
from shop.weaknesses import STAFF, Refused

# How old the token is that somebody kept.
WEEK = 7 * 24 * 3600

routes = APIRouter(prefix="/api")


class Product(BaseModel):
    name: str
    price: int


class Refund(BaseModel):
    order_id: int
    amount: int


class Role(BaseModel):
    role: str


def need(caller, roles):
    """What both twins look at."""
    if caller.role not in roles:
        raise Refused(403, "not for you")


@routes.get("/products")
async def products(request: Request):
    return request.app.state.database.all("select id, name, price from products limit 10")


@routes.get("/products/{number}")
async def product(number: int, request: Request):
    return found(request.app.state.database.one("select * from products where id = ?", number))


@routes.post("/products", status_code=201)
async def new_product(given: Product, request: Request, caller: Caller = Depends(somebody)):
    need(caller, {"manager", "admin"})
    number = request.app.state.database.add("products", name=given.name, price=given.price, stock=0)
    return {"id": number, "name": given.name}


@routes.delete("/products/{number}", status_code=204)
async def remove_product(number: int, request: Request, caller: Caller = Depends(somebody)):
    database, checks = state_of(request)
    checks.method_unprotected(caller)
    found(database.one("select id from products where id = ?", number))
    database.remove("products", number)


@routes.get("/products/{number}/reviews")
async def reviews(number: int, request: Request, caller: Caller | None = Depends(anybody)):
    database, checks = state_of(request)
    rows = database.all("select stars, words, display_name, users.id as reviewer, email, password_hash, card, phone "
                        "from reviews join users on users.id = user_id where product_id = ?", number)
    return [checks.view(row, ("stars", "words", "display_name", "reviewer")) for row in rows]


@routes.get("/contacts")
async def contacts(request: Request, limit: int = 10, offset: int = 0, caller: Caller = Depends(somebody)):
    database, checks = state_of(request)
    need(caller, STAFF)
    size = checks.page_size(limit)
    rows = database.all("select id, name, email, phone, city from contacts order by id limit ? offset ?", size, offset)
    return [checks.view(row, ("id", "name", "city")) for row in rows]


@routes.get("/support/orders")
async def latest_orders(request: Request, caller: Caller = Depends(somebody)):
    need(caller, STAFF)
    return request.app.state.database.all("select id, user_id, state from orders order by id desc limit 10")


@routes.post("/support/refunds", status_code=201)
async def refund(given: Refund, request: Request, caller: Caller = Depends(somebody)):
    database, checks = state_of(request)
    checks.function_of_support(caller)
    found(database.one("select id from orders where id = ?", given.order_id))
    number = database.add("refunds", order_id=given.order_id, amount=given.amount, by_user=caller.id)
    return {"id": number, "amount": given.amount}


@routes.get("/admin/users")
async def users(request: Request, caller: Caller = Depends(somebody)):
    database, checks = state_of(request)
    checks.administrative_function(caller)
    return database.all("select id, name, role from users limit 50")


@routes.post("/admin/users/{number}/role")
async def give_role(number: int, given: Role, request: Request, caller: Caller = Depends(somebody)):
    database, checks = state_of(request)
    checks.administrative_function(caller)
    database.change("users", number, {"role": given.role})
    return found(database.one("select id, name, role from users where id = ?", number))


@routes.get("/batch/orders")
async def batch(request: Request, after: int = 0, caller: Caller = Depends(somebody)):
    need(caller, {"batch"})
    return request.app.state.database.all(
        "select id, user_id, product_id, quantity from orders where id > ? order by id limit 20", after)


@routes.post("/reports/token")
async def report_token(request: Request, caller: Caller = Depends(somebody)):
    user = {"id": caller.id, "tenant": caller.tenant, "role": caller.role}
    return {"token": stamped(request.app.state.checks, user), "expires_in": REPORTS}


@routes.get("/reports/daily")
async def daily(request: Request, caller: Caller = Depends(somebody)):
    return {"day": time.strftime("%Y-%m-%d"), "orders": 41, "for": caller.id}


@routes.get("/legacy/stock")
async def stock(request: Request, name: str = Depends(partner)):
    return {"for": name, "stock": request.app.state.database.all("select id, stock from products limit 20")}


def stamped(checks, user, issued=None):
    return tokens.encode(tokens.claims_of(user, "access", REPORTS, issued), checks.secret)


def kept_token(database, checks):
    """A token for reports that the shop gave to a customer a week ago, and that somebody kept."""
    user = database.one("select id, tenant, role from users where name = 'emil'")
    return stamped(checks, user, issued=int(time.time()) - WEEK)
