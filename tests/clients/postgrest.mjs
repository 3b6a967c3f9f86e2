// What a program does with postgrest-js: `node postgrest.mjs <package> <tenant>`, with the addresses and the
// operator's key in the environment. The same for all versions of the package.

import assert from 'node:assert/strict'

const [, , name, slug] = process.argv
const { PostgrestClient } = (await import(name)).default ?? (await import(name))
const { CONTROL_PLANE, DATA_PLANE, OPERATOR_KEY } = process.env

async function ask(path, body) {
  const response = await fetch(CONTROL_PLANE + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${OPERATOR_KEY}`, 'content-type': 'application/json', prefer: 'wait=60' },
    body: JSON.stringify(body),
  })
  assert.equal(response.status, 201, await response.clone().text())
  return response.json()
}

await ask('/api/v1/tenants', { name: slug, slug, plan: 'basic', app: 'bookshop' })
const { key } = await ask(`/api/v1/tenants/${slug}/keys`, { name: 'client' })
const client = new PostgrestClient(`${DATA_PLANE}/api`, {
  headers: { authorization: `Bearer ${key}`, 'x-tenant-slug': slug },
})

// Fails with what the server said.
async function data(request) {
  const { data, error } = await request
  assert.equal(error, null, JSON.stringify(error))
  return data
}

async function error(request, expected) {
  const { data, error, status } = await request
  assert.equal(data, null)
  for (const member of ['code', 'details', 'hint', 'message']) assert.ok(member in error, member)
  assert.deepEqual({ status, code: error.code }, expected)
  assert.equal(typeof error.message, 'string')
  return error
}

// Insert.
// What a row of several does not say is null, unless it is asked for the default.
const defaults = { defaultToNull: false }
const made = await data(
  client.from('authors').insert([{ name: 'Ann' }, { name: 'Bob', mood: 'cross' }], defaults).select(),
)
assert.deepEqual(made.map((row) => [row.name, row.mood]), [['Ann', 'calm'], ['Bob', 'cross']])
const [ann, bob] = made.map((row) => row.id)
assert.equal(await data(client.from('books').insert({ author_id: ann, title: 'A, "first"', price: 5 })), null)
await data(
  client.from('books').insert(
    [
      { author_id: ann, title: 'Second', price: 12.5, tags: ['sea', 'ships'], details: { pages: 100 } },
      { author_id: bob, title: 'Third', price: null, in_print: false },
    ],
    defaults,
  ),
)

// An embedded read, in both directions.
const nested = await data(
  client.from('authors').select('name, books(title, price)').order('name').order('title', { referencedTable: 'books' }),
)
assert.deepEqual(nested[0], {
  name: 'Ann',
  books: [{ title: 'A, "first"', price: 5 }, { title: 'Second', price: 12.5 }],
})
const one = await data(client.from('books').select('title, author:authors!inner(name)').eq('author.name', 'Bob'))
assert.deepEqual(one, [{ title: 'Third', author: { name: 'Bob' } }])
assert.deepEqual(await data(client.from('cheap_books').select('title, authors(name)')), [
  { title: 'A, "first"', authors: { name: 'Ann' } },
])

// Filters and order.
const titles = async (request) => (await data(request)).map((row) => row.title)
const books = () => client.from('books').select('title').order('id')
assert.deepEqual(await titles(books().eq('title', 'A, "first"')), ['A, "first"'])
// The client quotes values with commas, but not quotes in them.
assert.deepEqual(await titles(books().in('title', ['Second', 'A, first', 'Third'])), ['Second', 'Third'])
assert.deepEqual(await titles(books().neq('title', 'Third').gt('price', 5)), ['Second'])
assert.deepEqual(await titles(books().lte('price', 5)), ['A, "first"'])
assert.deepEqual(await titles(books().is('price', null)), ['Third'])
assert.deepEqual(await titles(books().is('in_print', false)), ['Third'])
assert.deepEqual(await titles(books().not('price', 'is', null)), ['A, "first"', 'Second'])
assert.deepEqual(await titles(books().ilike('title', '%SEC%')), ['Second'])
assert.deepEqual(await titles(books().contains('tags', ['sea'])), ['Second'])
assert.deepEqual(await titles(books().overlaps('tags', ['ships', 'rats'])), ['Second'])
assert.deepEqual(await titles(books().contains('details', { pages: 100 })), ['Second'])
assert.deepEqual(await titles(books().gt('details->pages', 99)), ['Second'])
assert.deepEqual(await titles(books().or('price.is.null,and(price.gt.1,price.lt.6)')), ['A, "first"', 'Third'])
assert.deepEqual(await titles(books().match({ in_print: true, price: 5 })), ['A, "first"'])
assert.deepEqual(
  await titles(client.from('books').select('title').order('price', { ascending: false, nullsFirst: false })),
  ['Second', 'A, "first"', 'Third'],
)
assert.deepEqual(await titles(books().limit(1)), ['A, "first"'])

// Ranges and counts.
const page = await client.from('books').select('title', { count: 'exact' }).order('id').range(1, 1)
assert.deepEqual([page.status, page.count, page.data], [206, 3, [{ title: 'Second' }]])
const head = await client.from('books').select('*', { count: 'exact', head: true })
assert.deepEqual([head.status, head.count, head.error], [200, 3, null])

// One row, or none.
assert.deepEqual(await data(client.from('books').select('title').eq('id', 1).single()), { title: 'A, "first"' })
const none = await client.from('books').select().eq('id', 99).maybeSingle()
assert.deepEqual([none.data, none.error], [null, null])
const maybe = await data(client.from('books').select('title').eq('id', 1).maybeSingle())
assert.deepEqual(maybe, { title: 'A, "first"' })
const several = await client.from('books').select().maybeSingle()
assert.deepEqual([several.data, several.error.code, several.status], [null, 'PGRST116', 406])
assert.match(several.error.details, /3 rows/)
const missing = await error(client.from('books').select().eq('id', 99).single(), { status: 406, code: 'PGRST116' })
assert.match(missing.details, /0 rows/)

// CSV.
const csv = await data(client.from('books').select('id,title').lte('id', 2).order('id').csv())
assert.equal(csv.trim(), 'id,title\n1,"A, ""first"""\n2,Second')

// Upserts.
const upserted = await data(
  client
    .from('authors')
    .upsert([{ name: 'Ann', mood: 'cross' }, { name: 'Cy', mood: 'calm' }], { onConflict: 'name' })
    .select('name, mood'),
)
assert.deepEqual(upserted, [{ name: 'Ann', mood: 'cross' }, { name: 'Cy', mood: 'calm' }])
const ignored = { onConflict: 'name', ignoreDuplicates: true }
assert.deepEqual(await data(client.from('authors').upsert({ name: 'Ann', mood: 'calm' }, ignored).select()), [])

// Update and delete.
const changed = await data(client.from('books').update({ price: 6 }).eq('id', 1).select('price').single())
assert.deepEqual(changed, { price: 6 })
const counted = await client.from('books').update({ price: 7 }, { count: 'exact' }).lte('id', 2)
assert.deepEqual([counted.status, counted.count], [204, 2])
assert.deepEqual(await data(client.from('authors').delete().eq('name', 'Cy').select('name')), [{ name: 'Cy' }])

// Functions: a value, rows with filters, none; by POST and by GET.
assert.equal(await data(client.rpc('add', { a: 2, b: 3 })), 5)
assert.equal(await data(client.rpc('add', { a: 2 }, { get: true })), 3)
const by = (options) => client.rpc('books_by', { author: 'Ann' }, options).select('title, authors(name)').gt('id', 1)
for (const options of [{}, { get: true }]) {
  assert.deepEqual(await data(by(options)), [{ title: 'Second', authors: { name: 'Ann' } }])
}
const all = await client.rpc('books_by', { author: 'Ann' }, { count: 'exact' }).order('id').range(0, 0)
assert.deepEqual([all.count, all.data.map((row) => row.title)], [2, ['A, "first"']])
assert.equal(await data(client.rpc('raise_prices', { factor: 2 })), null)
assert.deepEqual(await data(client.from('books').select('price').eq('id', 1).single()), { price: 14 })

// Errors have PostgREST's members.
await error(client.from('authors').insert({ name: 'Ann' }), { status: 409, code: '23505' })
await error(client.from('authors').insert({ mood: 'calm' }), { status: 400, code: '23502' })
await error(client.from('books').select('nothing'), { status: 400, code: '42703' })
await error(client.from('nothing').select(), { status: 404, code: 'PGRST205' })
await error(client.rpc('nothing'), { status: 404, code: 'PGRST202' })
const refused = new PostgrestClient(`${DATA_PLANE}/api`, { headers: { 'x-tenant-slug': slug } })
assert.equal((await refused.from('books').select()).status, 401)

console.log('done')
