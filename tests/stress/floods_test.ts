// Clients that send more than they read, or than echoes fade: reverb2's memory
// stays bounded, others are answered, and nothing lasts longer than its cause.

import { assert, assertEquals } from "jsr:@std/assert@1";
import { Client } from "../support/client.ts";
import { peakBytes } from "../support/kernel.ts";
import { Server } from "../support/process.ts";
import { closesAll, MIB, servesNext } from "../support/stress.ts";
import { LINUX, PROGRAM, test } from "../support/testing.ts";
import { overlapping } from "../support/text.ts";
import { delay, stopwatch, times } from "../support/time.ts";

/** Starts a flood of lines of `size` bytes; ends it when it is disposed. */
async function flood(server: Server, count: number, size: number) {
  const lines = ("x".repeat(size - 1) + "\n").repeat(MIB / 4 / size);
  const clients: Client[] = [];
  let ended: unknown;
  await times(count, count, async () => {
    const client = await server.connect();
    clients.push(client);
    client.flood(lines).catch((error) => ended ??= error);
  });
  return {
    [Symbol.dispose]() {
      assertEquals(ended, undefined, "it must be going on still");
      for (const { conn } of clients) conn.close();
    },
  };
}

async function assertPeak(server: Server, most: number) {
  const peak = await peakBytes(server.pid) / MIB;
  assert(peak <= most, `${Math.round(peak)} MiB of memory`);
  assertEquals(server.log, "");
}

/** Seconds until a client has all answers to `lines` short lines that it sends. */
const secondsFor = (server: Server, lines: number) =>
  stopwatch(async () => {
    const answer = await server.answer("x\n".repeat(lines));
    assertEquals(answer.length, lines * 3 * "\t x\n".length);
  });

// Bytes of a line, memory in MiB, and milliseconds that others wait.
for (
  const [size, memory, ms] of [[2, 360, 1000], [17, 256, 500], [1001, 256, 500]]
) {
  test(`two floods, one by one, of ${size} B lines`, LINUX, async () => {
    await using server = await Server.start("reverb2.ts");
    const peaks: number[] = [];
    for (const seconds of [15, 5]) {
      using _ = await flood(server, 1, size);
      const until = performance.now() + seconds * 1000;
      while (performance.now() < until) {
        const took = await stopwatch(() => servesNext(server, "reverb2.ts"));
        assert(took * 1000 < ms, `an answer after ${took} s`);
        await delay(100);
      }
      peaks.push(await peakBytes(server.pid));
    }
    await closesAll(server);
    await assertPeak(server, memory);
    assert(peaks[1] < peaks[0] + 64 * MIB, `it goes higher: ${peaks}`);
  }, 90);
}

for (const [clients, memory] of [[1, 320], [100, 1000], [400, 1400]]) {
  test(`floods of ${clients} clients that stay`, LINUX, async () => {
    await using server = await Server.start("reverb2.ts");
    using _ = await flood(server, clients, 17);
    for (let i = 0; i < 3; i++) {
      await delay(1500);
      const took = await stopwatch(async () => {
        const answer = await server.answer("a\nb\nc\nd\ne\n");
        assertEquals(answer, overlapping("a", "b", "c", "d", "e"));
      });
      assert(took < 6, `another client's five lines took ${took} s`);
    }
    await assertPeak(server, memory);
  }, 90);
}

test("2,000 idle connections hold nobody back", PROGRAM, async () => {
  await using server = await Server.start("reverb2.ts");
  const idle: Client[] = [];
  const connect = async () => idle.push(await server.connect());
  await times(2000, 100, connect);
  const took = await secondsFor(server, 1000);
  for (const client of idle) client.conn.close();
  assert(took < 3, `1,000 lines took ${took} s`);
}, 60);

test("a burst of lines slows no later one down", PROGRAM, async () => {
  await using server = await Server.start("reverb2.ts");
  const before = await secondsFor(server, 20_000);
  for (let i = 0; i < 2; i++) await secondsFor(server, 53_000);
  const after = await secondsFor(server, 20_000);
  assert(after < before + 1, `${before} s before, ${after} s after`);
}, 60);
