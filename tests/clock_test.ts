// clock1 and clock2. What all servers have in common is in files_test.ts.

import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1";
import { handleConn, sleep } from "../clock2.ts";
import { memoryConn } from "./support/memory_conn.ts";
import { CLOCKS, run } from "./support/program.ts";
import { programTest, serverTest } from "./support/test.ts";
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
  }, { env });

  serverTest(script, "tells it at once, then every second", async (server) => {
    using client = await server.connect();
    const first = await stopwatch(() => client.receive(TICK));
    assert(first < 0.9, `${first} s`);
    const took = await stopwatch(async () => {
      for (let i = 0; i < 2; i++) {
        assertMatch(await client.receive(TICK), TIME);
      }
    });
    assert(took > 1.9 && took < 4, `${took} s`);
  });
}

serverTest(
  "clock1.ts",
  "serves one client at a time, in order",
  async (server) => {
    const clients = await all(3, server.connect);
    for (const client of clients) {
      // It takes two writes, a second apart, to notice that one has left.
      const wait = await stopwatch(() => client.receive(TICK));
      assert(client === clients[0] || wait > 0.9, `${wait} s`);
      await client.receive(TICK);
      client.conn.close();
    }
  },
);

serverTest("clock2.ts", "serves all clients at once", async (server) => {
  const took = await stopwatch(() =>
    all(50, async () => {
      using client = await server.connect();
      await client.receive(3 * TICK);
    })
  );
  assert(took > 1.9 && took < 6, `${took} s`);
});

Deno.test("a clock writes whole lines, until a write fails", async () => {
  const conn = memoryConn([], { part: 4, most: 2 * TICK });
  await handleConn(conn);
  assertMatch(conn.text(), /^(\d\d:\d\d:\d\d\n){2}$/);
  assertEquals(conn.calls, ["close"]);
});

Deno.test("a sleep is never shorter than it was asked to be", async () => {
  const short: string[] = [];
  await all(2000, async (i) => {
    await delay(Math.random() * 300);
    const ms = [200, 50.5, 1, 0][i % 4];
    const start = performance.now();
    await sleep(ms);
    const took = performance.now() - start;
    if (took < ms) short.push(`${took} of ${ms} ms`);
  });
  assertEquals(short, []);
});

Deno.test("sleeps of one moment share their timers", async () => {
  const sleeps = Array.from({ length: 1000 }, () => sleep(10));
  const timers = new Set(sleeps).size; // one for each millisecond that it took
  assert(timers < 500, `${timers} timers`);
  await Promise.all(sleeps);
});

programTest("a sleep that is over leaves nothing behind", async () => {
  const source = `import { sleep } from "./clock2.ts";
    const slept = new WeakRef(sleep(1));
    await new Promise((resolve) => setTimeout(resolve, 50));
    gc();
    console.log(slept.deref());`;
  const { stdout } = await run("-", [], {
    source,
    flags: ["--v8-flags=--expose-gc"],
  });
  assertEquals(stdout, "undefined\n");
});
