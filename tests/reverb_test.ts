// reverb1 and reverb2.

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "jsr:@std/assert@1";
import * as reverb1 from "../reverb1.ts";
import * as reverb2 from "../reverb2.ts";
import { read, REVERBS } from "./support/files.ts";
import {
  fastTimers,
  heldTimers,
  replaced,
  timerOf,
} from "./support/globals.ts";
import { HALF_CLOSED_CLIENTS } from "./support/limits.ts";
import { endless, gone, memoryConn } from "./support/memory_conn.ts";
import { Server, startChanged } from "./support/process.ts";
import { serverTests } from "./support/shared_tests.ts";
import { PROGRAM, PROGRAM_AND_FILES, test } from "./support/testing.ts";
import { bytes, inTurn, overlapping, voices } from "./support/text.ts";
import { delay, eventually, stopwatch, times } from "./support/time.ts";

const writerTo = (conn: Deno.Conn) => new reverb2.LineWriter(conn);

/** What each reverb hands its voices to, so that they reach `conn`. */
const ways = [
  ["reverb1", (conn: Deno.Conn) => reverb1.echo(conn, "Straße", 1000)],
  ["reverb2", async (conn: Deno.Conn) => {
    const out = writerTo(conn);
    await reverb2.echo(out, "Straße", 1000);
    await out.written;
  }],
] as const;
for (const [name, echo] of ways) {
  test(`${name}: an echo has three voices, a delay apart`, {}, async () => {
    const conn = memoryConn();
    using timers = fastTimers();
    await echo(conn);
    // Upper and lower case are JavaScript's.
    assertEquals(conn.writes, ["\t STRASSE\n", "\t Straße\n", "\t straße\n"]);
    assertEquals(timers.waits, [timerOf(1000), timerOf(1000)]);
    assertEquals(timers.ended, timers.waits, "it did not wait");
  });
}

test("reverb1: an echo ends when its client has left", {}, async () => {
  const conn = memoryConn([], { capacity: 1 });
  const echo = reverb1.echo(conn, "Hello", 0);
  await assertRejects(() => echo, Deno.errors.BrokenPipe);
  assertEquals(conn.writes, ["\t HELLO\n"]);
});

test("lines of one moment leave in one write, in order", {}, async () => {
  const conn = memoryConn();
  const out = writerTo(conn);
  await Promise.all(["a\n", "b\n", "c\n"].map(async (line, i) => {
    for (let k = 0; k < 10 * i; k++) await undefined; // in the same turn
    out.write(line);
  }));
  await out.written;
  out.write("d\n");
  await out.written;
  assertEquals(conn.writes, ["a\nb\nc\n", "d\n"]);
});

test("a write of a part lets no other line in", {}, async () => {
  const conn = memoryConn([], { maxWrite: 5 });
  const out = writerTo(conn);
  const lines = Array.from({ length: 100 }, (_, i) => `${"äö€".repeat(i)}\n`);
  await Promise.all(lines.map(async (line, i) => {
    await delay(i % 7);
    out.write(line);
  }));
  await out.written;
  assertEquals(conn.text().split(/(?<=\n)/).sort(), lines.sort());
});

test("lines wait to be written, but not for one who has left", {}, async () => {
  const conn = memoryConn([], { capacity: 1 });
  const out = writerTo(conn);
  for (const [line, waiting] of [["a\n", 2], ["€\n", 4], ["c\n", 2]] as const) {
    out.write(line);
    assertEquals(out.waiting, waiting);
    await out.written; // also where the write has failed
    assertEquals(out.waiting, 0);
  }
  assertEquals(conn.text(), "a\n");
});

test("a write that fails for a mistake is not silent", {}, async () => {
  const conn = memoryConn();
  conn.write = () => Promise.reject(new TypeError("oops"));
  const out = writerTo(conn);
  out.write("a\n");
  await assertRejects(() => out.written, TypeError, "oops");
});

test("reverb2 reads little from a client that reads nothing", {}, async () => {
  const conn = memoryConn(endless("a\n", "x".repeat(999) + "\n"));
  const left = Promise.withResolvers<never>();
  conn.write = () => left.promise;
  using _ = fastTimers();
  const serving = reverb2.handleConn(conn);
  await delay(200); // ms; all echoes that have begun are over by then
  assert(conn.given < 40_000, `${conn.given} bytes`);
  conn.read = () => Promise.reject(gone());
  left.reject(gone());
  await serving;
  assertEquals(conn.calls.at(-1), "close");
});

test("reverb2 reads no more of a client that has left", {}, async () => {
  // What it sent before it left can still be read, and here without an end.
  const conn = memoryConn(endless("a\n", "b\n"), { capacity: 1 });
  using _ = fastTimers();
  await reverb2.handleConn(conn);
  assertEquals(conn.calls.at(-1), "close");
});

/**
 * Holds all echoes back after their loud voices, until they are released or this
 * is disposed of. `allWait` waits until all clients look whether there is room.
 */
function heldEchoes() {
  const all = new DisposableStack();
  const { waits, release } = all.use(heldTimers(500)); // ms: a look is shorter
  // Time stands still, too, or a look would share the timer of an echo's sleep.
  all.use(replaced(performance, "now", () => 0));
  const allWait = () =>
    eventually(() => waits.filter((ms) => ms === timerOf(10)).length >= 20);
  return { allWait, release, [Symbol.dispose]: () => all.dispose() };
}

/**
 * Lets clients of reverb2 send `count` times `line`, all at the same moment, and
 * returns how many lines of each are echoed before the first echo ends.
 */
