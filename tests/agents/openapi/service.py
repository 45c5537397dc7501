"""A small typical service: FastAPI, on uvicorn, described by OpenAPI.

Run it with `uvicorn service:app --app-dir tests/openapi --root-path /api/NAME`; the root path makes
the `servers` of its description correct for clients of a relay.
"""

import asyncio
import hashlib
import tempfile
from pathlib import Path as Place
from typing import Annotated

from fastapi import FastAPI, File, Header, HTTPException, Path, Query, Request, Response, UploadFile
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, Field, field_validator


class Article(BaseModel):
    """A product."""

    title: str = Field(min_length=1, max_length=80)
    price_cents: int = Field(ge=0, le=1_000_000_000)
    tags: list[str] = Field(default=[], max_length=8)

    @field_validator("price_cents", mode="before")
    @classmethod
    def is_number(cls, value: object) -> object:
        """Python takes false for 0; JSON Schema does not."""
        if isinstance(value, bool):
            raise ValueError("a price is a number")
        return value


class Kept(Article):
    """A product with its number."""

    number: int


class Digest(BaseModel):
    """The received data."""

    bytes: int
    sha256: str


class Problem(BaseModel):
    """The reason for an error."""

    detail: str


app = FastAPI(title="Store", version="1.0.0")
articles: dict[int, Kept] = {}
folder = tempfile.TemporaryDirectory()
ticks = 0
ticked = asyncio.Condition()
watchers = 0

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Name = Annotated[str, Path(pattern="^[a-z0-9]{1,20}$")]
MISSING = {404: {"model": Problem}}
BROKEN = {400: {"model": Problem}}


def kept(number: int) -> Kept:
    if number not in articles:
        raise HTTPException(404, "there is no such article")
    return articles[number]


@app.get("/articles")
async def list_articles(
    tag: Annotated[str | None, Query(min_length=1, max_length=20)] = None,
    most: Annotated[int, Query(ge=1, le=100)] = 20,
) -> list[Kept]:
    found = [one for one in articles.values() if tag is None or tag in one.tags]
    return found[:most]


@app.post("/articles", status_code=201, responses=BROKEN)
async def add_article(article: Article, request: Request, response: Response) -> Kept:
    number = max(articles, default=0) + 1
    articles[number] = Kept(number=number, **article.model_dump())
    # A client that follows this uses the path of the request.
    response.headers["Location"] = f"{request.scope['root_path']}/articles/{number}"
    return articles[number]


@app.get("/articles/{number}", responses=MISSING)
async def show_article(number: Number) -> Kept:
    return kept(number)


@app.put("/articles/{number}", responses=MISSING | BROKEN)
async def change_article(number: Number, article: Article) -> Kept:
    kept(number)
    articles[number] = Kept(number=number, **article.model_dump())
    return articles[number]


@app.delete("/articles/{number}", status_code=204, responses=MISSING)
async def remove_article(number: Number) -> None:
    kept(number)
    del articles[number]


@app.get("/greeting")
async def greet(
    name: Annotated[str, Query(max_length=40)],
    x_language: Annotated[str, Header(pattern="^(en|de)$")] = "en",
) -> dict[str, str]:
    return {"text": f"{'Hallo' if x_language == 'de' else 'Hello'}, {name}"}


# Client generators recognize files by this format.
Picture = Annotated[UploadFile, File(json_schema_extra={"format": "binary"})]


@app.post("/pictures", responses=BROKEN)
async def upload_picture(picture: Picture) -> Digest:
    content = await picture.read()
    return Digest(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


RAW = {"requestBody": {"required": False, "content": {
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}


@app.put("/files/{name}", openapi_extra=RAW)
async def upload_file(name: Name, request: Request) -> Digest:
    digest, length = hashlib.sha256(), 0
    with open(Place(folder.name, name), "wb") as file:
        async for piece in request.stream():
            digest.update(piece)
            length += len(piece)
            file.write(piece)
    return Digest(bytes=length, sha256=digest.hexdigest())


BINARY = {200: {"content": {"application/octet-stream": {}}}}


@app.get("/files/{name}", response_class=Response, responses=MISSING | BINARY)
async def download_file(name: Name) -> Response:
    path = Place(folder.name, name)
    if not path.exists():
        raise HTTPException(404, "there is no such file")
    return FileResponse(path, media_type="application/octet-stream")


EVENTS = {200: {"content": {"text/event-stream": {}}}}


@app.get("/events", response_class=StreamingResponse, responses=EVENTS)
async def count_events(count: Annotated[int, Query(ge=1, le=10)]) -> StreamingResponse:
    async def events():
        for number in range(count):
            yield f"data: {number}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


# The routes below do not end by themselves, so they are not part of the description.


@app.get("/watch", include_in_schema=False)
async def watch() -> StreamingResponse:
    """An event now, and one for each tick."""

    async def events():
        global watchers
        watchers += 1
        try:
            seen = ticks
            yield "data: begun\n\n"
            while True:
                async with ticked:
                    await ticked.wait_for(lambda: ticks > seen)
                    seen = ticks
                yield f"data: tick {seen}\n\n"
        finally:
            watchers -= 1

    return StreamingResponse(events(), media_type="text/event-stream")


@app.get("/watchers", include_in_schema=False)
async def count_watchers() -> int:
    return watchers


@app.post("/ticks", include_in_schema=False)
async def tick() -> int:
    global ticks
    async with ticked:
        ticks += 1
        ticked.notify_all()
    return ticks


@app.get("/hold", include_in_schema=False)
async def hold() -> str:
    """A response after the next tick."""
    global watchers
    watchers += 1
    try:
        seen = ticks
        async with ticked:
            await ticked.wait_for(lambda: ticks > seen)
    finally:
        watchers -= 1
    return "held"
