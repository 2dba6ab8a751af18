// clock1 and clock2. What all servers have in common is in servers_test.ts.

import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1";
import { handleConn } from "../clock2.ts";
import { memoryConn } from "./support/memory_conn.ts";
import { CLOCKS } from "./support/program.ts";
import { serverTest, test } from "./support/declare.ts";
import { all, delay, stopwatch } from "./support/wait.ts";

const TICK = "15:04:05\n".length;

for (const script of CLOCKS) {
  // Kathmandu is 5:45 ahead of UTC, all the year.
  const env = { TZ: "Asia/Kathmandu" };
  serverTest(script, "tells the local time", async (server) => {
    using client = await server.connect();
    const [, hours, minutes, seconds] = (await client.receive(TICK))
      .match(/^(\d\d):(\d\d):(\d\d)\n$/)!.map(Number);
    const told = (hours * 60 + minutes) * 60 + seconds;
    const now = (Date.now() / 1000 + (5 * 60 + 45) * 60) % 86_400;
    const late = (now - told + 86_400) % 86_400;
    assert(late < 5, `${late} s`);
  }, { env, linux: true }); // Windows has another way to name a zone

  serverTest(script, "tells it at once, then every second", async (server) => {
    using client = await server.connect();
    const first = await stopwatch(() => client.receive(TICK));
    let heard = "";
    const [ticks, timer] = await Promise.all([
      stopwatch(async () => heard = await client.receive(3 * TICK)),
      stopwatch(() => delay(3000)),
    ]);
    assertMatch(heard, /^(\d\d:\d\d:\d\d\n){3}$/);
    assert(Math.abs(ticks - timer) < 0.5, `${ticks} s for ${timer} s`);
    assert(first < 0.4 * ticks, `${first} s`); // and not after a second
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
