// Floods and stuck clients: reverb2's memory stays bounded, and nobody pays for
// what others do.

import { assert, assertEquals } from "jsr:@std/assert@1";
import {
  BESIDE_IDLE,
  FIVE_LINES,
  FLOODS,
  MANY_FLOODS,
  READERS,
  STUCK,
  TEN_THOUSANDS,
} from "../support/limits.ts";
import { memoryOf } from "../support/linux.ts";
import { Server } from "../support/process.ts";
import { closesAll, secondsFor, servesNext } from "../support/stress.ts";
import { LINUX, PROGRAM, test } from "../support/testing.ts";
import { overlapping } from "../support/text.ts";
import { delay, eventually, stopwatch, times } from "../support/time.ts";

/**
 * Starts clients that send lines of `size` bytes, for as long as they are not
 * disposed of. Each of them reads the first `reads` bytes of what comes.
 */
async function flood(server: Server, count: number, size: number, reads = 0) {
  const block = ("x".repeat(size - 1) + "\n").repeat(256 * 1024 / size);
  const all = new DisposableStack();
  let ended: unknown;
  const clients = await Array.fromAsync({ length: count }, server.connect);
  for (const client of clients) {
    all.use(client);
    client.flood(block).catch((error) => ended ??= error);
    client.skip(reads).catch((error) => ended ??= error);
  }
  all.defer(() => assertEquals(ended, undefined, "it has ended"));
  /** Waits until the server has taken nothing from any of them for `ms`. */
  const stuck = async (ms: number) => {
    let [last, since] = [0, performance.now()];
    await eventually(() => {
      const sent = clients.reduce((sum, client) => sum + client.sent, 0);
      if (sent !== last) [last, since] = [sent, performance.now()];
      return performance.now() > since + ms;
    });
  };
  return { stuck, [Symbol.dispose]: () => all.dispose() };
}

/** Checks that a server has not taken more memory than `most` MB. */
async function assertPeak({ pid }: Server, most: number) {
  const { peak } = await memoryOf(pid);
  assert(peak <= most, `${peak} MB`);
}

for (const { size, first, most, wait } of FLOODS) {
  test(`two floods, one by one, of ${size} B lines`, LINUX, async () => {
    await using server = await Server.start("reverb2.ts");
    for (const seconds of [first, 2]) {
      using _ = await flood(server, 1, size);
      const until = performance.now() + seconds * 1000;
      while (performance.now() < until) {
        const took = await stopwatch(() => servesNext(server));
        assert(took < wait, `an answer after ${took} s`);
        await delay(100);
      }
    }
    await closesAll(server);
    await assertPeak(server, most);
  }, 90);
}

test("eight floods, one by one, leave nothing behind", PROGRAM, async () => {
  // A heap of 100 MB suffices; what echoes might leave behind would fill it.
  const permissions = ["--allow-net", "--v8-flags=--max-old-space-size=100"];
  await using server = await Server.start("reverb2.ts", { permissions });
  for (let i = 0; i < 8; i++) {
    using _ = await flood(server, 1, 2);
    await delay(1500);
  }
}, 60);

for (const { clients, most } of MANY_FLOODS) {
  test(`floods of ${clients} clients that stay`, LINUX, async () => {
    await using server = await Server.start("reverb2.ts");
    using _ = await flood(server, clients, 17);
    for (let i = 0; i < 2; i++) {
      await delay(1500);
      const took = await stopwatch(async () => {
        const answer = await server.answer("a\nb\nc\nd\ne\n");
        assertEquals(answer, overlapping("a", "b", "c", "d", "e"));
      });
      assert(took < FIVE_LINES, `another client's five lines took ${took} s`);
    }
    await assertPeak(server, most);
  }, 90);
}

for (const stuck of STUCK) {
  const { clients, together, size, reads, quiet, lines, wait, most } = stuck;
  const how = (together ? "all at once" : "one by one") +
    (reads > 0 ? " after a while" : "");
  test(
    `${clients} clients are stuck, ${how}, at ${size} B`,
    LINUX,
    async () => {
      await using server = await Server.start("reverb2.ts");
      using all = new DisposableStack();
      for (let i = 0; i < (together ? 1 : clients); i++) {
        const crowd = await flood(server, together ? clients : 1, size, reads);
        await all.use(crowd).stuck(quiet);
      }
      const took = await secondsFor(server, lines);
      assert(took < wait, `another client's ${lines} lines took ${took} s`);
      await assertPeak(server, most);
    },
    120,
  );
}

for (const { clients, most, wait } of READERS) {
  test(`${clients} send 60,000 B lines for ever, and read`, LINUX, async () => {
    await using server = await Server.start("reverb2.ts");
    using _ = await flood(server, clients, 60_000, Infinity);
    for (let i = 0; i < 2; i++) {
      await delay(2000);
      const took = await secondsFor(server, 2000);
      assert(took < wait, `another client's 2,000 lines took ${took} s`);
    }
    await assertPeak(server, most);
  }, 60);
}

for (const { lines, most } of TEN_THOUSANDS) {
  test(`${lines} lines of one client are echoed at once`, PROGRAM, async () => {
    await using server = await Server.start("reverb2.ts");
    const took = await secondsFor(server, lines);
    assert(took < most, `${took} s`);
  }, 60);
}

test("2,000 idle connections hold nobody back", PROGRAM, async () => {
  await using server = await Server.start("reverb2.ts");
  using idle = new DisposableStack();
  await times(2000, 100, async () => idle.use(await server.connect()));
  const took = await secondsFor(server, 1000);
  assert(took < BESIDE_IDLE, `1,000 lines took ${took} s`);
}, 60);
