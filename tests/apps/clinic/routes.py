"""What can be asked of the clinic: the operations of `openapi.json`."""
import datetime
import hmac
import uuid
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from clinic.records import CLINIC

# Made up, and known to the test.
TOKEN = "clinic-4c1d9a552f0f6a5f9b106f1c2a58"
ME = 201

Name = Annotated[str, Field(min_length=1, max_length=80)]
Limit = Annotated[int, Query(ge=1, le=100)]
Species = Literal["dog", "cat", "rabbit", "parrot"]
Topic = Literal["health", "food", "behaviour"]


def somebody(request: Request):
    given = request.headers.get("authorization", "").encode("utf-8", "replace")
    if not hmac.compare_digest(given, f"Bearer {TOKEN}".encode()):
        raise HTTPException(401, "who are you?")


anybody = APIRouter(prefix="/api/v1")
routes = APIRouter(prefix="/api/v1", dependencies=[Depends(somebody)])


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NewPatient(Strict):
    name: Name
    species: Species
    owner: int
    weight: Annotated[float, Field(ge=0, le=2000)] | None = None


class ChangedOwner(Strict):
    preferred: Literal["email", "phone", "post"] | None = None
    phone: Annotated[str, Field(max_length=30)] | None = None


class NewVisit(Strict):
    reason: Name
    notes: list[Annotated[str, Field(max_length=200)]] = []


class Article(Strict):
    title: Name
    topic: Topic
    words: Annotated[str, Field(max_length=400)]


class Comment(Strict):
    author: Name
    words: Annotated[str, Field(max_length=400)]


def records(request: Request):
    return request.app.state.records


Held = Annotated[object, Depends(records)]


def found(table, key):
    if key not in table:
        raise HTTPException(404, "no such record")
    return table[key]


def listed(items, limit):
    return {"items": items[:limit], "total": len(items)}


@anybody.get("/status")
def status():
    return {"state": "open"}


@routes.get("/owners")
def owners(held: Held, preferred: Literal["email", "phone", "post"] | None = None, limit: Limit = 20):
    return listed([one for one in held.owners.values() if preferred in (None, one["preferred"])], limit)


@routes.get("/owners/me")
def me(held: Held):
    return held.owners[ME]


@routes.get("/owners/{owner}")
def owner(owner: int, held: Held):
    return found(held.owners, owner)


@routes.patch("/owners/{owner}")
def change_owner(owner: int, given: ChangedOwner, held: Held):
    record = found(held.owners, owner)
    record.update(given.model_dump(exclude_none=True))
    return record


@routes.get("/owners/{owner}/patients")
def patients_of(owner: int, held: Held):
    found(held.owners, owner)
    mine = [one for one in held.patients.values() if one["owner"] == owner]
    return listed(mine, len(mine))


@routes.get("/patients")
def patients(held: Held, species: Species | None = None, limit: Limit = 20,
             offset: Annotated[int, Query(ge=0, le=10_000)] = 0):
    chosen = [one for one in held.patients.values() if species in (None, one["species"])]
    return {"items": chosen[offset:offset + limit], "total": len(chosen)}


@routes.post("/patients", status_code=201)
def new_patient(given: NewPatient, held: Held, response: Response):
    number = held.next_patient
    held.next_patient += 1
    held.patients[number] = {"id": number, "born": None, "chip": None, **given.model_dump()}
    held.visits[number] = {}
    response.headers["Location"] = f"/api/v1/patients/{number}"
    return held.patients[number]


@routes.get("/patients/{patient}")
def patient(patient: int, held: Held):
    return found(held.patients, patient)


@routes.put("/patients/{patient}")
def change_patient(patient: int, given: NewPatient, held: Held):
    record = found(held.patients, patient)
    record.update(given.model_dump())
    return record


@routes.delete("/patients/{patient}", status_code=204)
def forget_patient(patient: int, held: Held):
    found(held.patients, patient)
    del held.patients[patient], held.visits[patient]


@routes.get("/patients/{patient}/visits")
def visits(patient: int, held: Held):
    return listed(list(found(held.visits, patient).values()), 100)


@routes.post("/patients/{patient}/visits", status_code=201)
def new_visit(patient: int, given: NewVisit, held: Held):
    mine = found(held.visits, patient)
    key = str(uuid.uuid5(CLINIC, f"{patient}/{len(mine)}"))
    mine[key] = {"id": key, "patient": patient, "reason": given.reason, "state": "planned", "at": "2026-12-01T09:00:00Z"}
    return mine[key]


@routes.get("/patients/{patient}/visits/{visit}")
def visit(patient: int, visit: uuid.UUID, held: Held):
    return found(found(held.visits, patient), str(visit))


@routes.post("/patients/{patient}/visits/{visit}/cancel")
def cancel(patient: int, visit: uuid.UUID, held: Held):
    record = found(found(held.visits, patient), str(visit))
    if record["state"] == "cancelled":
        raise HTTPException(409, "it is cancelled already")
    record["state"] = "cancelled"
    return record


@routes.get("/articles")
def articles(held: Held, topic: Topic | None = None, limit: Limit = 20):
    return listed([one for one in held.articles.values() if topic in (None, one["topic"])], limit)


@routes.get("/articles/{slug}")
def article(slug: str, held: Held):
    return found(held.articles, slug)


@routes.put("/articles/{slug}")
def write_article(slug: str, given: Article, held: Held, response: Response):
    if slug not in held.articles:
        response.status_code = 201
        held.comments[slug] = []
    held.articles[slug] = {"slug": slug, **given.model_dump()}
    return held.articles[slug]


@routes.delete("/articles/{slug}", status_code=204)
def withdraw_article(slug: str, held: Held):
    found(held.articles, slug)
    del held.articles[slug], held.comments[slug]


@routes.get("/articles/{slug}/comments")
def comments(slug: str, held: Held):
    return listed(found(held.comments, slug), 100)


@routes.post("/articles/{slug}/comments", status_code=201)
def new_comment(slug: str, given: Comment, held: Held):
    said = found(held.comments, slug)
    said.append({"id": len(said) + 1, **given.model_dump()})
    return said[-1]


@routes.get("/calendar/{day}")
def calendar(day: datetime.date):
    return {"day": str(day), "free": ["09:00", "11:30"][: day.day % 3]}


@routes.get("/exports/{name}.csv")
def export(name: Annotated[str, Path(pattern="^(patients|visits|owners)-20[0-9]{2}-(0[1-9]|1[0-2])$")]):
    return Response(f"of,rows\r\n{name},0\r\n", media_type="text/csv")


@routes.get("/vaccines/{code}")
def vaccine(code: str):
    kind, _, number = code.partition("-")
    if kind not in ("RAB", "LEP", "DIS", "PAR") or len(number) != 4 or not number.isdecimal():
        raise HTTPException(404, "no such vaccine")
    return {"code": code, "stock": int(number) % 40}


@routes.get("/search")
def search(held: Held, q: Annotated[str, Query(min_length=1, max_length=40)],
           kind: Literal["patients", "owners", "articles"] = "patients", limit: Limit = 20):
    table = getattr(held, kind)
    return listed([one for one in table.values() if q.lower() in str(one).lower()], limit)
