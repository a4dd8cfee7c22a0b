"""The database: tables, and what is in them at the start. The same in both twins but for the numbers of invoices."""
import hashlib
import random
import sqlite3
import uuid

from people import CUSTOMERS, HIDDEN_PAPERS, STAFF, TENANTS, WITH_MFA, everybody

PRODUCTS = 30
# Records of the list that support staff page through.
CONTACTS = 800

TABLES = """
create table users(id integer primary key, name text unique, tenant text, role text, is_admin integer default 0,
    display_name text, email text, password_hash text, card text, phone text, mfa integer);
create table sessions(refresh text primary key, user_id integer);
create table products(id integer primary key, name text, price integer, stock integer);
create table reviews(id integer primary key, product_id integer, user_id integer, stars integer, words text);
create table orders(id integer primary key, user_id integer, tenant text, product_id integer, quantity integer,
    note text, state text default 'open');
create table invoices(id text primary key, user_id integer, tenant text, amount integer, month text);
create table accounts(id integer primary key, user_id integer, tenant text, label text, balance integer);
create table bookings(id integer primary key, account_id integer, amount integer, words text);
create table documents(id text primary key, user_id integer, tenant text, title text, content text, shared text);
create table papers(id integer primary key, user_id integer, tenant text, title text, listed integer);
create table contacts(id integer primary key, tenant text, name text, email text, phone text, city text);
create table refunds(id integer primary key, order_id integer, amount integer, by_user integer);
"""


def password_hash(password):
    return "pbkdf2$" + hashlib.pbkdf2_hmac("sha256", password.encode(), b"shop", 10).hex()


class Database:
    """One connection; the application has one thread."""

    def __init__(self, path, sequential_invoices):
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("pragma synchronous=off")
        self.connection.execute("pragma journal_mode=memory")
        self.connection.executescript(TABLES)
        self.sequential_invoices = sequential_invoices
        self.random = random.Random(5)
        self.connection.execute("begin")
        self.seed()
        self.connection.execute("commit")

    def all(self, query, *values):
        return [dict(row) for row in self.connection.execute(query, values)]

    def one(self, query, *values):
        row = self.connection.execute(query, values).fetchone()
        return dict(row) if row else None

    def add(self, table, **values):
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        cursor = self.connection.execute(f"insert into {table}({names}) values({marks})", tuple(values.values()))
        return cursor.lastrowid

    def change(self, table, number, values):
        """`values` has the names of columns that the caller has checked against the table."""
        if values:
            sets = ", ".join(f"{name} = ?" for name in values)
            self.connection.execute(f"update {table} set {sets} where id = ?", (*values.values(), number))

    def columns(self, table):
        return {row[1] for row in self.connection.execute(f"pragma table_info({table})")}

    def remove(self, table, number):
        self.connection.execute(f"delete from {table} where id = ?", (number,))

    def seed(self):
        for person in everybody():
            self.seed_person(person)
        for number in range(1, PRODUCTS + 1):
            self.add("products", id=number, name=f"Lamp {number}", price=900 + 37 * number, stock=50)
            for place in range(3):
                user = 1001 + (number * 3 + place) % len(CUSTOMERS)
                self.add("reviews", product_id=number, user_id=user, stars=3 + place % 3, words="Does what it should.")
        for number in range(1, CONTACTS + 1):
            tenant = TENANTS[number % len(TENANTS)]
            self.add("contacts", id=number, tenant=tenant, name=f"Contact {number}",
                     email=f"contact{number}@{tenant}.example", phone=f"+49 30 {901_000 + number * 7}", city="Berlin")
        for number in HIDDEN_PAPERS:
            self.add("papers", id=number, user_id=1001, tenant="acme", title=f"Minutes {number}", listed=0)

    def seed_person(self, person):
        number = person.number
        self.add("users", id=number, name=person.name, tenant=person.tenant, role=person.role,
                 is_admin=int(person.role == "admin"), display_name=person.name.title(), email=person.email,
                 password_hash=password_hash(person.password), card=card(number), phone=f"+49 30 {777_000 + number}",
                 mfa=int(person.name in WITH_MFA))
        if person.name in STAFF:
            return
        for place in range(6):
            self.add("orders", user_id=number, tenant=person.tenant, product_id=1 + (number + place) % PRODUCTS,
                     quantity=1 + place % 3, note="")
            self.add("invoices", id=self.invoice_number(number, place), user_id=number, tenant=person.tenant,
                     amount=1200 + 11 * place, month=f"2026-{place + 1:02}")
        for label in ("daily", "savings"):
            account = self.add("accounts", id=self.random.randrange(4_000_000, 9_000_000), user_id=number,
                               tenant=person.tenant, label=label, balance=100_000)
            for place in range(3):
                self.add("bookings", account_id=account, amount=100 + place, words="opening")
        for place in range(4):
            self.add("papers", id=60_000 + number * 4 + place, user_id=number, tenant=person.tenant,
                     title=f"Contract {place}", listed=1)

    def invoice_number(self, user, place):
        """API1:2023, enumeration. Invoices of all users follow each other; repaired, their names are random."""
        if self.sequential_invoices:
            return str(500_000 + (user - 1001) * 6 + place)
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))


def card(number):
    """A number of a payment card that fits its check digit."""
    digits = [int(digit) for digit in f"4556{number:011}"]
    total = sum(sum(divmod(digit * 2, 10)) if place % 2 == 0 else digit for place, digit in enumerate(digits))
    return "".join(map(str, digits)) + str(-total % 10)

