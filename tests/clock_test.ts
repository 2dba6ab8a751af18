// clock1 and clock2.

import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1";
import * as clock from "../clock2.ts";
import { Client } from "./support/client.ts";
import { memoryConn } from "./support/memory_conn.ts";
import { Server } from "./support/process.ts";
import { serverTests } from "./support/script_tests.ts";
import { PROGRAM, test } from "./support/testing.ts";
import { secondsOf, TICK, TIME } from "./support/text.ts";
import { fastTimers, stopwatch, times } from "./support/time.ts";

test("a clock tells the time at once and every second", [], async () => {
  const conn = memoryConn([], { capacity: 2 * TICK });
  using timers = fastTimers();
  await clock.handleConn(conn);
  assertEquals(conn.writes.map((line) => TIME.test(line)), [
    true,
    true,
  ]);
  assertEquals(timers.waits, [1000, 1000]);
  assertEquals(conn.calls, ["close"]);
});

test("a clock writes each line whole", [], async () => {
  const conn = memoryConn([], { capacity: TICK, maxWrite: 4 });
  using _ = fastTimers();
  await clock.handleConn(conn);
  assertMatch(conn.text(), TIME);
});

/** A listener that does in turn what `accepts` says; it is closed by `undefined`. */
function listenerOf(...accepts: (Deno.TcpConn | Error | undefined)[]) {
  const next = async () => {
    if (accepts.length === 0) accepts.push(new TypeError("closed already"));
    const value = await accepts.shift();
    if (value instanceof Error) throw value;
    return { value, done: value === undefined };
  };
  const listener = { [Symbol.asyncIterator]: () => ({ next }) };
  return listener as unknown as Deno.TcpListener;
}

test("an accept that fails is retried, after 100 ms", [], async () => {
  const [first, second] = [memoryConn(), memoryConn()];
  const withCode = (error: Error) => Object.assign(error, { code: "E" });
  const left = withCode(new Deno.errors.NotConnected("left"));
  const full = withCode(new Error("Too many open files"));
  const said: string[] = [];
  const { error } = console;
  console.error = (line: string) => said.push(line);
  using timers = fastTimers();
  const listener = listenerOf(left, first, full, left, second, undefined);
  const conns = await Array.fromAsync(clock.connections(listener))
    .finally(() => console.error = error);
  assert(conns[0] === first && conns[1] === second);
  assertEquals(said, ["accept: Error: Too many open files"]);
  assertEquals(timers.waits, [100]);
});

test("sleeps share timers, and end in the order they began", [], async () => {
  using timers = fastTimers();
  const woken: number[] = [];
  const took = await stopwatch(() =>
    Promise.all(Array.from({ length: 1000 }, async (_, i) => {
      await clock.sleep(2000 + (i % 2) * 20_000);
      woken.push(i);
    }))
  );
  const even = Array.from({ length: 500 }, (_, i) => 2 * i);
  assertEquals(woken, [...even, ...even.map((i) => i + 1)]);
  assert(timers.waits.length < 200, `${timers.waits.length} timers`);
  assert(took >= 0.22, `${took} s`);
});

test("a sleep that has ended is not shared any more", [], async () => {
  using timers = fastTimers();
  const { now } = performance;
  performance.now = () => 0;
  for (let i = 0; i < 3; i++) await clock.sleep(1000);
  performance.now = now;
  assertEquals(timers.waits, [1000, 1000, 1000]);
});

for (const script of ["clock1.ts", "clock2.ts"]) {
  serverTests(script, { handleConn: "await sleep" });

  test(`${script} tells the time of its time zone`, PROGRAM, async () => {
    const env = { TZ: "Asia/Kathmandu" }; // 5:45 ahead of UTC, all year round
    await using server = await Server.start(script, { env });
    using client = await server.connect();
    const seconds = secondsOf(await client.receive(TICK));
    const now = Math.floor(Date.now() / 1000) + (5 * 60 + 45) * 60;
    const behind = (now - seconds) % 86_400;
    assert(behind <= 5, `${behind} seconds behind`);
  });
}

test("clock1 serves one client at a time, in order", PROGRAM, async () => {
  await using server = await Server.start("clock1.ts");
  const clients: Client[] = [];
  for (let i = 0; i < 3; i++) clients.push(await server.connect());
  const served: number[] = [];
  const first = clients.map(async (client, i) => {
    assertMatch(await client.receive(TICK), TIME);
    served.push(i);
  });
  for (const [i, client] of clients.entries()) {
    await first[i];
    assertMatch(await client.receive(TICK), TIME);
    assertEquals(served, [0, 1, 2].slice(0, i + 1));
    client.conn.close();
  }
  assertEquals(server.log, "");
});

test("clock2 serves all clients at once", PROGRAM, async () => {
  await using server = await Server.start("clock2.ts");
  const took = await stopwatch(() =>
    times(50, 50, async () => {
      using client = await server.connect();
      const ticks: number[] = [];
      for (let i = 0; i < 3; i++) {
        ticks.push(secondsOf(await client.receive(TICK)));
      }
      const [a, b, c] = ticks;
      // A second may pass unseen, or be seen twice, where a wait ends late.
      assert((c - a + 86_400) % 86_400 >= 1 && b !== c + 1, ticks.join());
    })
  );
  assert(took >= 1.99 && took < 4, `three ticks of 50 clients in ${took} s`);
  assertEquals(server.log, "");
});
