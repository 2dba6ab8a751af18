// What was served leaves nothing behind, and nothing is lost on the way.

import { assert, assertEquals } from "jsr:@std/assert@1";
import { createHash } from "node:crypto";
import { CLIENTS } from "../support/files.ts";
import { residentBytes } from "../support/kernel.ts";
import { PROGRAM, Server, startClient } from "../support/process.ts";
import { closesAll, MIB, onEach, servesNext } from "../support/stress.ts";
import { test } from "../support/testing.ts";
import { times } from "../support/time.ts";

const GROWTH = 64 * MIB;
const CONNECTIONS = { round: 2000, first: 4, rounds: 9 };

test(
  `${CONNECTIONS.rounds * CONNECTIONS.round} connections leave nothing behind`,
  [...PROGRAM, "linux"],
  async () => {
    await onEach(["clock2.ts", "reverb2.ts"], async (server, script) => {
      let before = 0;
      for (let round = 0; round < CONNECTIONS.rounds; round++) {
        if (round === CONNECTIONS.first) {
          before = await residentBytes(server.pid);
        }
        await times(CONNECTIONS.round, 100, () => servesNext(server, script));
        await closesAll(server);
      }
      const growth = await residentBytes(server.pid) - before;
      assert(growth < GROWTH, `memory grew by ${growth} bytes`);
      assertEquals(server.log, "");
    });
  },
  120,
);

const LINES = { round: 20_000, first: 3, rounds: 8 };

test(
  `${LINES.rounds * LINES.round} lines of one connection leave nothing behind`,
  [...PROGRAM, "linux"],
  async () => {
    await using server = await Server.start("reverb2.ts");
    using client = await server.connect();
    let before = 0;
    for (let round = 0; round < LINES.rounds; round++) {
      if (round === LINES.first) before = await residentBytes(server.pid);
      await client.send("x\n".repeat(LINES.round));
      await client.receive(LINES.round * 3 * "\t x\n".length);
    }
    const growth = await residentBytes(server.pid) - before;
    assert(growth < GROWTH, `memory grew by ${growth} bytes`);
  },
  60,
);

const HUGE = 100_000_000; // bytes

for (const script of CLIENTS) {
  test(`100 MB come through ${script} as they are`, PROGRAM, async () => {
    const { process, stderr, server } = await startClient(script);
    const stdin = process.stdin.getWriter();
    const ways = [
      Promise.all([
        send((block) => server.send(block))
          .finally(() => server.conn.closeWrite()),
        hashOf(process.stdout),
      ]),
    ];
    if (script === "netcat2.ts") {
      ways.push(Promise.all([
        send((block) => stdin.write(block)),
        hashOf(server.conn.readable.values({ preventCancel: true })),
      ]));
    }
    for (const [sent, received] of await Promise.all(ways)) {
      assertEquals(received, sent);
    }
    await stdin.close().catch(() => {});
    assertEquals((await process.status).code, 0);
    await stderr.ended;
    assertEquals(stderr.text, "");
    server.conn.close();
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
