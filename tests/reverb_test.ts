// reverb1 and reverb2.

import { assert, assertEquals, assertRejects } from "jsr:@std/assert@1";
import * as reverb1 from "../reverb1.ts";
import * as reverb2 from "../reverb2.ts";
import { read, REVERBS } from "./support/files.ts";
import { fastTimers } from "./support/globals.ts";
import { HALF_CLOSED_CLIENTS } from "./support/limits.ts";
import { endless, gone, memoryConn } from "./support/memory_conn.ts";
import { Server } from "./support/process.ts";
import { serverTests } from "./support/shared_tests.ts";
import { PROGRAM, PROGRAM_AND_FILES, test } from "./support/testing.ts";
import { inTurn, overlapping } from "./support/text.ts";
import { delay, stopwatch, times } from "./support/time.ts";

const writerTo = (conn: Deno.Conn) => new reverb2.LineWriter(conn);

test("an echo has three voices, with delays between them", {}, async () => {
  const conn = memoryConn();
  using timers = fastTimers();
  await reverb2.echo(writerTo(conn), "Straße", 1000);
  // Upper and lower case are JavaScript's.
  assertEquals(conn.writes, ["\t STRASSE\n", "\t Straße\n", "\t straße\n"]);
  assertEquals(timers.waits, [1000, 1000]);
});

test("an echo says no more when its client has left", {}, async () => {
  const conn = memoryConn([], { capacity: 1 });
  const echo = reverb2.echo(writerTo(conn), "Hello", 0);
  await assertRejects(() => echo, Deno.errors.BrokenPipe);
  assertEquals(conn.writes, ["\t HELLO\n"]);
});

test("lines of one moment leave in one write, in order", {}, async () => {
  const conn = memoryConn();
  const out = writerTo(conn);
  await Promise.all(["a\n", "b\n", "c\n"].map(async (line, i) => {
    for (let k = 0; k < 10 * i; k++) await undefined; // in the same turn
    await out.write(line);
  }));
  await out.write("d\n");
  assertEquals(conn.writes, ["a\nb\nc\n", "d\n"]);
});

test("a write of a part lets no other line in", {}, async () => {
  const conn = memoryConn([], { maxWrite: 5 });
  const out = writerTo(conn);
  const lines = Array.from({ length: 100 }, (_, i) => `${"äö€".repeat(i)}\n`);
  await Promise.all(lines.map(async (line, i) => {
    await delay(i % 7);
    await out.write(line);
  }));
  assertEquals(conn.text().split(/(?<=\n)/).sort(), lines.sort());
});

test("after a failed write, every later one fails", {}, async () => {
  const conn = memoryConn([], { capacity: 1 });
  const out = writerTo(conn);
  await out.write("a\n");
  await assertRejects(() => out.write("b\n"), Deno.errors.BrokenPipe);
  await assertRejects(() => out.write("c\n"), Deno.errors.BrokenPipe);
  assertEquals(conn.text(), "a\n");
});

test("reverb2 reads little from a client that reads nothing", {}, async () => {
  const conn = memoryConn(endless("a\n", "x".repeat(999) + "\n"));
  const left = Promise.withResolvers<never>();
  conn.write = () => left.promise;
  const serving = reverb2.handleConn(conn);
  await delay(200);
  assert(conn.given < 16_000, `${conn.given} bytes`);
  left.reject(gone());
  await serving;
  assertEquals(conn.calls.at(-1), "close");
});

test("50,000 lines are answered before the next ones", {}, async () => {
  using _ = fastTimers();
  const conn = memoryConn(["x\n".repeat(60_000)]);
  await reverb2.handleConn(conn);
  const lines = conn.text().split("\n");
  const loud = lines.slice(0, 150_000).filter((line) => line === "\t X");
  assertEquals([loud.length, lines.length], [50_000, 180_001]);
});

for (const [i, script] of REVERBS.entries()) {
  const { handleConn } = [reverb1, reverb2][i];
  const answer = [inTurn, overlapping][i]("Hello", "World");

  test(`${script} sets up, answers and closes`, {}, async () => {
    using timers = fastTimers();
    const conn = memoryConn(["Hello\nWorld"]);
    await handleConn(conn);
    assertEquals([conn.text(), ...new Set(timers.waits)], [answer, 1000]);
    assertEquals(conn.calls, ["no delay true", "keep-alive true", "close"]);
  });

  test(`${script} closes when a client's echoes are over`, {}, async () => {
    using _ = fastTimers();
    for (const capacity of [1, 20, Infinity]) {
      const conn = memoryConn(["Hello\nWorld\n", gone()], { capacity });
      await handleConn(conn);
      assertEquals(conn.calls.filter((call) => call === "close").length, 1);
      const { length } = conn.writes;
      await delay(50); // ms; the rest of an echo takes 20 here
      assertEquals(conn.writes.length, length, "written after the close");
    }
  });

  test(`${script} closes what was reset before`, {}, async () => {
    const conn = memoryConn(["Hello\n"]);
    conn.setNoDelay = () => {
      throw gone();
    };
    await handleConn(conn);
    assertEquals([conn.text(), conn.calls], ["", ["close"]]);
  });

  serverTests(script, { handleConn: "for await", echo: "await sleep" });

  test(`${script} answers 1,000 half-closed clients`, PROGRAM, async () => {
    await using server = await Server.start(script);
    const took = await stopwatch(() =>
      times(1000, 1000, async () => {
        assertEquals(await server.answer("Hello\nWorld\n"), answer);
      })
    );
    assert(took >= [3.9, 1.9][i] && took < HALF_CLOSED_CLIENTS, `${took} s`);
  });
}

test(
  "a pasted reverb2 needs nothing but an import map",
  PROGRAM_AND_FILES,
  async () => {
    const [source, config] = [
      await read("reverb2.ts"),
      await read("deno.json"),
    ];
    const imports = JSON.stringify({ imports: JSON.parse(config).imports });
    const map = `--import-map=data:application/json,${imports}`;
    const permissions = ["--no-config", map, "--allow-net"];
    await using server = await Server.start("-", { source, permissions });
    assertEquals(await server.answer("Hello"), overlapping("Hello"));
  },
);
