// clock1 and clock2. What all servers have in common is in servers_test.ts.

import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1";
import { handleConn, sleep } from "../clock2.ts";
import { memoryConn } from "./support/memory_conn.ts";
import { CLOCKS, run } from "./support/program.ts";
import { programTest, serverTest, test } from "./support/declare.ts";
import { all, delay, stopwatch } from "./support/wait.ts";

const TICK = "15:04:05\n".length;
const TIME = /^(\d\d):(\d\d):(\d\d)\n$/;

/** The second of the day that a tick names. */
function secondOf(tick: string): number {
  const [, hours, minutes, seconds] = tick.match(TIME)!.map(Number);
  return (hours * 60 + minutes) * 60 + seconds;
}

for (const script of CLOCKS) {
  // Kathmandu is 5:45 ahead of UTC, all the year.
  const env = { TZ: "Asia/Kathmandu" };
  serverTest(script, "tells the local time", async (server) => {
    using client = await server.connect();
    const told = secondOf(await client.receive(TICK));
    const now = (Date.now() / 1000 + (5 * 60 + 45) * 60) % 86_400;
    const late = (now - told + 86_400) % 86_400;
    assert(late < 5, `${late} s`);
  }, { env, linux: true }); // Windows has another way to name a zone

  serverTest(script, "tells it at once, then every second", async (server) => {
    using client = await server.connect();
    const first = await stopwatch(() => client.receive(TICK));
    const others = await stopwatch(async () => {
      for (let i = 0; i < 2; i++) {
        assertMatch(await client.receive(TICK), TIME);
      }
    });
    assert(others > 1.9, `${others} s`);
    assert(first < 0.4 * others, `${first} s`); // and not after a second
  });
}

serverTest("clock1.ts", "serves one at a time, in order", async (server) => {
  const clients = await all(3, server.connect);
  for (const client of clients) {
    // It takes two writes, a second apart, to notice that one has left.
    const wait = await stopwatch(() => client.receive(TICK));
    assert(client === clients[0] || wait > 0.9, `${wait} s`);
    await client.receive(TICK);
    client.conn.close();
  }
});

serverTest("clock2.ts", "serves all clients at once", async (server) => {
  // One after the other, they would take two minutes.
  await all(50, async () => {
    using client = await server.connect();
    await client.receive(3 * TICK);
  });
});

test("a clock writes whole lines, until a write fails", async () => {
  const conn = memoryConn([], { part: 4, most: 2 * TICK });
  await handleConn(conn);
  assertMatch(conn.text(), /^(\d\d:\d\d:\d\d\n){2}$/);
  assertEquals(conn.calls, ["close"]);
});

test("a sleep is as long as a timer, to within a millisecond", async () => {
  const late: number[] = []; // milliseconds, later than a timer
  await all(1000, async (i) => {
    await delay(Math.random() * 300);
    const ms = [200, 50.5, 1, 0][i % 4];
    const start = performance.now();
    const lasted = async (sleeping: Promise<void>) => {
      await sleeping;
      return performance.now() - start;
    };
    const [timer, slept] = await Promise.all(
      [delay(ms), sleep(ms)].map(lasted),
    );
    assert(slept > ms - 1, `${slept} of ${ms} ms`);
    late.push(slept - timer);
  });
  const median = late.sort((a, b) => a - b)[500];
  assert(Math.abs(median) < 0.9, `${median} ms`);
});

test("thousands of sleeps take less than as many timers", async () => {
  const many = (wait: typeof sleep) =>
    stopwatch(async () => {
      for (let i = 0; i < 5; i++) await all(20_000, () => wait(10));
    });
  const [timers, sleeps] = [await many(delay), await many(sleep)];
  assert(sleeps < timers / 2, `${sleeps} s for ${timers} s`);
});

programTest("sleeps that are over leave nothing behind", async () => {
  // What 300,000 might leave behind would fill a heap of 30 MB.
  const source = `import { sleep } from "./clock2.ts";
    for (let i = 0; i < 100; i++) {
      await Promise.all(Array.from({ length: 3000 }, () => sleep(Math.random())));
    }`;
  const flags = ["--v8-flags=--max-old-space-size=30"];
  const seen = await run("-", [], { source, flags });
  assertEquals(seen, { code: 0, stdout: "", stderr: "" });
});
