"""Calls of a generated client: every operation of the service, at the paths of its description.

usage: calls.py FOLDER URL    the folder of the generated package `store`; where the description is
"""

import io
import sys
from http import HTTPStatus
from urllib.parse import urljoin

import httpx

sys.path.insert(0, sys.argv[1])

from store import Client
from store.api.default import (
    add_article_articles_post as add,
    change_article_articles_number_put as change,
    count_events_events_get as events,
    download_file_files_name_get as download,
    greet_greeting_get as greet,
    list_articles_articles_get as articles,
    remove_article_articles_number_delete as remove,
    show_article_articles_number_get as show,
    upload_file_files_name_put as upload,
    upload_picture_pictures_post as picture,
)
from store.models import Article, BodyUploadPicturePicturesPost, HTTPValidationError, Problem
from store.types import File

# The well-known digest of an empty body.
NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

place = sys.argv[2]
description = httpx.get(place).raise_for_status().json()
base = urljoin(place, description["servers"][0]["url"])

with Client(base_url=base, raise_on_unexpected_status=True) as client:
    added = add.sync_detailed(client=client, body=Article("Ärmel", 250, ["ü", "x/y"]))
    assert added.status_code == HTTPStatus.CREATED, added
    one = added.parsed
    followed = httpx.get(urljoin(place, added.headers["location"])).raise_for_status()
    assert followed.json() == one.to_dict(), followed.text
    assert show.sync(one.number, client=client) == one
    assert one in articles.sync(client=client, tag="x/y")
    assert articles.sync(client=client, tag="none") == []
    changed = change.sync(one.number, client=client, body=Article("Sleeve", 300))
    assert (changed.title, changed.price_cents, changed.tags) == ("Sleeve", 300, [])
    assert isinstance(articles.sync(client=client, most=101), HTTPValidationError)
    assert remove.sync_detailed(one.number, client=client).status_code == HTTPStatus.NO_CONTENT
    assert isinstance(show.sync(one.number, client=client), Problem)

    said = greet.sync(client=client, name="a&b=c/d?ü", x_language="de")
    assert said["text"] == "Hallo, a&b=c/d?ü", said

    body = BodyUploadPicturePicturesPost(File(io.BytesIO(b""), "nothing.png", "image/png"))
    kept = picture.sync(client=client, body=body)
    assert (kept.bytes_, kept.sha256) == (0, NOTHING), kept
    content = bytes(range(256)) * 1000
    kept = upload.sync("all", client=client, body=File(io.BytesIO(content)))
    assert kept.bytes_ == len(content)
    assert download.sync_detailed("all", client=client).content == content
    told = events.sync_detailed(client=client, count=3)
    assert told.headers["content-type"].startswith("text/event-stream"), told.headers
    assert told.content == b"data: 0\n\ndata: 1\n\ndata: 2\n\n", told.content

print("all calls are as expected")
