// Five clients, such as any server meets. Each of them ends naive.ts; reverb2 goes
// on. To let the first come:
//
//   deno run --allow-net tests/clients.ts 1 [port]

import { once } from "node:events";
import { Client, connectNode, reset } from "./support/client.ts";
import { fail } from "./support/fail.ts";
import { all, delay } from "./support/wait.ts";

const port = Number(Deno.args[1] ?? 8000);
const connect = () => Client.connect(port);
const sent = ({ sent }: Client) => `sent ${(sent / 1e6).toFixed(1)} MB`;

/** 1: shuts down its sending side (a half-close), and prints the echoes. */
async function halfCloses() {
  using client = await connect();
  await client.send("Hello\nWorld\n");
  await client.conn.closeWrite();
  await client.conn.readable.pipeTo(Deno.stdout.writable);
}

/** 2: resets the connection when the first voice has come. */
async function resets() {
  const socket = await connectNode(port);
  socket.write("Hello\n");
  await once(socket, "data");
  await reset(socket);
  console.log("reset the connection");
}

/** 3: sends a line without an end. */
async function sendsNoEnd() {
  using client = await connect();
  await client.flood("x".repeat(65_536));
  console.log(`${sent(client)}; the connection was closed`);
}

/** 4: sends line after line, and never reads. */
async function neverReads() {
  using client = await connect();
  const closed = client.flood("y\n".repeat(32_768)).then(() => true);
  while (!await Promise.race([closed, delay(1000)])) console.log(sent(client));
}

/** 5: has left before it is accepted, a thousand times. */
async function leavesEarly() {
  for (let i = 0; i < 100; i++) {
    await all(10, async () => reset(await connectNode(port)));
  }
  console.log("came and left 1,000 times");
}

const clients = [halfCloses, resets, sendsNoEnd, neverReads, leavesEarly];
const client = clients[Number(Deno.args[0]) - 1];
if (!client) {
  fail("type: deno run --allow-net tests/clients.ts 1 (to 5) [port]");
}
await client().catch((error) => fail(`the server has gone: ${error.message}`));
