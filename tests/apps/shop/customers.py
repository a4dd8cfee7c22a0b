"""What customers do: their profile, orders, invoices, accounts, documents, archived papers."""
import uuid

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel

from shop.callers import Caller, anybody, bearer, of_token, somebody
from shop.weaknesses import Refused

ORDER = "select id, user_id, product_id, quantity, note, state from orders"
PROFILE = ("id", "display_name", "tenant")

routes = APIRouter(prefix="/api")


class NewOrder(BaseModel):
    product_id: int
    quantity: int = 1


class ChangedOrder(BaseModel):
    quantity: int
    note: str = ""


class Transfer(BaseModel):
    from_account: int
    to_account: int
    amount: int


class NewDocument(BaseModel):
    title: str
    content: str


class Share(BaseModel):
    with_whom: str


def found(record):
    if record is None:
        raise Refused(404, "not found")
    return record


def state_of(request):
    return request.app.state.database, request.app.state.checks


@routes.get("/me")
async def me(request: Request, caller: Caller = Depends(somebody)):
    return found(request.app.state.database.one(
        "select id, name, display_name, tenant, role, email from users where id = ?", caller.id))


@routes.patch("/me")
async def change_me(given: dict, request: Request, caller: Caller = Depends(somebody)):
    database, checks = state_of(request)
    columns = database.columns("users")
    database.change("users", caller.id, checks.assignable_or_refused(given, {"display_name"}, columns))
    record = database.one("select id, display_name, tenant, role, is_admin from users where id = ?", caller.id)
    return checks.view(record, PROFILE)


@routes.get("/users/{number}")
async def profile(number: int, request: Request, view: str = "", caller: Caller = Depends(somebody)):
    database, checks = state_of(request)
    user = found(database.one("select * from users where id = ?", number))
    return checks.internal_view(user, PROFILE, view)


@routes.get("/orders")
async def orders(request: Request, caller: Caller = Depends(somebody)):
    return request.app.state.database.all(f"{ORDER} where user_id = ? order by id desc limit 10", caller.id)


@routes.post("/orders", status_code=201)
async def order(given: NewOrder, request: Request, caller: Caller = Depends(somebody)):
    database, _ = state_of(request)
    number = database.add("orders", user_id=caller.id, tenant=caller.tenant, product_id=given.product_id,
                          quantity=given.quantity, note="")
    return database.one(f"{ORDER} where id = ?", number)


@routes.get("/orders/{number}")
async def one_order(number: int, request: Request, caller: Caller = Depends(somebody)):
    database, checks = state_of(request)
    record = found(database.one(f"{ORDER} where id = ?", number))
    checks.bola_read_by_path(caller, record)
    return record


@routes.put("/orders/{number}")
async def change_order(number: int, given: ChangedOrder, request: Request, caller: Caller = Depends(somebody)):
    database, checks = state_of(request)
    checks.bola_update_by_path(caller, found(database.one(f"{ORDER} where id = ?", number)))
    database.change("orders", number, {"quantity": given.quantity, "note": given.note})
    return database.one(f"{ORDER} where id = ?", number)


@routes.delete("/orders/{number}", status_code=204)
async def cancel_order(number: int, request: Request, caller: Caller = Depends(somebody)):
    database, checks = state_of(request)
    checks.bola_delete_by_path(caller, found(database.one(f"{ORDER} where id = ?", number)))
    database.remove("orders", number)


@routes.get("/orders/{number}/tracking")
async def tracking(number: int, request: Request, caller: Caller | None = Depends(anybody)):
    database, checks = state_of(request)
    checks.missing_authentication(caller)
    record = found(database.one(f"{ORDER} where id = ?", number))
    if caller is not None:
        checks.bola_read_by_path(caller, record)
    return {"order": number, "state": record["state"], "parcel": f"PX{number:08}"}


@routes.get("/invoices")
async def invoices(request: Request, caller: Caller = Depends(somebody)):
    return request.app.state.database.all("select id, month from invoices where user_id = ?", caller.id)


@routes.get("/invoices/{number}")
async def invoice(number: str, request: Request, caller: Caller = Depends(somebody)):
    database, checks = state_of(request)
    record = found(database.one("select * from invoices where id = ?", number))
    checks.enumerable_invoices(caller, record)
    return record


@routes.get("/accounts")
async def accounts(request: Request, caller: Caller = Depends(somebody)):
    return request.app.state.database.all("select id, label, balance from accounts where user_id = ?", caller.id)


