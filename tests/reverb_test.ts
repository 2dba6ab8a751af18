// reverb1 and reverb2. How they read lines is in lines_test.ts.

import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1";
import * as reverb1 from "../reverb1.ts";
import * as reverb2 from "../reverb2.ts";
import { gone, memoryConn } from "./support/memory_conn.ts";
import { REVERBS, run, Server } from "./support/program.ts";
import { programTest, serverTest, test } from "./support/declare.ts";
import { inTurn, overlapping, voices } from "./support/voices.ts";
import { all, delay, stopwatch } from "./support/wait.ts";

for (const [i, script] of REVERBS.entries()) {
  const { handleConn } = [reverb1, reverb2][i];
  const answer = [inTurn, overlapping][i];
  const least = [3.9, 1.9][i]; // seconds of two lines

  serverTest(script, "answers half-closed clients in full", async (server) => {
    // One after the other, they would take minutes.
    const took = await stopwatch(() =>
      all(50, async () => {
        const heard = await server.answer("Hello\nWorld");
        assertEquals(heard, answer("Hello", "World"));
      })
    );
    assert(took > least, `${took} s`);
  });

  serverTest(script, "echoes any text", async (server) => {
    const heard = await server.answer("\n\ufeffΕλλάδα Straße 👋\r\n");
    // Upper case is JavaScript's.
    assertEquals(heard, answer("", "\ufeffΕλλάδα Straße 👋"));
    assertMatch(heard, /STRASSE/);
  });

  serverTest(script, "closes at too long a line", async (server) => {
    using client = await server.connect();
    await client.send("Hello\n");
    const [loud, ...rest] = voices("Hello");
    assertEquals(await client.receive(loud.length), loud);
    await client.send("x".repeat(65_536));
    assertEquals(await client.rest(), rest.join(""));
  });

  test(`${script} sets the options that Go's net sets`, async () => {
    const conn = memoryConn();
    await handleConn(conn);
    assertEquals(`${conn.calls}`, "setNoDelay true,setKeepAlive true,close");
  });

  test(`${script} is silent when the client has left before`, async () => {
    const conn = memoryConn();
    conn.setNoDelay = () => {
      throw gone();
    };
    conn.read = () => Promise.reject(gone());
    await handleConn(conn);
    assertEquals(conn.calls, ["close"]);
  });

  test(`${script} echoes nothing to a client that has left`, async () => {
    // What it sent before it left can still be read, and here without an end.
    const endless = Array(100_000).values().map(() => "Hello\n");
    const conn = memoryConn(endless, { most: 1 });
    await handleConn(conn);
    assert(conn.givenAfter < 600, `${conn.givenAfter} bytes`);
    assertEquals(conn.calls.at(-1), "close");
  });
}

test("a write of a part lets no other line in", async () => {
  const conn = memoryConn([], { part: 5 });
  const out = new reverb2.LineWriter(conn);
  const lines = Array.from({ length: 30 }, (_, i) => `${"äö€".repeat(i)}\n`);
  await all(30, async (i) => {
    await delay(i % 7);
    await out.write(lines[i]);
    assert(conn.text().includes(lines[i]), "it was not written yet");
  });
  assertEquals(conn.text().split(/(?<=\n)/).sort(), lines.sort());
});

for (const [clients, lines] of [[1, 50_000], [100, 1000]]) {
  const name = `echoes ${lines} lines of each of ${clients} at once`;
  serverTest("reverb2.ts", name, async (server) => {
    await all(clients, async () => {
      using client = await server.connect();
      const [heard] = await Promise.all([
        client.receive(4 * lines),
        client.send("x\n".repeat(lines)),
      ]);
      assert(heard === "\t X\n".repeat(lines)); // no second voice is among them
    });
  }, { change: ["line, 1000)", "line, 30_000)"] });
}

