//! The schema as a client can ask for it: `GET /api/` and OPTIONS.

use super::{Case, get, head, options};

pub(super) const CASES: &[Case] = &[
    get("/").status(200).has("content-type", "application/openapi+json; charset=utf-8"),
    get("/").accept("application/openapi+json").status(200).has("content-type", "application/openapi+json; charset=utf-8"),
    get("/").accept("application/json").status(200),
    get("/").accept("text/csv").fails(406, "PGRST107"),
    head("/").empty(200),
    get("/").status(200).part("/paths/~1publishers/get/tags/0", "\"publishers\""),
    get("/").status(200).part("/paths/~1visits_2024", "null").part("/paths/~1rpc~1refuse_untouchable", "null").part("/paths/~1rpc~1full_title", "null"),
    get("/").status(200).part("/paths/~1author_stats/post", "null").part("/paths/~1author_stats/patch", "null").part("/paths/~1author_stats/delete", "null"),
    get("/").status(200).part("/paths/~1genre_counts/post", "null"),
    get("/").status(200).part("/paths/~1rpc~1count_up/get", "null"),
    // All functions of a name.
    get("/").status(200).part("/paths/~1rpc~1area/post/requestBody/content/application~1json/schema/anyOf/2/type", "\"object\"")
        .part("/paths/~1rpc~1area/get/responses/200/description", "\"integer or text\"")
        .part("/paths/~1rpc~1area/get/parameters/2/required", "false"),
    // Methods.
    options("/books").empty(200).has("allow", "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"),
    options("/orders").empty(200).has("allow", "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"),
    options("/visits").empty(200).has("allow", "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"),
    options("/classics").empty(200).has("allow", "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"),
    options("/book_authors").empty(200).has("allow", "OPTIONS,GET,HEAD"),
    options("/notes").empty(200).has("allow", "OPTIONS,GET,HEAD,POST,PATCH,DELETE"),
    options("/").empty(200).has("allow", "OPTIONS,GET,HEAD"),
    options("/rpc/all_books").empty(200).has("allow", "OPTIONS,GET,HEAD,POST"),
    options("/rpc/area").empty(200).has("allow", "OPTIONS,GET,HEAD,POST"),
    options("/rpc/write_entry").empty(200).has("allow", "OPTIONS,POST"),
    options("/nowhere").status(404),
    options("/rpc/nowhere").status(404),
];