@routes.patch("/accounts/{number}")
async def change_account(number: int, given: dict, request: Request, caller: Caller = Depends(somebody)):
    database, checks = state_of(request)
    record = found(database.one("select * from accounts where id = ?", number))
    if record["user_id"] != caller.id:
        raise Refused(404, "not found")
    database.change("accounts", number, checks.assignable(given, {"label"}, database.columns("accounts")))
    return checks.view(database.one("select id, label, balance from accounts where id = ?", number), ("id", "label"))


@routes.get("/statements")
async def statement(account: int, request: Request, caller: Caller = Depends(somebody)):
    database, checks = state_of(request)
    record = found(database.one("select * from accounts where id = ?", account))
    checks.bola_read_by_query(caller, record)
    bookings = database.all("select amount, words from bookings where account_id = ? limit 20", account)
    return {"account": account, "owner": record["user_id"], "bookings": bookings}


@routes.post("/transfers", status_code=201)
async def transfer(given: Transfer, request: Request, caller: Caller = Depends(somebody)):
    database, checks = state_of(request)
    source = found(database.one("select * from accounts where id = ?", given.from_account))
    target = found(database.one("select * from accounts where id = ?", given.to_account))
    checks.bola_write_by_body(caller, source)
    for account, amount in ((source, -given.amount), (target, given.amount)):
        database.change("accounts", account["id"], {"balance": account["balance"] + amount})
        number = database.add("bookings", account_id=account["id"], amount=amount, words="transfer")
    return {"booking": number, "from_account": source["id"], "amount": given.amount}


@routes.get("/documents")
async def documents(request: Request, caller: Caller = Depends(somebody)):
    return request.app.state.database.all(
        "select id, title from documents where user_id = ? or shared like ? order by rowid desc limit 10",
        caller.id, f"%tenant:{caller.tenant}%")


@routes.post("/documents", status_code=201)
async def new_document(given: NewDocument, request: Request, caller: Caller = Depends(somebody)):
    number = str(uuid.uuid4())
    request.app.state.database.add("documents", id=number, user_id=caller.id, tenant=caller.tenant, title=given.title,
                                   content=given.content, shared="")
    return {"id": number, "title": given.title}


def own_document(database, number, caller):
    record = found(database.one("select * from documents where id = ?", number))
    if record["user_id"] != caller.id:
        raise Refused(404, "not found")
    return record


@routes.post("/documents/{number}/share")
async def share(number: str, given: Share, request: Request, caller: Caller = Depends(somebody)):
    database, _ = state_of(request)
    record = own_document(database, number, caller)
    database.change("documents", number, {"shared": f"{record['shared']},{given.with_whom}".strip(",")})
    return {"id": number, "shared_with": given.with_whom}


@routes.post("/documents/{number}/link")
async def link(number: str, request: Request, caller: Caller = Depends(somebody)):
    database, checks = state_of(request)
    return {"href": checks.link(own_document(database, number, caller), bearer(request))}


@routes.get("/documents/{number}")
async def document(number: str, request: Request, caller: Caller = Depends(somebody)):
    database, checks = state_of(request)
    record = found(database.one("select * from documents where id = ?", number))
    checks.bola_foreign_document(caller, record)
    return {"id": number, "title": record["title"], "content": record["content"]}


@routes.get("/downloads/{number}")
async def download(number: str, request: Request, access_token: str = ""):
    database, checks = state_of(request)
    token = checks.token_in_url(bearer(request), access_token)
    if not token:
        raise Refused(401, "log in")
    return {"id": number, "content": own_document(database, number, of_token(request, token))["content"]}


@routes.get("/archive")
async def archive(request: Request, caller: Caller = Depends(somebody)):
    return request.app.state.database.all(
        "select id, title from papers where user_id = ? and listed = 1", caller.id)


@routes.get("/archive/{number}")
async def paper(number: int, request: Request, caller: Caller = Depends(somebody)):
    database, checks = state_of(request)
    record = found(database.one("select * from papers where id = ?", number))
    checks.bola_hidden_paper(caller, record)
    return {"id": number, "title": record["title"]}


@routes.get("/directory")
async def directory(request: Request, x_tenant: str = Header(""), caller: Caller = Depends(somebody)):
    database, checks = state_of(request)
    tenant = checks.tenant_by_header(caller, x_tenant)
    people = database.all("select id, display_name from users where tenant = ? limit 20", tenant)
    return {"tenant": tenant, "people": people}


@routes.get("/tenants/{tenant}/report")
async def report(tenant: str, request: Request, caller: Caller = Depends(somebody)):
    database, checks = state_of(request)
    checks.tenant_by_path(caller, tenant)
    count = database.one("select count(*) as orders from orders where tenant = ?", tenant)
    return {"tenant": tenant, "orders": count["orders"]}
