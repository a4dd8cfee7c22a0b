"""Clients of the shop: each has an address of its own, and everything they ask is counted."""
import itertools
import time

import httpx

# No run takes longer, or asks more often.
SECONDS, REQUESTS = 300, 6000


class Enough(Exception):
    """A bound was reached."""


class Shop:
    """The shop as it is reached: addresses, the authority, counts."""

    def __init__(self, tls, plain, context):
        self.base = f"https://127.0.0.1:{tls}"
        self.plain = f"http://127.0.0.1:{plain}"
        self.context = context
        self.asked = 0
        self.numbers = itertools.count(1)
        self.end = time.monotonic() + SECONDS

    def client(self, address, base=None):
        transport = httpx.HTTPTransport(verify=self.context, local_address=address)
        return httpx.Client(base_url=base or self.base, transport=transport, timeout=20)

    def count(self):
        self.asked = next(self.numbers)
        if self.asked > REQUESTS or time.monotonic() > self.end:
            raise Enough(f"{self.asked} requests")


class Caller:
    """Somebody with an address, perhaps with a token."""

    def __init__(self, shop, address, person=None):
        self.shop, self.person = shop, person
        self.client = shop.client(address)
        self.token = None
        self.refresh = None

    def ask(self, method, path, expect=None, **rest):
        """One exchange; with `expect`, any other status is a failure of the shop."""
        self.shop.count()
        headers = dict(rest.pop("headers", {}))
        if self.token and "Authorization" not in headers:
            headers["Authorization"] = f"Bearer {self.token}"
        answer = self.client.request(method, path, headers=headers, **rest)
        if expect is not None and answer.status_code != expect:
            who = self.person.name if self.person else "nobody"
            raise AssertionError(f"{who}: {method} {path}: {answer.status_code}, not {expect}: {answer.text[:200]}")
        return answer

    def get(self, path, expect=200, **rest):
        return self.ask("GET", path, expect, **rest).json()

    def post(self, path, given=None, expect=201, **rest):
        return self.ask("POST", path, expect, json=given, **rest).json()

    def password_step(self, password=None):
        self.token = None
        given = {"username": self.person.name, "password": password or self.person.password}
        return self.post("/api/auth/login", given, 200)

    def login(self):
        """As the shop's own pages do it: password, then the second factor for those who have one."""
        answer = self.password_step()
        if answer.get("mfa_required"):
            self.token = answer["mfa_token"]
            answer = self.post("/api/auth/mfa", {"code": self.person.code}, 200)
        self.token, self.refresh = answer["access_token"], answer["refresh_token"]
        return self

    def renew(self):
        self.token = None
        self.token = self.post("/api/auth/refresh", {"refresh_token": self.refresh}, 200)["access_token"]
