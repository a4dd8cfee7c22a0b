"""Who there is: the application seeds its database from this list, the traffic plays these parts.

Every value is made up here. Nothing is secret: passwords and codes follow from the name.
"""
import dataclasses
import hashlib

TENANTS = ["acme", "globex", "initech"]
# Seven customers of acme, seven of globex, six of initech.
CUSTOMERS = [
    "ada", "ben", "cleo", "dora", "emil", "finn", "gina",
    "hugo", "ines", "jan", "kira", "leo", "mona", "nils",
    "olga", "paul", "quin", "rosa", "sven", "tara",
]
# Who only looks around: what is usual of tokens and second factors is learnt from many people.
REGULARS = [f"regular{place:03}" for place in range(1, 97)]
STAFF = {"uma": "support", "vera": "support", "walt": "manager", "xena": "admin"}
WITH_MFA = {"ada", "ben", "hugo", "ines", "olga", "paul", *REGULARS[::3]}
# What brute force and spraying find out.
POOR_PASSWORDS = {"rosa": "sunny-0731", "quin": "Winter2026!"}
PARTNER = ("partner-north", "north-Stock-44")
BATCH_KEY = "batch-7f3c9a5e1b2d4860a4c1"
FIRST_ID = 1001
# Archived papers that no list shows to anybody.
HIDDEN_PAPERS = range(70_001, 70_021)


@dataclasses.dataclass(frozen=True)
class Person:
    number: int
    name: str
    tenant: str
    role: str

    @property
    def password(self):
        return POOR_PASSWORDS.get(self.name, f"{self.name}-Kestrel-{self.number}")

    @property
    def email(self):
        return f"{self.name}@{self.tenant}.example"

    @property
    def code(self):
        """The second factor."""
        digest = hashlib.sha256(self.name.encode()).digest()
        return f"{int.from_bytes(digest[:4], 'big') % 1_000_000:06}"

    @property
    def address(self):
        """Everybody has an address of loopback."""
        return f"127.0.1.{self.number - FIRST_ID + 10}"


def everybody():
    people = []
    for place, name in enumerate(CUSTOMERS):
        people.append(Person(FIRST_ID + place, name, TENANTS[min(place // 7, 2)], "customer"))
    for name, role in STAFF.items():
        people.append(Person(FIRST_ID + len(people), name, "shop", role))
    for place, name in enumerate(REGULARS):
        people.append(Person(FIRST_ID + len(people), name, TENANTS[place % 3], "customer"))
    return people
