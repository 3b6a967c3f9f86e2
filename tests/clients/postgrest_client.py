"""What a program does with the Python client: `python postgrest_client.py <tenant>`, with the addresses and the
operator's key in the environment."""

import os
import sys

import httpx
from postgrest import APIError, CountMethod, SyncPostgrestClient

slug = sys.argv[1]
control_plane = httpx.Client(
    base_url=os.environ["CONTROL_PLANE"],
    headers={"authorization": f"Bearer {os.environ['OPERATOR_KEY']}", "prefer": "wait=60"},
    timeout=90,
)


def ask(path, body):
    response = control_plane.post(path, json=body)
    assert response.status_code == 201, response.text
    return response.json()


ask("/api/v1/tenants", {"name": slug, "slug": slug, "plan": "basic", "app": "bookshop"})
key = ask(f"/api/v1/tenants/{slug}/keys", {"name": "client"})["key"]
client = SyncPostgrestClient(
    f"{os.environ['DATA_PLANE']}/api",
    headers={"authorization": f"Bearer {key}"},
)


def equal(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


def error(request, code):
    try:
        answer = request.execute()
    except APIError as error:
        equal(error.code, code)
        assert error.message, error
        return error
    raise AssertionError(f"no error, but {answer!r}")


# Insert.
# What a row of several does not say is null, unless it is asked for the default.
two = [{"name": "Ann"}, {"name": "Bob", "mood": "cross"}]
made = client.table("authors").insert(two, default_to_null=False).execute().data
equal([(row["name"], row["mood"]) for row in made], [("Ann", "calm"), ("Bob", "cross")])
ann, bob = (row["id"] for row in made)
client.table("books").insert(
    [
        {"author_id": ann, "title": 'A, "first"', "price": 5},
        {"author_id": ann, "title": "Second", "price": 12.5, "tags": ["sea", "ships"]},
        {"author_id": bob, "title": "Third"},
    ],
    default_to_null=False,
).execute()

# An embedded read.
nested = client.table("authors").select("name, books(title)").order("name").order("title", foreign_table="books")
equal(nested.execute().data[0], {"name": "Ann", "books": [{"title": 'A, "first"'}, {"title": "Second"}]})


# Filters and order.
def titles(request):
    return [row["title"] for row in request.execute().data]


def books():
    return client.table("books").select("title").order("id")


equal(titles(books().eq("title", 'A, "first"')), ['A, "first"'])
equal(titles(books().in_("title", ['A, "first"', "Third"])), ['A, "first"', "Third"])
equal(titles(books().neq("title", "Third").gt("price", 5)), ["Second"])
equal(titles(books().is_("price", "null")), ["Third"])
equal(titles(books().ilike("title", "%SEC%")), ["Second"])
equal(titles(books().contains("tags", ["sea"])), ["Second"])
equal(titles(books().or_("price.is.null,price.lt.6")), ['A, "first"', "Third"])
equal(titles(client.table("books").select("title").order("id", desc=True).limit(1)), ["Third"])

# Ranges and counts.
page = client.table("books").select("title", count=CountMethod.exact).order("id").range(1, 1).execute()
equal((page.count, page.data), (3, [{"title": "Second"}]))
equal(client.table("books").select("*", count=CountMethod.exact, head=True).execute().count, 3)

# One row, or none.
equal(books().eq("id", 1).single().execute().data, {"title": 'A, "first"'})
equal(books().eq("id", 99).maybe_single().execute(), None)
equal(books().eq("id", 1).maybe_single().execute().data, {"title": 'A, "first"'})
# The client puts its own code in place of the server's.
assert "more than one row" in error(books().maybe_single(), "406").details
assert "0 rows" in error(books().eq("id", 99).single(), "PGRST116").details

# CSV.
csv = client.table("books").select("id,title").lte("id", 2).csv().execute().data
equal(csv.strip(), 'id,title\n1,"A, ""first"""\n2,Second')

# Upsert, update and delete.
upserted = client.table("authors").upsert(
    [{"name": "Ann", "mood": "cross"}, {"name": "Cy", "mood": "calm"}], on_conflict="name"
)
equal([(row["name"], row["mood"]) for row in upserted.execute().data], [("Ann", "cross"), ("Cy", "calm")])
equal(client.table("books").update({"price": 6}).eq("id", 1).execute().data[0]["price"], 6)
equal(client.table("authors").delete().eq("name", "Cy").execute().data[0]["name"], "Cy")

# Functions: a value, rows with filters, none; by POST and by GET.
equal(client.rpc("add", {"a": 2, "b": 3}).execute().data, 5)
equal(client.rpc("add", {"a": 2}, get=True).execute().data, 3)
for get in (False, True):
    found = client.rpc("books_by", {"author": "Ann"}, get=get).select("title").gt("id", 1)
    equal(found.execute().data, [{"title": "Second"}])
client.rpc("raise_prices", {"factor": 2}).execute()
equal(client.table("books").select("price").eq("id", 1).execute().data[0]["price"], 12)

# Errors have PostgREST's members.
error(client.table("authors").insert({"name": "Ann"}), "23505")
error(client.table("nothing").select("*"), "PGRST205")
error(client.rpc("nothing", {}), "PGRST202")

print("done")
