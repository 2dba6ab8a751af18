// Floods: reverb2's memory stays bounded, and others are answered.

import { assert, assertEquals } from "jsr:@std/assert@1";
import { memoryOf } from "../support/linux.ts";
import { Server } from "../support/process.ts";
import { closesAll, servesNext } from "../support/stress.ts";
import { LINUX, PROGRAM, test } from "../support/testing.ts";
import { overlapping } from "../support/text.ts";
import { delay, stopwatch, times } from "../support/time.ts";

/** Starts a flood of lines of `size` bytes, which goes on until it is disposed. */
async function flood(server: Server, count: number, size: number) {
  const lines = ("x".repeat(size - 1) + "\n").repeat(256 * 1024 / size);
  const clients = new DisposableStack();
  let ended: unknown;
  await times(count, count, async () => {
    const client = clients.use(await server.connect());
    client.flood(lines).catch((error) => ended ??= error);
  });
  clients.defer(() => assertEquals(ended, undefined, "it has ended"));
  return clients;
}

// Bytes of a line, memory in MB, and seconds that others wait.
const floods = [[2, 360, 1], [17, 256, 0.5], [1001, 256, 0.5]];
for (const [size, most, wait] of floods) {
  test(`two floods, one by one, of ${size} B lines`, LINUX, async () => {
    await using server = await Server.start("reverb2.ts");
    for (const seconds of [15, 5]) {
      using _ = await flood(server, 1, size);
      const until = performance.now() + seconds * 1000;
      while (performance.now() < until) {
        const took = await stopwatch(() => servesNext(server));
        assert(took < wait, `an answer after ${took} s`);
        await delay(100);
      }
    }
    await closesAll(server);
    const { peak } = await memoryOf(server.pid);
    assert(peak <= most, `${peak} MB`);
  }, 90);
}

test("eight floods, one by one, leave nothing behind", PROGRAM, async () => {
  // 76 MB of heap are enough; what echoes might leave behind would fill 100.
  const permissions = ["--allow-net", "--v8-flags=--max-old-space-size=100"];
  await using server = await Server.start("reverb2.ts", { permissions });
  for (let i = 0; i < 8; i++) {
    using _ = await flood(server, 1, 2);
    await delay(2000);
  }
}, 60);

for (const [clients, most] of [[1, 320], [100, 1000], [400, 1400]]) {
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
    const { peak } = await memoryOf(server.pid);
    assert(peak <= most, `${peak} MB`);
  }, 90);
}

/** Seconds until a client has all answers to `lines` short lines that it sends. */
const secondsFor = (server: Server, lines: number) =>
  stopwatch(async () => {
    const answer = await server.answer("x\n".repeat(lines));
    assertEquals(answer.length, lines * 3 * "\t x\n".length);
  });

test("2,000 idle connections hold nobody back", PROGRAM, async () => {
  await using server = await Server.start("reverb2.ts");
  using idle = new DisposableStack();
  await times(2000, 100, async () => idle.use(await server.connect()));
  const took = await secondsFor(server, 1000);
  assert(took < 3, `1,000 lines took ${took} s`);
}, 60);

test("a burst of lines slows no later one down", PROGRAM, async () => {
  await using server = await Server.start("reverb2.ts");
  const before = await secondsFor(server, 20_000);
  for (let i = 0; i < 2; i++) await secondsFor(server, 53_000);
  const after = await secondsFor(server, 20_000);
  assert(after < before + 1, `${before} s before, ${after} s after`);
}, 60);
