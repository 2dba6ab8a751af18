// reverb1 and reverb2. How they read lines is in lines_test.ts, and what all
// servers have in common in files_test.ts.

import { assert, assertEquals, assertStringIncludes } from "jsr:@std/assert@1";
import * as reverb1 from "../reverb1.ts";
import * as reverb2 from "../reverb2.ts";
import { gone, memoryConn } from "./support/memory_conn.ts";
import { changed, REVERBS, Server } from "./support/program.ts";
import { programTest, serverTest } from "./support/test.ts";
import { inTurn, overlapping, voices } from "./support/voices.ts";
import { all, delay, stopwatch } from "./support/wait.ts";

for (const [i, script] of REVERBS.entries()) {
  const { handleConn } = [reverb1, reverb2][i];
  const answer = [inTurn, overlapping][i];
  const [least, most] = [[3.9, 8], [1.9, 6]][i];

  serverTest(script, "answers half-closed clients in full", async (server) => {
    const took = await stopwatch(() =>
      all(50, async () => {
        const heard = await server.answer("Hello\nWorld");
        assertEquals(heard, answer("Hello", "World"));
      })
    );
    assert(took > least && took < most, `${took} s`);
  });

  serverTest(script, "echoes any text", async (server) => {
    const heard = await server.answer("\n\ufeffΕλλάδα Straße 👋\r\n");
    // Upper case is JavaScript's.
    assertEquals(heard, answer("", "\ufeffΕλλάδα Straße 👋"));
    assertStringIncludes(heard, "STRASSE");
  });

  serverTest(
    script,
    "ends the connection at too long a line",
    async (server) => {
      using client = await server.connect();
      await client.send("Hello\n");
      const [loud, ...rest] = voices("Hello");
      assertEquals(await client.receive(loud.length), loud);
      await client.send("x".repeat(65_536));
      assertEquals(await client.rest(), rest.join(""));
    },
  );

  Deno.test(`${script} sets the options that Go's net sets`, async () => {
    const conn = memoryConn();
    await handleConn(conn);
    assertEquals(conn.calls, ["setNoDelay", "setKeepAlive", "close"]);
  });

  Deno.test(`${script} closes when all is written`, async () => {
    const conn = memoryConn(["Hello\n"], { part: 1 });
    await handleConn(conn);
    assertEquals(conn.text(), answer("Hello"));
    assertEquals(conn.calls.at(-1), "close");
  });

  Deno.test(`${script} is silent when the client has left before`, async () => {
    const conn = memoryConn();
    conn.setNoDelay = () => {
      throw gone();
    };
    conn.read = () => Promise.reject(gone());
    await handleConn(conn);
    assertEquals(conn.calls, ["close"]);
  });

  Deno.test(`${script} echoes nothing to a client that has left`, async () => {
    // What it sent before it left can still be read, and here without an end.
    const endless = Array(100_000).values().map(() => "Hello\n");
    const conn = memoryConn(endless, { most: 1 });
    const took = await stopwatch(() => handleConn(conn));
    assert(took < 4, `${took} s`); // an echo takes two
    assertEquals(conn.calls.at(-1), "close");
  });
}

Deno.test("a write of a part lets no other line in", async () => {
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

/** Seconds until `clients` have all voices of `lines` short lines each. */
const secondsFor = (server: Server, clients: number, lines: number) =>
  stopwatch(() =>
    all(clients, async () => {
      using client = await server.connect();
      await client.burst("x", lines);
    })
  );

for (const [clients, lines] of [[1, 50_000], [100, 1000]]) {
  const name = `echoes ${lines} lines of each of ${clients} at once`;
  serverTest("reverb2.ts", name, async (server) => {
    const took = await secondsFor(server, clients, lines);
    assert(took > 1.9 && took < 4, `${took} s`); // in two rounds, it takes four
  });
}

serverTest(
  "reverb2.ts",
  "starts an echo while others go on",
  async (server) => {
    using client = await server.connect();
    await client.send("first\n");
    assertEquals(await client.receive(8), "\t FIRST\n");
    await client.send("second\n");
    assertEquals(await client.receive(9), "\t SECOND\n"); // before "\t first\n"
  },
);

programTest("the echoes of reverb2 may take unequal times", async () => {
  const [from, to] = ["line, 1000)", "line, line.length * 100)"];
  const source = await changed("reverb2.ts", from, to);
  await using server = await Server.start("reverb2.ts", { source });
  const answer = await server.answer("Good evening\nHi\n"); // 2.4 and 0.4 s
  const [long, short] = [voices("Good evening"), voices("Hi")];
  assertEquals(answer, [long[0], ...short, long[1], long[2]].join(""));
});
