// What was served leaves nothing behind, and nothing is lost on the way.

import { assert, assertEquals } from "jsr:@std/assert@1";
import { createHash } from "node:crypto";
import { Client } from "../support/client.ts";
import { CLIENTS } from "../support/files.ts";
import { residentBytes } from "../support/kernel.ts";
import { Server, spawn } from "../support/process.ts";
import { closesAll, MIB, onEach, servesNext } from "../support/stress.ts";
import { LINUX, PROGRAM, test } from "../support/testing.ts";
import { times } from "../support/time.ts";

/** Checks that `round` takes no more memory in its last runs than in its first. */
async function assertNoGrowth(
  server: Server,
  rounds: number,
  round: () => Promise<void>,
) {
  let before = 0;
  for (let i = 0; i < rounds; i++) {
    if (i === 4) before = await residentBytes(server.pid);
    await round();
  }
  const growth = await residentBytes(server.pid) - before;
  assert(growth < 64 * MIB, `memory grew by ${growth} bytes`);
  assertEquals(server.log, "");
}

test("18,000 connections leave nothing behind", LINUX, async () => {
  await onEach(
    ["clock2.ts", "reverb2.ts"],
    (server, script) =>
      assertNoGrowth(server, 9, async () => {
        await times(2000, 100, () => servesNext(server, script));
        await closesAll(server);
      }),
  );
}, 120);

test("240,000 lines leave nothing behind", LINUX, async () => {
  await using server = await Server.start("reverb2.ts");
  using client = await server.connect();
  await assertNoGrowth(server, 12, async () => {
    await client.send("x\n".repeat(20_000));
    await client.receive(20_000 * 3 * "\t x\n".length);
  });
}, 60);

const HUGE = 100_000_000; // bytes

for (const script of CLIENTS) {
  test(`100 MB come through ${script} as they are`, PROGRAM, async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const args = ["127.0.0.1", listener.addr.port];
    const process = spawn(script, { args });
    const stdin = process.stdin.getWriter();
    using server = new Client(await listener.accept());
    const ways = [
      send((block) => server.send(block)).finally(() =>
        server.conn.closeWrite()
      ),
      hashOf(process.stdout),
    ];
    if (script === "netcat2.ts") {
      const stream = server.conn.readable.values({ preventCancel: true });
      ways.push(send((block) => stdin.write(block)), hashOf(stream));
    }
    const [sent, received, typed, come] = await Promise.all(ways);
    assertEquals([received, come], [sent, typed]);
    await stdin.close().catch(() => {});
    const { code } = await process.status;
    const said = await Array.fromAsync(process.stderr);
    assertEquals([code, said.length], [0, 0]);
  }, 60);
}

/** Sends `HUGE` bytes that repeat nowhere; returns their hash. */
async function send(write: (block: Uint8Array) => Promise<void>) {
  const hash = createHash("sha256");
  const block = crypto.getRandomValues(new Uint8Array(50_000));
  for (let i = 0; i < HUGE / block.length; i++) {
    new DataView(block.buffer).setUint32(0, i);
    hash.update(block);
    await write(block.slice());
  }
  return hash.digest("hex");
}

/** Reads `HUGE` bytes, or to the end; returns their hash. */
async function hashOf(from: AsyncIterable<Uint8Array>) {
  const hash = createHash("sha256");
  let received = 0;
  for await (const block of from) {
    hash.update(block);
    received += block.length;
    if (received >= HUGE) break;
  }
  return hash.digest("hex");
}
