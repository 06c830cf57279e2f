// What applications do with node-postgres. Prints what came back as JSON.
// node with_node.mjs HOST PORT DATABASE, in a directory where `pg` and `pg-cursor` are installed.
import pg from "pg";
import Cursor from "pg-cursor";

const [host, port, database] = process.argv.slice(2);
const place = { host, port: Number(port), database, user: "postgres" };
const seen = [];

const client = new pg.Client(place);
await client.connect();
await client.query("CREATE TABLE item (id int PRIMARY KEY, name text, doc jsonb)");
for (let id = 0; id < 20; id++) {
  await client.query("INSERT INTO item VALUES ($1, $2, $3)", [id, `naïve ${id}`, { id }]);
}
for (let id = 0; id < 10; id++) {
  const read = await client.query({ name: "read", text: "SELECT * FROM item WHERE id = $1", values: [id] });
  seen.push(read.rows);
}
seen.push((await client.query("SELECT 1 AS a; SELECT 'two' AS b")).map((result) => result.rows));
for (const text of ["SELECT 1/0", "SELEC", "INSERT INTO item VALUES (1)"]) {
  try {
    await client.query(text);
  } catch (error) {
    seen.push([error.code, error.message]);
  }
}
// Queued without waiting: the driver sends them one after the other.
seen.push((await Promise.all([...Array(50).keys()].map((n) => client.query("SELECT $1::int + 1 AS n", [n])))).map((r) => r.rows[0].n));
const cursor = client.query(new Cursor("SELECT id FROM item ORDER BY id", []));
for (let rows = await cursor.read(7); rows.length; rows = await cursor.read(7)) seen.push(rows);
await cursor.close();
const heard = new Promise((resolve) => client.once("notification", (note) => resolve([note.channel, note.payload])));
await client.query("LISTEN news");
await client.query("NOTIFY news, 'hello'");
seen.push(await heard);
await client.query("BEGIN");
await client.query("DELETE FROM item");
await client.query("ROLLBACK");
seen.push((await client.query("SELECT count(*) FROM item")).rows);
await client.end();

const pool = new pg.Pool({ ...place, max: 5 });
seen.push((await Promise.all([...Array(100).keys()].map((n) => pool.query("SELECT $1::text AS n", [n])))).map((r) => r.rows[0].n));
await pool.end();
console.log(JSON.stringify(seen));
