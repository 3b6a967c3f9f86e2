//! How each type is written in JSON, and read from it.

use super::{Case, get, patch, post};

pub(super) const CASES: &[Case] = &[
    get("/samples?select=small,big,dec,dbl&id=eq.1").text(200, r#"[{"small":-7,"big":9007199254740993,"dec":12.500,"dbl":1.5}]"#),
    get("/samples?select=txt,chr&id=eq.1").is(200, r#"[{"txt":"plain","chr":"ab "}]"#),
    get("/samples?select=flag&id=lte.2&order=id").is(200, r#"[{"flag":true},{"flag":false}]"#),
    get("/samples?select=day,at&id=eq.1").is(200, r#"[{"day":"2024-02-29","at":"2024-02-29T13:00:00"}]"#),
    get("/samples?select=atz&id=eq.1").is(200, r#"[{"atz":"2024-02-29T13:00:00+00:00"}]"#),
    get("/samples?select=span,clock&id=eq.1").is(200, r#"[{"span":"1 day 02:00:00","clock":"13:30:00"}]"#),
    get("/samples?select=uid&id=eq.1").is(200, r#"[{"uid":"019a0000-0000-7000-8000-000000000001"}]"#),
    get("/samples?select=js&id=eq.1").text(200, r#"[{"js":{"b": 1, "a": [1, 2]}}]"#),
    get("/samples?select=jb&id=eq.1").text(200, r#"[{"jb":{"a": [1, 2], "b": 1}}]"#),
    get("/samples?select=jb,js&id=eq.2").is(200, r#"[{"jb":"text","js":[]}]"#),
    get("/samples?select=ints,texts&id=lte.2&order=id").is(200, r#"[{"ints":[1,2,3],"texts":["x","y z"]},{"ints":[],"texts":[]}]"#),
    get("/samples?select=rng,days&id=lte.2&order=id")
        .is(200, r#"[{"rng":"[1,5)","days":"[2024-01-01,2024-02-01)"},{"rng":"empty","days":"(,)"}]"#),
    get("/samples?select=raw,ip,kind,mail,bits&id=eq.1")
        .is(200, r#"[{"raw":"\\x0102","ip":"10.0.0.1","kind":"ebook","mail":"a@b.c","bits":"101"}]"#),
    get("/samples?select=small,txt,js,ints,rng,raw,kind&id=eq.3")
        .is(200, r#"[{"small":null,"txt":null,"js":null,"ints":null,"rng":null,"raw":null,"kind":null}]"#),
    get("/books?select=price&id=eq.2").text(200, r#"[{"price":12.00}]"#),
    // Written.
    post("/samples?select=id,small,big,dec,dbl", r#"{"id":10,"small":5,"big":9007199254740993,"dec":1.25,"dbl":1e3}"#).returning()
        .text(201, r#"[{"id":10,"small":5,"big":9007199254740993,"dec":1.250,"dbl":1000}]"#),
    post("/samples?select=small,flag,dec", r#"{"id":11,"small":"6","flag":"true","dec":"2"}"#).returning()
        .is(201, r#"[{"small":6,"flag":true,"dec":2.000}]"#),
    post("/samples?select=txt,chr", r#"{"id":12,"txt":7,"chr":"q"}"#).returning().is(201, r#"[{"txt":"7","chr":"q  "}]"#),
    post("/samples?select=txt", r#"{"id":13,"txt":{"a":1}}"#).returning().is(201, r#"[{"txt":"{\"a\":1}"}]"#),
    post("/samples?select=day,at,atz,span,clock", r#"{"id":14,"day":"2024-03-01","at":"2024-03-01T01:02:03","atz":"2024-03-01T01:00:00+01:00","span":"90 minutes","clock":"01:02"}"#)
        .returning()
        .is(201, r#"[{"day":"2024-03-01","at":"2024-03-01T01:02:03","atz":"2024-03-01T00:00:00+00:00","span":"01:30:00","clock":"01:02:00"}]"#),
    post("/samples?select=js,jb", r#"{"id":15,"js":{"z":1,"a":2},"jb":[1,{"b":null}]}"#).returning()
        .is(201, r#"[{"js":{"z":1,"a":2},"jb":[1,{"b":null}]}]"#),
    post("/samples?select=js,jb", r#"{"id":16,"js":"s","jb":3}"#).returning().is(201, r#"[{"js":"s","jb":3}]"#),
    post("/samples?select=ints,texts", r#"{"id":17,"ints":[4,5],"texts":["a","b,c",null]}"#).returning()
        .is(201, r#"[{"ints":[4,5],"texts":["a","b,c",null]}]"#),
    post("/samples?select=ints,texts", r#"{"id":18,"ints":"{6,7}","texts":"{x}"}"#).returning().is(201, r#"[{"ints":[6,7],"texts":["x"]}]"#),
    post("/samples?select=rng,days", r#"{"id":19,"rng":"(1,3]","days":"[2024-05-01,)"}"#).returning()
        .is(201, r#"[{"rng":"[2,4)","days":"[2024-05-01,)"}]"#),
    post("/samples?select=raw,ip,kind,mail,bits", r#"{"id":20,"raw":"\\xff","ip":"::2","kind":"paperback","mail":"q@r.s","bits":"011"}"#).returning()
        .is(201, r#"[{"raw":"\\xff","ip":"::2","kind":"paperback","mail":"q@r.s","bits":"011"}]"#),
    post("/samples?select=txt,jb,ints", r#"{"id":21,"txt":null,"jb":null,"ints":null}"#).returning().is(201, r#"[{"txt":null,"jb":null,"ints":null}]"#),
    post("/samples", r#"{"id":22,"small":70000}"#).fails(400, "22003"),
    post("/samples", r#"{"id":22,"small":"many"}"#).fails(400, "22P02"),
    post("/samples", r#"{"id":22,"kind":"scroll"}"#).fails(400, "22P02"),
    post("/samples", r#"{"id":22,"mail":"nobody"}"#).fails(400, "23514"),
    post("/samples", r#"{"id":22,"day":"2024-02-30"}"#).fails(400, "22008"),
    post("/samples", r#"{"id":22,"chr":"abcd"}"#).fails(400, "22001"),
    post("/samples", r#"{"id":22,"bits":"1"}"#).fails(400, "22026"),
    post("/samples", r#"{"id":22,"uid":"x"}"#).fails(400, "22P02"),
    post("/samples", r#"{"id":22,"rng":"[5,1)"}"#).fails(400, "22000"),
    post("/samples", r#"{"id":22,"dec":12345678901}"#).fails(400, "22003"),
    get("/samples?select=id&id=eq.22").is(200, "[]"),
    patch("/samples?id=eq.10&select=ints,jb,kind", r#"{"ints":[9],"jb":{"k":[]},"kind":"ebook"}"#).returning()
        .is(200, r#"[{"ints":[9],"jb":{"k":[]},"kind":"ebook"}]"#),
    // Unicode.
    post("/notes", "{\"a\":\"Ünïcödé \\u00e9 😀\",\"b\":\"行\"}").returning().is(201, "[{\"a\":\"Ünïcödé é 😀\",\"b\":\"行\"}]"),
    get("/notes?select=b&a=like.%C3%9C*").is(200, "[{\"b\":\"行\"}]"),
];
