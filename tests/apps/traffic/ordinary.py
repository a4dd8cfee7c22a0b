"""Ordinary use: customers with what is theirs, shared documents, staff in their roles, a job, a partner."""
import random
from concurrent.futures import ThreadPoolExecutor

from people import BATCH_KEY, CUSTOMERS, PARTNER, REGULARS, everybody
from traffic.talk import Caller

ROUNDS = 3
# Customers who ask at the same time.
TOGETHER = 4


def play(shop):
    """Some three thousand exchanges in rounds, customers side by side. Gives the callers, logged in, by name."""
    cast = {person.name: Caller(shop, person.address, person) for person in everybody()}
    job = Caller(shop, "127.0.0.40")
    partner = Caller(shop, "127.0.0.41")
    visitor = Caller(shop, "127.0.0.42")
    with ThreadPoolExecutor(TOGETHER) as pool:
        list(pool.map(lambda name: regular(cast[name]), REGULARS))
    for number in range(ROUNDS):
        parts = [(customer, name) for name in CUSTOMERS] + [(reader, name) for name in REGULARS[number::ROUNDS]]
        random.Random(number).shuffle(parts)
        with ThreadPoolExecutor(TOGETHER) as pool:
            list(pool.map(lambda part, number=number: part[0](cast[part[1]], number), parts))
        for helper in ("uma", "vera"):
            support(cast[helper], number)
        manager(cast["walt"])
        admin(cast["xena"])
        batch(job)
        partner.client.auth = PARTNER
        partner.get("/api/legacy/stock")
        for product in (3, 5, 8):
            visitor.get(f"/api/products/{product}")
        visitor.get("/api/products/4/reviews")
    cast["job"], cast["visitor"] = job, visitor
    return cast


def regular(one):
    one.login()
    one.get("/api/me")
    one.get(f"/api/products/{1 + one.person.number % 20}")


def reader(one, number):
    """Comes back for what others say of a product, and looks up who they are: profiles are for everybody."""
    product = 1 + (one.person.number + number) % 20
    for review in one.get(f"/api/products/{product}/reviews")[:2]:
        one.get(f"/api/users/{review['reviewer']}")


def customer(one, number):
    chance = random.Random(100 * one.person.number + number)
    if number == 2 and chance.random() < 0.3:
        one.token = None
        one.ask("POST", "/api/auth/login", 401, json={"username": one.person.name, "password": "mistyped"})
    if number % 2 == 0:
        one.login()
    else:
        one.renew()
    one.get("/api/me")
    one.get("/api/products")
    product = chance.randrange(1, 20)
    one.get(f"/api/products/{product}")
    one.get(f"/api/products/{product}/reviews")
    buy(one, product)
    shelf(one, number)
    money(one)
    if number % 2 == 0:
        one.ask("PATCH", "/api/me", 200, json={"display_name": one.person.name.title()})
        one.get(f"/api/users/{one.person.number}")
        token = one.post("/api/reports/token", expect=200)["token"]
        one.get("/api/reports/daily", headers={"Authorization": f"Bearer {token}"})
    one.get("/api/directory", headers={"X-Tenant": one.person.tenant})
    one.get(f"/api/tenants/{one.person.tenant}/report")


def buy(one, product):
    order = one.post("/api/orders", {"product_id": product, "quantity": 1})["id"]
    one.ask("PUT", f"/api/orders/{order}", 200, json={"quantity": 2, "note": "by the door"})
    one.get(f"/api/orders/{order}/tracking")
    older = [each["id"] for each in one.get("/api/orders") if each["id"] != order]
    for number in older[:2]:
        one.get(f"/api/orders/{number}")
    one.ask("DELETE", f"/api/orders/{older[0]}", 204)
    for each in one.get("/api/invoices")[:2]:
        one.get(f"/api/invoices/{each['id']}")


def shelf(one, number):
    """Documents: written, read, every fourth shared with the whole tenant and read by others later."""
    document = one.post("/api/documents", {"title": f"Notes {number}", "content": "what we agreed on"})["id"]
    if one.person.number % 4 == 0:
        one.post(f"/api/documents/{document}/share", {"with_whom": f"tenant:{one.person.tenant}"}, 200)
    for each in one.get("/api/documents")[:3]:
        one.get(f"/api/documents/{each['id']}")
    if number % 2 == 1:
        one.get(one.post(f"/api/documents/{document}/link", expect=200)["href"])
    papers = one.get("/api/archive")
    one.get(f"/api/archive/{papers[number % len(papers)]['id']}")


def money(one):
    daily, savings = (account["id"] for account in one.get("/api/accounts")[:2])
    one.get("/api/statements", params={"account": daily})
    one.post("/api/transfers", {"from_account": daily, "to_account": savings, "amount": 5})
    one.ask("PATCH", f"/api/accounts/{savings}", 200, json={"label": "holiday"})


def support(one, number):
    """Reads orders and invoices of others: that is the work."""
    one.login()
    for place in range(4):
        one.get("/api/contacts", params={"limit": 10, "offset": 10 * (4 * number + place)})
    for each in one.get("/api/support/orders")[:6]:
        one.get(f"/api/orders/{each['id']}")
        one.get(f"/api/orders/{each['id']}/tracking")
    one.post("/api/support/refunds", {"order_id": each["id"], "amount": 3})


def manager(one):
    one.login()
    for _ in range(3):
        product = one.post("/api/products", {"name": "Lamp of the week", "price": 1500})["id"]
        one.ask("DELETE", f"/api/products/{product}", 204)


def admin(one):
    one.login()
    for each in one.get("/api/admin/users")[20:23]:
        one.post(f"/api/admin/users/{each['id']}/role", {"role": each["role"]}, 200)


def batch(job):
    """Goes through every order, and looks at some of them once more."""
    job.client.headers["X-API-Key"] = BATCH_KEY
    after = 0
    for _ in range(4):
        rows = job.get("/api/batch/orders", params={"after": after})
        after = rows[-1]["id"]
        for row in rows[:4]:
            job.get(f"/api/orders/{row['id']}")
