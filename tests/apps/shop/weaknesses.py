"""Every place where the twins differ, one function for each weakness.

Weak, a function lets pass what it should refuse; repaired, it refuses. Everything else of the shop is the same code.
"""
import secrets
import time

from shop import tokens

STAFF = {"support", "manager", "admin"}
# Failed logins of an account or of an address within so many seconds, after which the repaired twin asks to wait:
# as fail2ban has it where nobody says otherwise.
FAILURES, WITHIN = 5, 600
# Largest page of a list in the repaired twin.
PAGE = 50


class Refused(Exception):
    """What is answered instead: status, a short text, and after how many seconds it may be otherwise."""

    def __init__(self, status, detail, wait=None):
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.headers = {} if wait is None else {"Retry-After": str(wait)}


class Checks:
    def __init__(self, repaired):
        self.repaired = repaired
        self.secret = self.signing_secret()
        self.failures = {}

    # API1:2023 Broken Object Level Authorization

    def own_or_refuse(self, caller, record, also=("support", "admin", "batch")):
        if self.repaired and record["user_id"] != caller.id and caller.role not in also:
            raise Refused(404, "not found")

    def bola_read_by_path(self, caller, order):
        """API1:2023. An order is read by whoever knows its number."""
        self.own_or_refuse(caller, order)

    def bola_update_by_path(self, caller, order):
        """API1:2023. An order is changed by whoever knows its number."""
        self.own_or_refuse(caller, order, also=())

    def bola_delete_by_path(self, caller, order):
        """API1:2023. An order is deleted by whoever knows its number."""
        self.own_or_refuse(caller, order, also=())

    def bola_read_by_query(self, caller, account):
        """API1:2023. Bookings of any account, named in the query."""
        self.own_or_refuse(caller, account, also=())

    def bola_write_by_body(self, caller, account):
        """API1:2023. Money moves from any account, named in the body."""
        self.own_or_refuse(caller, account, also=())

    def bola_foreign_document(self, caller, document):
        """API1:2023. A document that was handed to its owner only is opened by another."""
        shared = document["shared"].split(",")
        if str(caller.id) in shared or f"tenant:{caller.tenant}" in shared:
            return
        self.own_or_refuse(caller, document, also=())

    def bola_hidden_paper(self, caller, paper):
        """API1:2023. A paper that no list shows is opened by its number."""
        if self.repaired and not paper["listed"]:
            raise Refused(404, "not found")
        self.own_or_refuse(caller, paper, also=())

    def enumerable_invoices(self, caller, invoice):
        """API1:2023. Invoices are numbered one after the other and given to whoever counts."""
        self.own_or_refuse(caller, invoice)

    def tenant_by_path(self, caller, tenant):
        """API1:2023. The report of another tenant, named in the path."""
        if self.repaired and caller.tenant not in (tenant, "shop"):
            raise Refused(403, "another tenant")

    def tenant_by_header(self, caller, asked):
        """API1:2023. A field of the request says which tenant's directory is shown."""
        if not asked or not self.repaired:
            return asked or caller.tenant
        if asked != caller.tenant:
            raise Refused(403, "another tenant")
        return asked

    # API2:2023 Broken Authentication

    def signing_secret(self):
        """API2:2023. Tokens are signed with a word that everybody tries first."""
        return secrets.token_bytes(32) if self.repaired else b"secret"

    def lifetime_of_access(self):
        """API2:2023. A token without `exp` is valid for ever."""
        return 900 if self.repaired else None

    def accepted_claims(self, token):
        """API2:2023. `alg: none` is a signature, and `exp` is not looked at."""
        try:
            claims = tokens.decode(token, self.secret, allow_none=not self.repaired)
        except tokens.BadToken as error:
            raise Refused(401, str(error)) from error
        if self.repaired and claims.get("exp", 0) <= time.time():
            raise Refused(401, "expired")
        return claims

    def token_tied_to_place(self, claims, address):
        """API2:2023. A stolen token works from anywhere, and from many places at once."""
        if self.repaired and claims.get("place", address) != address:
            raise Refused(401, "log in again")

    def step_skipped(self, claims):
        """API2:2023. What the password alone gave is good for everything: the second factor can be left out."""
        if self.repaired and claims.get("use") != "access":
            raise Refused(401, "not an access token")

    def token_in_url(self, header, query):
        """API2:2023. Links carry the access token, and it is taken from there."""
        return header or (None if self.repaired else query)

    def link(self, document, token):
        """API2:2023. The address of a download holds the token of who asked for it."""
        address = f"/api/downloads/{document['id']}"
        return address if self.repaired else f"{address}?access_token={token}"

    def missing_authentication(self, caller):
        """API2:2023. One endpoint was forgotten: its siblings ask who is calling, it does not."""
        if self.repaired and caller is None:
            raise Refused(401, "log in")

    def no_lockout(self, name, address):
        """API2:2023. Nobody counts failed logins: brute force, stuffing and spraying go on for ever."""
        if not self.repaired:
            return
        now = time.monotonic()
        for key in (("account", name), ("address", address)):
            times = [each for each in self.failures.get(key, ()) if each > now - WITHIN]
            if len(times) >= FAILURES:
                raise Refused(429, "wait a while", wait=int(times[-FAILURES] + WITHIN - now) + 1)

    def failed(self, name, address):
        for key in (("account", name), ("address", address)):
            self.failures.setdefault(key, []).append(time.monotonic())

    def succeeded(self, name):
        self.failures.pop(("account", name), None)

    def user_enumeration_at_login(self, user):
        """API2:2023. A login says whether the name or the password is wrong."""
        if user is None and not self.repaired:
            raise Refused(404, "no such user")
        raise Refused(401, "wrong name or password" if self.repaired else "wrong password")

    def user_enumeration_at_reset(self, user):
        """API2:2023. The reset of a password says whether the address is known."""
        if user is None and not self.repaired:
            raise Refused(404, "no such address")

    # API3:2023 Broken Object Property Level Authorization

    def assignable(self, given, allowed, columns):
        """API3:2023, mass assignment. Whatever property a request has is stored; repaired, others are passed over."""
        names = allowed if self.repaired else columns - {"id"}
        return {name: value for name, value in given.items() if name in names}

    def assignable_or_refused(self, given, allowed, columns):
        """API3:2023, mass assignment. As above, where the repaired twin refuses what it does not know."""
        if self.repaired and set(given) - allowed:
            raise Refused(422, "unknown property")
        return self.assignable(given, allowed, columns)

    def view(self, record, shown):
        """API3:2023. A stored record is given as it is, with what was never meant to leave."""
        return {name: record[name] for name in shown} if self.repaired else record

    def internal_view(self, record, shown, asked):
        """API3:2023. A parameter of the query adds properties beyond those that everybody gets."""
        wide = asked == "internal" and not self.repaired
        return record if wide else {name: record[name] for name in shown}

    def page_size(self, asked):
        """API3:2023, bulk read. A list has as many records as the caller asks for."""
        if self.repaired and asked > PAGE:
            raise Refused(422, f"at most {PAGE}")
        return asked

    # API5:2023 Broken Function Level Authorization

    def role_or_refuse(self, caller, roles):
        if self.repaired and caller.role not in roles:
            raise Refused(403, "not for you")

    def function_of_support(self, caller):
        """API5:2023. A function of the support staff works for every user."""
        self.role_or_refuse(caller, STAFF)

    def administrative_function(self, caller):
        """API5:2023. Administration is hidden, not protected."""
        self.role_or_refuse(caller, {"admin"})

    def method_unprotected(self, caller):
        """API5:2023. A product can be read by all; that only managers may delete it was not said to DELETE."""
        self.role_or_refuse(caller, {"manager", "admin"})

    # API8:2023 Security Misconfiguration

    def serves_cleartext(self):
        """API8:2023. The old port without TLS still takes passwords."""
        return not self.repaired