async function atOnce(clients: number, line: string, count: number) {
  using echoes = heldEchoes();
  const servings = Array.from({ length: clients }, () => {
    const conn = memoryConn([line.repeat(count)]);
    const seen = { bytes: 0 };
    conn.write = (data) =>
      Promise.resolve(seen.bytes += data.length)
        .then(() => data.length);
    return { seen, over: reverb2.handleConn(conn) };
  });
  const voice = bytes(`\t ${line}`).length;
  await echoes.allWait();
  const lines = servings.map(({ seen }) => seen.bytes / voice);
  echoes.release();
  await Promise.all(servings.map(({ over }) => over));
  for (const { seen } of servings) assertEquals(seen.bytes, 3 * count * voice);
  return lines;
}

test("73,000 short lines of one client are echoed at once", {}, async () => {
  const [lines] = await atOnce(1, "x\n", 100_000);
  assert(lines > 70_000 && lines < 80_000, `${lines} lines`);
}, 60);

for (const [letter, count] of [["x", 60_000], ["€", 20_000]] as const) {
  test(
    `730 lines of 60,000 bytes, "${letter}", are echoed at once`,
    {},
    async () => {
      const [lines] = await atOnce(1, `${letter.repeat(count - 1)}\n`, 1000);
      assert(lines > 700 && lines < 780, `${lines} lines`);
    },
    60,
  );
}

test("who stops reading leaves room for others", {}, async () => {
  // It has read all, until it may send no more. All later voices have to wait.
  const conn = memoryConn(endless("x\n", `${"x".repeat(59_999)}\n`));
  conn.write = (data) => Promise.resolve(data.length);
  const left = Promise.withResolvers<never>();
  const serving = reverb2.handleConn(conn);
  {
    using echoes = heldEchoes();
    await echoes.allWait();
    conn.write = () => left.promise;
    echoes.release();
    await delay(500); // ms; all its echoes are over by then
  }
  const [lines] = await atOnce(1, "x\n", 60_000);
  assert(lines > 40_000, `${lines} lines`);
  left.reject(gone());
  await serving;
}, 60);

test("three busy clients take the same, and leave some room", {}, async () => {
  const all = await atOnce(3, "x\n", 60_000);
  for (const lines of all) assert(lines > 29_000 && lines < 34_000, `${all}`);
}, 60);

test("400 busy clients may have 1 MB of echoes each", {}, async () => {
  const all = await atOnce(400, "x\n", 1000);
  for (const lines of all) assert(lines > 500 && lines < 600, `${lines} lines`);
}, 60);

for (const [i, script] of REVERBS.entries()) {
  const { handleConn } = [reverb1, reverb2][i];
  const answer = [inTurn, overlapping][i]("Hello", "World");

  test(`${script} sets up, answers and closes`, {}, async () => {
    using timers = fastTimers();
    const conn = memoryConn(["Hello\nWorld"]);
    await handleConn(conn);
    const waits = [...new Set(timers.waits)];
    assertEquals([conn.text(), waits], [answer, [timerOf(1000)]]);
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
  "a line overlaps with others, however many came before",
  PROGRAM,
  async () => {
    await using server = await Server.start("reverb2.ts");
    using client = await server.connect();
    const before = 49_999;
    await client.send("x\n".repeat(before));
    await client.receive(3 * before * "\t x\n".length);
    await client.send("first\n");
    assertEquals(await client.receive(8), "\t FIRST\n");
    await delay(300);
    const sent = performance.now();
    await client.send("second\n");
    assertEquals(await client.receive(9), "\t SECOND\n");
    const took = performance.now() - sent;
    assert(took < 600, `after ${took} ms`); // before first's next voice
  },
);

const changed = (from: string, to: string) =>
  startChanged("reverb2.ts", from, to);

test("echoes may take unequal times", PROGRAM_AND_FILES, async () => {
  await using server = await changed("line, 1000)", "line, line.length * 100)");
  const answer = await server.answer("Good evening\nHi\n"); // 2.4 and 0.4 s
  const [long, short] = [voices("Good evening"), voices("Hi")];
  const order = [long[0], short[0], short[1], short[2], long[1], long[2]];
  assertEquals(answer, order.join(""));
});

test("the limit of a line may be any number", PROGRAM_AND_FILES, async () => {
  // The buffer has 16 KiB by then: its length must not be what limits a line.
  await using server = await changed("= 64 * 1024", "= 10_000");
  const longest = "x".repeat(9999);
  assertEquals(await server.answer(`${longest}\n`), overlapping(longest));
  const answer = server.answer(`${longest}x\n`).catch(() => ""); // is reset
  assertEquals(await answer, "");
});

test("a mistake amid echoes is shown at once", PROGRAM_AND_FILES, async () => {
  // The second client reads nothing, and cannot be sent all voices of its echoes:
  // who waited for the end of these would wait for ever.
  for (const before of ["", `${"x".repeat(999)}\n`.repeat(2000)]) {
    const loop = "await waitForRoom(out, echoes);";
    const oops = `${loop} if (line === "oops") oops();`;
    const server = await changed(loop, oops);
    using client = await server.connect();
    await client.send(`${before}Hello\n`);
    const took = await stopwatch(async () => {
      await client.send("oops\n");
      const { code, stderr } = await server.over();
      assertStringIncludes(stderr, "ReferenceError: oops is not defined");
      assertEquals(code, 1);
    });
    assert(took < 1, `after ${took} s`);
  }
});

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
