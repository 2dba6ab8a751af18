// clock1 and clock2.

import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1";
import * as clock from "../clock2.ts";
import { CLOCKS } from "./support/files.ts";
import {
  fastTimers,
  replaced,
  silentErrors,
  timerOf,
} from "./support/globals.ts";
import { CLOCK_LATE, THREE_TICKS } from "./support/limits.ts";
import { memoryConn } from "./support/memory_conn.ts";
import { Server } from "./support/process.ts";
import { serverTests } from "./support/shared_tests.ts";
import { PROGRAM, test } from "./support/testing.ts";
import { TICK, TIME } from "./support/text.ts";
import { delay, stopwatch, times } from "./support/time.ts";

test("a clock tells the time at once and every second", {}, async () => {
  const conn = memoryConn([], { capacity: 2 * TICK, maxWrite: 4 });
  using timers = fastTimers();
  await clock.handleConn(conn);
  assertMatch(conn.text(), /^(\d\d:\d\d:\d\d\n){2}$/);
  assertEquals(timers.waits, [timerOf(1000), timerOf(1000)]);
  assertEquals(timers.ended, timers.waits, "it did not wait");
  assertEquals(conn.calls, ["close"]);
});

test("an accept that fails is retried, after 100 ms", {}, async () => {
  const [first, second] = [memoryConn(), memoryConn()];
  const withCode = (error: Error) => Object.assign(error, { code: "E" });
  const left = withCode(new Deno.errors.NotConnected("left"));
  const full = withCode(new Error("Too many open files"));
  const accepts = [left, first, full, left, second];
  const listener = {
    async *[Symbol.asyncIterator]() {
      if (accepts.length === 0) throw new TypeError("closed already");
      for (let next; (next = accepts.shift());) {
        if (next instanceof Error) throw next;
        yield next;
      }
    },
  } as unknown as Deno.TcpListener;
  using errors = silentErrors();
  using timers = fastTimers();
  const conns = await Array.fromAsync(clock.connections(listener));
  assert(conns[0] === first && conns[1] === second);
  assertEquals(errors.said, ["accept: Error: Too many open files"]);
  assertEquals(timers.waits, [timerOf(100)]);
  assertEquals(timers.ended, timers.waits, "it did not wait");
});

test("sleeps of one moment share a timer as long as it runs", {}, async () => {
  using timers = fastTimers();
  // Moments of one millisecond.
  using _ = replaced(performance, "now", () => 5 + Math.random() / 2);
  const woken: number[] = [];
  for (const round of [0, 4]) {
    await times(4, 4, async (i) => {
      await clock.sleep(i % 2 === 0 ? 2000.3 : 1000);
      woken.push(round + i);
    });
  }
  assertEquals(woken, [1, 3, 0, 2, 5, 7, 4, 6]);
  const waits = [timerOf(2000.3), timerOf(1000)];
  assertEquals(timers.waits, [...waits, ...waits]);
});

test("a sleep is never shorter than it was asked to be", {}, async () => {
  const short: string[] = [];
  await times(2000, 2000, async (i) => {
    await delay(Math.random() * 300);
    const ms = [200, 50.5, 1, 0][i % 4];
    const from = performance.now();
    await clock.sleep(ms);
    const took = performance.now() - from;
    if (took < ms) short.push(`${took} of ${ms} ms`);
  });
  assertEquals(short, []);
});

/** The second of the day that a tick names. */
function secondsOf(tick: string): number {
  const [, hours, minutes, seconds] = tick.match(TIME)!.map(Number);
  return (hours * 60 + minutes) * 60 + seconds;
}

for (const script of CLOCKS) {
  serverTests(script, { handleConn: "await sleep" });

  test(`${script} tells the time of its time zone`, PROGRAM, async () => {
    const shell = 'TZ=Asia/Kathmandu exec "$@"'; // 5:45 ahead of UTC, always
    await using server = await Server.start(script, { shell });
    using client = await server.connect();
    const told = secondsOf(await client.receive(TICK));
    const behind = (Date.now() / 1000 + (5 * 60 + 45) * 60 - told) % 86_400;
    assert(behind <= CLOCK_LATE, `${behind} seconds behind`);
  });
}

test("clock1 serves one client at a time, in order", PROGRAM, async () => {
  await using server = await Server.start("clock1.ts");
  const clients = await Array.fromAsync({ length: 3 }, server.connect);
  const waits: number[] = [];
  for (const client of clients) {
    waits.push(await stopwatch(() => client.receive(TICK)));
    assertMatch(await client.receive(TICK), TIME);
    client.conn.close();
  }
  // It takes two writes, a second apart, to notice that a client has left.
  assert(waits.slice(1).every((wait) => wait > 0.9), `${waits} s`);
});

test("clock2 serves all clients at once", PROGRAM, async () => {
  await using server = await Server.start("clock2.ts");
  const took = await stopwatch(() =>
    times(50, 50, async () => {
      using client = await server.connect();
      const [a, b, c] = (await client.receive(3 * TICK)).split(/(?<=\n)/)
        .map(secondsOf);
      // A second may pass unseen where a wait ends late, but none is told twice.
      const [first, second] = [b - a, c - b].map((s) => (s + 86_400) % 86_400);
      assert(first >= 1 && second >= 1, `${a} ${b} ${c}`);
      assert(first + second <= 4, `${a} ${b} ${c}`);
    })
  );
  assert(
    took >= 1.99 && took < THREE_TICKS,
    `three ticks of 50 clients in ${took} s`,
  );
});