serverTest("reverb2.ts", "lets echoes take unequal times", async (server) => {
  const answer = await server.answer("Good evening\nHi\n"); // 2.4 and 0.4 s
  const [long, short] = [voices("Good evening"), voices("Hi")];
  assertEquals(answer, [long[0], ...short, long[1], long[2]].join(""));
}, { change: ["line, 1000)", "line, line.length * 100)"] });

/** Bytes that reverb2 takes of a client that has no end, and reads nothing. */
async function takenOfStuck() {
  const { promise: leaves, resolve: leave } = Promise.withResolvers<void>();
  const line = "x".repeat(60_000) + "\n";
  const conn = memoryConn(Array(2000).values().map(() => line), { leaves });
  const ended = reverb2.handleConn(conn);
  for (let before = -1; conn.given > before;) {
    before = conn.given;
    await delay(300);
  }
  return {
    taken: conn.given,
    leave() {
      leave();
      return ended;
    },
  };
}

/** Checks that `bytes` are about `wanted`: the same within a factor of 1.4. */
function assertAbout(wanted: number, bytes: number) {
  assert(bytes > wanted / 1.4 && bytes < wanted * 1.4, `${bytes} bytes`);
}

test("the less memory is left, the less of a client is taken", async () => {
  // A line takes 242,000 bytes of memory while it is echoed, and 60,001 on its way.
  const first = await takenOfStuck();
  assertAbout(150e6 / 4, first.taken); // half of 300 MB
  const second = await takenOfStuck();
  assertAbout(75e6 / 4, second.taken); // half of the rest
  const more = await all(200, takenOfStuck);
  for (const { taken } of more) assertAbout(1.4e6 / 4, taken); // 1 MB, and a line
  await Promise.all([first, second, ...more].map((client) => client.leave()));
  const third = await takenOfStuck(); // as if there had been no others
  assertEquals(third.taken, first.taken);
  await third.leave();
});

test("all who wait for a client's echoes see their end", async () => {
  const echoes = new reverb2.Echoes();
  await echoes.wait(); // there are none
  let ended = 0;
  const end = async (ms: number) => {
    await delay(ms);
    ended++;
  };
  for (const ms of [50, 10, 90]) echoes.add(end(ms), 1);
  await all(2, async () => {
    await echoes.wait();
    assertEquals(ended, 3);
  });
});

programTest("reverb2.ts shows a mistake in echo, with its stack", async () => {
  const change = ["await sleep(delay);", "oops();"] as const;
  await using server = await Server.start("reverb2.ts", { change });
  using client = await server.connect();
  await client.send("Hello\n");
  await server.crashes(/ReferenceError: oops is not defined[^]*at echo /);
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
      [delay(ms), reverb2.sleep(ms)].map(lasted),
    );
    assert(slept > Math.trunc(ms) - 1, `${slept} of ${ms} ms`); // as timers cut
    late.push(slept - timer);
  });
  const median = late.sort((a, b) => a - b)[500];
  assert(Math.abs(median) < 0.9, `${median} ms`);
});

test("thousands of sleeps take less than as many timers", async () => {
  const many = (wait: typeof delay) =>
    stopwatch(async () => {
      for (let i = 0; i < 5; i++) await all(20_000, () => wait(10));
    });
  const [timers, sleeps] = [await many(delay), await many(reverb2.sleep)];
  assert(sleeps < timers / 2, `${sleeps} s for ${timers} s`);
});

programTest("sleeps that are over leave nothing behind", async () => {
  // What 300,000 might leave behind would fill a heap of 30 MB.
  const source = `import { sleep } from "./reverb2.ts";
    for (let i = 0; i < 100; i++) {
      await Promise.all(Array.from({ length: 3000 }, () => sleep(Math.random())));
    }`;
  const flags = ["--v8-flags=--max-old-space-size=30"];
  const seen = await run("-", [], { source, flags });
  assertEquals(seen, { code: 0, stdout: "", stderr: "" });
});
