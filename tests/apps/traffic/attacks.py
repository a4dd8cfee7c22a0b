"""An attack on each weakness. Each says what it asked, who asked, and what either twin should answer."""
import dataclasses

import httpx

from people import CUSTOMERS, FIRST_ID, HIDDEN_PAPERS, PARTNER, POOR_PASSWORDS, everybody
from shop import tokens
from traffic.talk import Caller

PEOPLE = {person.name: person for person in everybody()}
SUCCESS, REFUSED, NO_ANSWER = 2, 4, 0


@dataclasses.dataclass
class Step:
    """What one attack came to. `effect`: whether the harm is done, where the status does not tell."""
    weakness: str
    owasp: str
    requests: list
    caller: str
    attempts: int
    status: int
    weak: int = SUCCESS
    repaired: int = REFUSED
    effect: bool | None = None

    def line(self):
        return {"phase": "attack", "weakness": self.weakness, "owasp": self.owasp, "requests": self.requests,
                "caller": self.caller, "attempts": self.attempts, "status": self.status, "effect": self.effect,
                "expected": {"weak": self.weak, "repaired": self.repaired}}


class Attacks:
    """`cast` are the callers of ordinary use, still logged in; `kept` is a token of last week."""

    def __init__(self, shop, cast, kept):
        self.shop, self.cast, self.kept = shop, cast, kept

    def all(self):
        for attack in ATTACKS:
            yield from attack(self)

    def fresh(self, place):
        """Somebody who was never seen, at an address of their own."""
        return Caller(self.shop, f"127.0.2.{place}")

    def repeat(self, weakness, owasp, template, name, asks):
        """Asks one after the other; the last status stands for all, which must be alike."""
        caller = self.cast[name]
        method = template.split()[0]
        statuses = [caller.ask(method, path, **rest).status_code for path, rest in asks]
        same = {status // 100 for status in statuses}
        assert len(same) == 1, f"{weakness}: {statuses}"
        return Step(weakness, owasp, [template], name, len(statuses), statuses[-1])

    # API1:2023

    def objects(self):
        leo, kira = self.cast["leo"], self.cast["kira"]
        orders = [each["id"] for each in leo.get("/api/orders")]
        account = leo.get("/api/accounts")[0]["id"]
        mine = self.cast["finn"].get("/api/accounts")[0]["id"]
        private = {"title": "private", "content": "between us"}
        documents = [kira.post("/api/documents", private)["id"] for _ in range(3)]
        papers = [each["id"] for each in kira.get("/api/archive")]
        api1 = "API1:2023"
        yield self.repeat("bola-read-path", api1, "GET /api/orders/{id}", "finn",
                          [(f"/api/orders/{number}", {}) for number in orders[:5]])
        yield self.repeat("bola-update-path", api1, "PUT /api/orders/{id}", "finn",
                          [(f"/api/orders/{number}", {"json": {"quantity": 9, "note": "mine"}})
                           for number in orders[:3]])
        yield self.repeat("bola-delete-path", api1, "DELETE /api/orders/{id}", "finn",
                          [(f"/api/orders/{number}", {}) for number in orders[:3]])
        yield self.repeat("bola-read-query", api1, "GET /api/statements", "finn",
                          [("/api/statements", {"params": {"account": account}})] * 3)
        yield self.repeat("bola-write-body", api1, "POST /api/transfers", "finn",
                          [("/api/transfers", {"json": {"from_account": account, "to_account": mine, "amount": 500}})])
        yield self.repeat("bola-foreign-document", api1, "GET /api/documents/{id}", "emil",
                          [(f"/api/documents/{number}", {}) for number in documents])
        yield self.repeat("bola-listed-paper", api1, "GET /api/archive/{id}", "sven",
                          [(f"/api/archive/{number}", {}) for number in papers])
        yield self.repeat("bola-hidden-paper", api1, "GET /api/archive/{id}", "dora",
                          [(f"/api/archive/{number}", {}) for number in HIDDEN_PAPERS[:6]])

    def enumeration(self):
        """Counts upwards from some invoice."""
        asks = [(f"/api/invoices/{500_000 + place}", {}) for place in range(20, 50)]
        yield self.repeat("enumerable-invoices", "API1:2023", "GET /api/invoices/{id}", "cleo", asks)

    def tenants(self):
        others = ("acme", "initech")
        yield self.repeat("tenant-by-path", "API1:2023", "GET /api/tenants/{tenant}/report", "mona",
                          [(f"/api/tenants/{tenant}/report", {}) for tenant in others])
        yield self.repeat("tenant-by-header", "API1:2023", "GET /api/directory", "mona",
                          [("/api/directory", {"headers": {"X-Tenant": tenant}}) for tenant in others])

    # API2:2023

    def tokens_as_given(self):
        """Whose own token is bad: nothing is attacked, only read."""
        one = self.cast["ada"].login()
        status = one.ask("GET", "/api/me").status_code
        claims = tokens.decode(one.token, b"secret", allow_none=False) if signed_by_secret(one.token) else {}
        common = {"requests": ["GET /api/me"], "caller": "ada", "attempts": 1, "status": status, "repaired": SUCCESS}
        yield Step("guessable-secret", "API2:2023", effect=bool(claims), **common)
        body = tokens.bytes_of(one.token.split(".")[1])
        yield Step("no-expiry", "API2:2023", effect=b'"exp"' not in body, **common)

    def forged(self):
        victim = {"id": PEOPLE["jan"].number, "tenant": "globex", "role": "customer"}
        thief = self.fresh(10)
        claims = tokens.claims_of(victim, "access", 900)
        payload = tokens.encode(claims, b"secret")
        none = tokens.part(b'{"alg":"none","typ":"JWT"}') + "." + payload.split(".")[1] + "."
        forged = (("alg-none", none, "/api/orders"), ("forged-by-secret", payload, "/api/invoices"))
        for weakness, token, path in forged:
            thief.token = token
            statuses = [thief.ask("GET", path).status_code for _ in range(2)]
            yield Step(weakness, "API2:2023", [f"GET {path}"], "a stranger as jan", 2, statuses[-1])

    def expired(self):
        """From the address of whom it was given to: only its time is wrong."""
        keeper = Caller(self.shop, PEOPLE["emil"].address)
        keeper.token = self.kept
        statuses = [keeper.ask("GET", "/api/reports/daily").status_code for _ in range(2)]
        yield Step("expired-token", "API2:2023", ["GET /api/reports/daily"], "emil", 2, statuses[-1])

    def token_in_url(self):
        """Follows the link that the shop gives: the harm is that the link holds a token."""
        one = self.cast["hugo"]
        document = one.post("/api/documents", {"title": "mine", "content": "mine"})["id"]
        href = one.post(f"/api/documents/{document}/link", expect=200)["href"]
        status = one.ask("GET", href).status_code
        yield Step("token-in-url", "API2:2023", ["GET /api/downloads/{id}"], "hugo", 1, status, repaired=SUCCESS,
                   effect="access_token=" in href)

    def forgotten_authentication(self):
        nobody = self.fresh(11)
        orders = [each["id"] for each in self.cast["olga"].get("/api/orders")][:4]
        statuses = [nobody.ask("GET", f"/api/orders/{number}/tracking").status_code for number in orders]
        yield Step("missing-authentication", "API2:2023", ["GET /api/orders/{id}/tracking"], "nobody", len(statuses),
                   statuses[-1])

    def stolen_token(self):
        """One token from sixteen addresses within a moment: the sensor estimates how many, and tells ten."""
        token = self.cast["tara"].login().token
        places = range(20, 36)
        for place in places:
            thief = self.fresh(place)
            thief.token = token
            status = thief.ask("GET", "/api/me").status_code
        yield Step("token-from-many-places", "API2:2023", ["GET /api/me"], "tara's token", len(places), status)

    def skipped_step(self):
        thief = Caller(self.shop, PEOPLE["ben"].address, PEOPLE["ben"])
        account, other = (each["id"] for each in self.cast["ben"].get("/api/accounts"))
        thief.token = thief.password_step()["mfa_token"]
        given = {"from_account": account, "to_account": other, "amount": 1}
        statuses = [thief.ask("POST", "/api/transfers", json=given).status_code for _ in range(2)]
        yield Step("mfa-skipped", "API2:2023", ["POST /api/transfers"], "ben without the second factor", 2,
                   statuses[-1])

    def logins(self):
        login = "POST /api/auth/login"
        attempts = [("rosa", f"sunny-{number:04}") for number in range(691, 731)]
        yield self.guess("brute-force", login, 40, attempts + [("rosa", POOR_PASSWORDS["rosa"])])
        names = [name for name in CUSTOMERS if name not in ("quin", "rosa")]
        yield self.guess("password-spraying", login, 41, [(name, "Winter2026!") for name in [*names, "quin"]])
        leaked = [(f"customer{number}@mail.example", f"leaked-{number}") for number in range(40)]
        yield self.guess("credential-stuffing", login, 42, [*leaked, ("nils", PEOPLE["nils"].password)])

    def guess(self, weakness, template, place, attempts):
        """The last pair is right."""
        thief = self.fresh(place)
        for name, password in attempts:
            answer = thief.ask("POST", "/api/auth/login", json={"username": name, "password": password})
        return Step(weakness, "API2:2023", [template], "a stranger", len(attempts), answer.status_code)

    def user_enumeration(self):
        known = ["ada", "cleo", "dora", "emil", "finn", "gina", "hugo", "ines", "jan", "kira", "leo", "mona"]
        pairs = [(name, f"nosuch{place}") for place, name in enumerate(known)]
        yield self.compare("user-enumeration-login", "POST /api/auth/login", 43, [
            [{"username": name, "password": "not-this-one"} for name in pair] for pair in pairs])
        yield self.compare("user-enumeration-reset", "POST /api/auth/password/forgot", 44, [
            [{"email": PEOPLE[name].email}, {"email": f"{other}@acme.example"}] for name, other in pairs])

    def compare(self, weakness, template, place, pairs):
        """Whether the answers for who is known and who is not differ."""
        thief = self.fresh(place)
        method, path = template.split()
        answers = [[thief.ask(method, path, json=given) for given in pair] for pair in pairs]
        told = [{(answer.status_code, answer.text) for answer in side} for side in zip(*answers)]
        status = answers[0][0].status_code
        expected = REFUSED if status // 100 == REFUSED else SUCCESS
        return Step(weakness, "API2:2023", [template], "a stranger", 2 * len(pairs), status, weak=expected,
                    repaired=expected, effect=told[0] != told[1])

    # API3:2023

    def properties(self):
        nils, gina = self.cast["nils"].login(), self.cast["gina"]
        answer = nils.ask("PATCH", "/api/me", json={"display_name": "Nils", "role": "manager"})
        role = nils.get("/api/me")["role"]
        yield Step("mass-assignment-role", "API3:2023", ["PATCH /api/me"], "nils", 1, answer.status_code,
                   effect=role == "manager")
        account = gina.get("/api/accounts")[1]["id"]
        answer = gina.ask("PATCH", f"/api/accounts/{account}", json={"label": "pot", "balance": 99_000_000})
        balance = next(each["balance"] for each in gina.get("/api/accounts") if each["id"] == account)
        yield Step("mass-assignment-balance", "API3:2023", ["PATCH /api/accounts/{id}"], "gina", 1,
                   answer.status_code, repaired=SUCCESS, effect=balance == 99_000_000)
        yield self.registration()

    def registration(self):
        """Some register as the form says, one adds a property."""
        stranger = self.fresh(12)
        given = {"password": "Kestrel-and-Owl", "display_name": "Guest"}
        for number in range(25):
            stranger.post("/api/auth/register", given | {"username": f"guest{number}"})
        person = dataclasses.replace(PEOPLE["ada"], name="guest-admin")
        answer = stranger.ask("POST", "/api/auth/register", json=given | {
            "username": person.name, "is_admin": 1, "role": "admin"})
        stranger.person = person
        stranger.token = stranger.password_step(given["password"])["access_token"]
        role = stranger.get("/api/me")["role"]
        return Step("mass-assignment-register", "API3:2023", ["POST /api/auth/register"], "a stranger", 1,
                    answer.status_code, repaired=SUCCESS, effect=role == "admin")

    def too_much(self):
        one = self.cast["sven"]
        reviews = one.get("/api/products/7/reviews")
        yield Step("excessive-data", "API3:2023", ["GET /api/products/{id}/reviews"], "sven", 1, 200,
                   repaired=SUCCESS, effect="password_hash" in reviews[0])
        for number in range(FIRST_ID, FIRST_ID + 6):
            answer = one.ask("GET", f"/api/users/{number}", params={"view": "internal"})
        yield Step("properties-beyond-norm", "API3:2023", ["GET /api/users/{id}"], "sven", 6, answer.status_code,
                   repaired=SUCCESS, effect="card" in answer.json())
        answer = self.cast["vera"].ask("GET", "/api/contacts", params={"limit": 100_000})
        yield Step("bulk-export", "API3:2023", ["GET /api/contacts"], "vera", 1, answer.status_code)

    # API5:2023

    def functions(self):
        api5, orders = "API5:2023", [each["id"] for each in self.cast["gina"].get("/api/orders")]
        yield self.repeat("function-of-support", api5, "POST /api/support/refunds", "gina", [
            ("/api/support/refunds", {"json": {"order_id": number, "amount": 50}}) for number in orders[:2]])
        yield self.repeat("administrative-list", api5, "GET /api/admin/users", "gina", [("/api/admin/users", {})] * 2)
        number = PEOPLE["gina"].number
        yield self.repeat("administrative-change", api5, "POST /api/admin/users/{id}/role", "gina", [
            (f"/api/admin/users/{number}/role", {"json": {"role": "admin"}})])
        yield self.repeat("method-unprotected", api5, "DELETE /api/products/{id}", "ines", [
            (f"/api/products/{number}", {}) for number in (21, 22)])

    # API8:2023

    def cleartext(self):
        """The partner's program still has the old address."""
        self.shop.count()
        old = self.shop.client("127.0.0.41", self.shop.plain)
        try:
            status = old.get("/api/legacy/stock", auth=PARTNER).status_code
        except httpx.ConnectError:
            status = 0
        yield Step("basic-over-cleartext", "API8:2023", ["GET /api/legacy/stock"], PARTNER[0], 1, status,
                   repaired=NO_ANSWER)


def signed_by_secret(token):
    try:
        tokens.decode(token, b"secret", allow_none=False)
    except tokens.BadToken:
        return False
    return True


ATTACKS = [
    Attacks.tokens_as_given, Attacks.objects, Attacks.enumeration, Attacks.tenants, Attacks.forged, Attacks.expired,
    Attacks.token_in_url, Attacks.forgotten_authentication, Attacks.stolen_token, Attacks.skipped_step,
    Attacks.logins, Attacks.user_enumeration, Attacks.properties, Attacks.too_much, Attacks.functions,
    Attacks.cleartext,
]
