// What a loop over tenants with node-pg-migrate takes: one migration in each of some schemas. Prints milliseconds.
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runner } from "node-pg-migrate";

const [databaseUrl, count, sql] = process.argv.slice(2);
const dir = await mkdtemp(join(tmpdir(), "migrations-"));
await writeFile(join(dir, "1700000000000_change.sql"), `-- Up Migration\n${sql}\n`);
const started = performance.now();
for (let number = 0; number < Number(count); number++) {
  const schema = `raw_${number}`;
  await runner({
    databaseUrl, dir, direction: "up", schema, migrationsSchema: schema, migrationsTable: "pgmigrations",
    count: Infinity, log: () => {},
  });
}
console.log(Math.round(performance.now() - started));
