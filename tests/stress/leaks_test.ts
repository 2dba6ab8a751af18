// What was served leaves nothing behind, and nothing is lost on the way.

import { assert, assertEquals } from "jsr:@std/assert@1";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { Client } from "../support/client.ts";
import { CLIENTS } from "../support/files.ts";
import { GROWTH } from "../support/limits.ts";
import { memoryOf } from "../support/linux.ts";
import { Server, spawn } from "../support/process.ts";
import { closesAll, onEach, servesNext } from "../support/stress.ts";
import { LINUX, PROGRAM, test } from "../support/testing.ts";
import { times } from "../support/time.ts";

/** Checks that ten rounds of work take no more memory than the first four. */
async function assertNoGrowth({ pid }: Server, round: () => Promise<void>) {
  await times(4, 1, round);
  const { now: before } = await memoryOf(pid);
  await times(6, 1, round);
  const { now: after } = await memoryOf(pid);
  assert(after < before + GROWTH, `${before} MB grew to ${after}`);
}

test("20,000 connections leave nothing behind", LINUX, async () => {
  await onEach(["clock2.ts", "reverb2.ts"], async (server) => {
    await assertNoGrowth(server, async () => {
      await times(2000, 100, () => servesNext(server));
      await closesAll(server);
    });
  });
}, 120);

test("260,000 lines leave nothing behind", LINUX, async () => {
  await using server = await Server.start("reverb2.ts");
  using client = await server.connect();
  await assertNoGrowth(server, async () => {
    await client.send("x\n".repeat(26_000));
    await client.receive(26_000 * 3 * "\t x\n".length);
  });
}, 60);

const HUGE = 100_000_000; // bytes

/** Checks that what comes from a stream is `data`, to its last byte. */
async function assertComes(data: Uint8Array, stream: ReadableStream) {
  const received = Buffer.alloc(HUGE);
  let n = 0;
  for await (const block of stream.values({ preventCancel: true })) {
    received.set(block, n);
    if ((n += block.length) === HUGE) break;
  }
  assert(received.equals(data), `${n} bytes`);
}

for (const script of CLIENTS) {
  test(`100 MB come through ${script} as they are`, PROGRAM, async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const netcat = spawn(script, { port: listener.addr.port });
    const stdin = netcat.stdin.getWriter();
    using server = new Client(await listener.accept());
    const [down, up] = [randomBytes(HUGE), randomBytes(HUGE)];
    const sending = server.send(down).then(() => server.conn.closeWrite());
    const ways = [sending, assertComes(down, netcat.stdout)];
    if (script === "netcat2.ts") {
      ways.push(stdin.write(up), assertComes(up, server.conn.readable));
    }
    await Promise.all(ways);
    await stdin.close().catch(() => {});
    assertEquals((await netcat.status).code, 0);
    assertEquals(await Array.fromAsync(netcat.stderr), []);
  }, 60);
}
