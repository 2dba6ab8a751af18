// clock1 and clock2.

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
} from "jsr:@std/assert@1";
import * as clock from "../clock2.ts";
import { Client } from "./support/client.ts";
import { memoryConn } from "./support/memory_conn.ts";
import { PROGRAM, Server } from "./support/process.ts";
import { serverTests } from "./support/server_tests.ts";
import { test } from "./support/testing.ts";
import { TICK, TIME } from "./support/text.ts";
import { fastTimers, stopwatch, times } from "./support/time.ts";

test(
  "a clock tells the time at once, then every second, until its client leaves",
  [],
  async () => {
    const conn = memoryConn([], { capacity: 2 * TICK });
    using timers = fastTimers();
    await clock.handleConn(conn);
    assertEquals(conn.writes.map((line) => TIME.test(line)), [true, true]);
    assertEquals(timers.waits, [1000, 1000]);
    assertEquals(conn.calls, ["close"]);
  },
);

test(
  "a clock writes a line whole, where a write takes a part of it",
  [],
  async () => {
    const conn = memoryConn([], { capacity: TICK, maxWrite: 4 });
    using _ = fastTimers();
    await clock.handleConn(conn);
    assertMatch(conn.text(), TIME);
  },
);

test("a clock passes a mistake on, and closes the connection", [], async () => {
  const conn = memoryConn();
  conn.write = () => Promise.reject(new TypeError("a mistake"));
  await assertRejects(() => clock.handleConn(conn), TypeError, "a mistake");
  assertEquals(conn.calls, ["close"]);
});

/** A listener that does in turn what `accepts` says, then has been closed. */
function listenerOf(...accepts: (Deno.TcpConn | Error)[]) {
  const listener = {
    [Symbol.asyncIterator]: () => listener,
    next() {
      const value = accepts.shift();
      if (value instanceof Error) return Promise.reject(value);
      return Promise.resolve({ value, done: value === undefined });
    },
  };
  return listener as unknown as Deno.TcpListener;
}

test(
  "an accept that fails is retried: at once if the client has left, else after 100 ms",
  [],
  async () => {
    const [first, second] = [memoryConn(), memoryConn()];
    const left = Object.assign(new Deno.errors.NotConnected("left"), {
      code: "ENOTCONN",
    });
    const full = Object.assign(new Error("Too many open files"), {
      code: "EMFILE",
    });
    const said: string[] = [];
    const { error } = console;
    console.error = (line: string) => said.push(line);
    using timers = fastTimers();
    try {
      const listener = listenerOf(left, first, full, left, second);
      const conns = await Array.fromAsync(clock.connections(listener));
      assert(conns[0] === first && conns[1] === second && conns.length === 2);
    } finally {
      console.error = error;
    }
    assertEquals(said, ["accept: Error: Too many open files"]);
    assertEquals(timers.waits, [100]);
  },
);

test("a mistake in an accept is passed on", [], async () => {
  const accepting = clock.connections(listenerOf(new TypeError("a mistake")));
  await assertRejects(() => accepting.next(), TypeError, "a mistake");
});

test(
  "a thousand sleeps share a few timers, and end in the order they began",
  [],
  async () => {
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
  },
);

for (const script of ["clock1.ts", "clock2.ts"]) {
  serverTests(script, { handleConn: "await sleep" });

  test(`${script} tells the local time of its time zone`, PROGRAM, async () => {
    const env = { TZ: "Asia/Kathmandu" }; // 5:45 ahead of UTC, all year round
    await using server = await Server.start(script, { env });
    using client = await server.connect();
    const seconds = secondsOf(await client.receive(TICK));
    const now = Math.floor(Date.now() / 1000) + (5 * 60 + 45) * 60;
    const behind = (now - seconds) % 86_400;
    assert(behind <= 5, `${behind} seconds behind`);
  });
}

/** The second of the day that a line of a clock names. */
function secondsOf(tick: string): number {
  assertMatch(tick, TIME);
  const [hours, minutes, seconds] = tick.trim().split(":").map(Number);
  return (hours * 60 + minutes) * 60 + seconds;
}

test(
  "clock1 serves one client at a time, in the order they came",
  PROGRAM,
  async () => {
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
  },
);

test("clock2 serves all clients at once, every second", PROGRAM, async () => {
  await using server = await Server.start("clock2.ts");
  const took = await stopwatch(() =>
    times(3, 3, async () => {
      using client = await server.connect();
      const ticks = [];
      for (let i = 0; i < 3; i++) ticks.push(await client.receive(TICK));
      const [a, , c] = ticks.map(secondsOf);
      // A second may be seen twice, where a wait ends late.
      assert((c - a + 86_400) % 86_400 >= 1, ticks.join(""));
    })
  );
  assert(took >= 1.9 && took < 8, `three ticks of three clients in ${took} s`);
  assertEquals(server.log, "");
});
