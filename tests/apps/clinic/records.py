"""What the clinic holds at its start, in memory. Every value is made up here; `PEOPLE` are its personal ones."""
import datetime
import uuid

FIRST_OWNER, OWNERS = 201, 24
FIRST_PATIENT, PATIENTS = 1001, 60
# Visits of each patient.
VISITS = 2
SPECIES = ["dog", "cat", "rabbit", "parrot"]
# Namespace of the visits' ids: they are the same in each run.
CLINIC = uuid.UUID("6f1c2a58-7f0b-4c1d-9a55-2f0f6a5f9b10")

GIVEN = ["Adelgunde", "Balthasar", "Cosima", "Dietlinde", "Eginhard", "Friederike", "Gisbert", "Hadwig"]
FAMILY = ["Quastenberg", "Rehwinkel", "Sauerbrey"]

ARTICLES = {
    "first-aid-for-dogs": "health", "winter-paws": "health", "ticks-and-fleas": "health", "feeding-rabbits": "food",
    "teaching-parrots": "behaviour", "cats-and-boxes": "behaviour", "grain-free-diets": "food",
    "travelling-with-pets": "health", "noise-and-fear": "behaviour", "old-cats-young-hearts": "health",
    "how-much-water": "food", "first-night-at-home": "behaviour",
}


def person(place):
    """An owner: nobody."""
    given, family = GIVEN[place % len(GIVEN)], FAMILY[place % len(FAMILY)]
    return {
        "id": FIRST_OWNER + place, "name": f"{given} {family}", "email": f"{given}.{family}{place}@example.net".lower(),
        "phone": f"+49 30 5550{place:04}", "preferred": ["email", "phone", "post"][place % 3],
        "address": {"street": f"Birkenwerderstieg {place + 3}", "city": "Niederfinow", "postcode": f"{16248 + place}"},
    }


def patient(place):
    return {
        "id": FIRST_PATIENT + place, "owner": FIRST_OWNER + place % OWNERS, "name": f"Wuschelrich {place}",
        "species": SPECIES[place % len(SPECIES)], "born": str(datetime.date(2014, 1, 1) + datetime.timedelta(41 * place)),
        "weight": round(0.4 + 1.7 * (place % 19), 1), "chip": f"27609{7_000_000_000 + 7919 * place}",
    }


def visits(number):
    made = {}
    for place in range(VISITS):
        key = str(uuid.uuid5(CLINIC, f"{number}/{place}"))
        made[key] = {"id": key, "patient": number, "reason": "check-up", "state": "planned",
                     "at": f"2026-1{place}-05T0{place + 8}:30:00Z"}
    return made


class Records:
    def __init__(self):
        self.owners = {one["id"]: one for one in map(person, range(OWNERS))}
        self.patients = {one["id"]: one for one in map(patient, range(PATIENTS))}
        self.visits = {number: visits(number) for number in self.patients}
        self.articles = {slug: {"slug": slug, "topic": topic, "title": slug.replace("-", " ").title(), "words": "..."}
                         for slug, topic in ARTICLES.items()}
        self.comments = {slug: [] for slug in ARTICLES}
        self.next_patient = FIRST_PATIENT + PATIENTS

    def personal(self):
        """What nobody but the clinic should read anywhere."""
        owners = [value for one in self.owners.values()
                  for value in (one["name"], one["email"], one["phone"], *one["address"].values())]
        return sorted({*owners, *GIVEN, *FAMILY, "Wuschelrich", *(one["chip"] for one in self.patients.values())})
