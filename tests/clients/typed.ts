// What the types of `tenantry types` let a program do, and what they do not. Only compiled.

import { PostgrestClient } from 'postgrest-js-2'
import type { Database } from './database.js'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_: Same<A, B>) => {}

export async function program(client: PostgrestClient<Database>) {
  // An embedded table is an array of its rows, with their types.
  const authors = await client.from('authors').select('name, mood, books(title, price)')
  const author = authors.data![0]!
  same<typeof author.name, string>(true)
  same<typeof author.mood, 'calm' | 'cross'>(true)
  same<typeof author.books, { title: string; price: number | null }[]>(true)

  // The other way it is one row.
  const books = await client.from('books').select('tags, details, authors(name)').single()
  same<NonNullable<typeof books.data>['authors'], { name: string }>(true)
  same<NonNullable<typeof books.data>['tags'], string[]>(true)

  // A view has the relationships of the table that it shows.
  const cheap = await client.from('cheap_books').select('title')
  same<NonNullable<typeof cheap.data>[number]['title'], string | null>(true)

  await client.from('authors').insert({ name: 'Ann' })
  // @ts-expect-error: the name is missing
  await client.from('authors').insert({ mood: 'calm' })
  // @ts-expect-error: no such value
  await client.from('authors').update({ mood: 'sad' })
  // @ts-expect-error: no such table
  client.from('nothing')

  // Functions.
  const sum = await client.rpc('add', { a: 1 })
  same<typeof sum.data, number | null>(true)
  // @ts-expect-error: an argument is missing
  await client.rpc('add', { b: 1 })
  const by = await client.rpc('books_by', { author: 'Ann' }).select('title, authors(name)')
  same<NonNullable<typeof by.data>, { title: string; authors: { name: string } }[]>(true)
}
