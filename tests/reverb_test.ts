// reverb1 and reverb2.

import { assert, assertEquals, assertRejects } from "jsr:@std/assert@1";
import * as reverb1 from "../reverb1.ts";
import * as reverb2 from "../reverb2.ts";
import { path, read } from "./support/files.ts";
import { gone, memoryConn } from "./support/memory_conn.ts";
import { replay, Server } from "./support/process.ts";
import { serverTests } from "./support/script_tests.ts";
import { PROGRAM, test } from "./support/testing.ts";
import { bytes, inTurn, overlapping } from "./support/text.ts";
import { delay, fastTimers, stopwatch, times } from "./support/time.ts";

/** Bytes of the longest line that is echoed. */
const LONGEST = 65_535;

const writerTo = (conn: Deno.Conn) => new reverb2.LineWriter(conn);

/** The lines that `chunks` are read as. */
const split = (...chunks: (string | Uint8Array)[]): Promise<string[]> =>
  Array.fromAsync(reverb2.lines(memoryConn(chunks), writerTo(memoryConn())));

test("an echo has three voices, with delays between them", [], async () => {
  const conn = memoryConn();
  using timers = fastTimers();
  await reverb2.echo(writerTo(conn), "Straße", 1000);
  // Upper and lower case are JavaScript's.
  assertEquals(conn.writes, ["\t STRASSE\n", "\t Straße\n", "\t straße\n"]);
  assertEquals(timers.waits, [1000, 1000]);
});

test("an echo says no more when its client has left", [], async () => {
  const conn = memoryConn([], { capacity: 1 });
  const echo = reverb2.echo(writerTo(conn), "Hello", 0);
  await assertRejects(() => echo, Deno.errors.BrokenPipe);
  assertEquals(conn.writes, ["\t HELLO\n"]);
});

const euro = bytes("€\n"); // three bytes, and the end
const texts: Record<string, [(string | Uint8Array)[], string[]]> = {
  "lines end in LF or CRLF, and may be empty": [
    ["a\nb\r\n\n\r\nc\rd\n"],
    ["a", "b", "", "", "c\rd"],
  ],
  "a last line without an end counts": [["a\nb"], ["a", "b"]],
  "a last line loses its CR": [["b\r"], ["b"]],
  "nothing is no line": [[], []],
  "a byte order mark and NUL pass": [
    ["\ufeffa\n\ufeffb\n\0\n"],
    ["\ufeffa", "\ufeffb", "\0"],
  ],
  "a character that was cut is joined": [
    [euro.subarray(0, 1), euro.subarray(1, 2), euro.subarray(2)],
    ["€"],
  ],
  "bytes that are no UTF-8 become U+FFFD": [
    [Uint8Array.of(0x61, 0xff, 0xc3, 0x0a, 0xa4, 0x0a)],
    ["a\ufffd\ufffd", "\ufffd"],
  ],
};
for (const [name, [chunks, lines]] of Object.entries(texts)) {
  test(name, [], async () => assertEquals(await split(...chunks), lines));
}

for (const end of ["\n", "\r\n", ""]) {
  test(
    `a line of ${LONGEST} bytes before ${
      JSON.stringify(end)
    } is whole, no longer one`,
    [],
    async () => {
      const line = "x".repeat(LONGEST - (end === "\r\n" ? 1 : 0));
      for (const cut of [0, 1, 40_000]) {
        const chunks = ["a\n" + line.slice(0, cut), line.slice(cut) + end];
        assertEquals(await split(...chunks), ["a", line]);
        chunks[1] = "x" + chunks[1];
        assertEquals(await split(...chunks), ["a"]);
      }
    },
  );
}

test("no more is read than the longest line", [], async () => {
  const many = Array.from({ length: 5000 }, (_, i) => `line ${i}`);
  const conn = memoryConn([many.join("\n") + "\n"]);
  const { read } = conn;
  let after = 0;
  conn.read = async (buffer) => {
    const n = await read(buffer);
    if (n !== null) return n;
    after += buffer.length;
    return buffer.fill(120).length;
  };
  const lines = reverb2.lines(conn, writerTo(memoryConn()));
  assertEquals(await Array.fromAsync(lines), many);
  assertEquals(after, LONGEST + 1);
});

test("a buffer is small until a line is long", [], async () => {
  const conn = memoryConn(["a\n", "x".repeat(5000) + "\n"]);
  const { read } = conn;
  const sizes: number[] = [];
  conn.read = (buffer) => {
    sizes.push(buffer.length);
    return read(buffer);
  };
  await Array.fromAsync(reverb2.lines(conn, writerTo(memoryConn())));
  assertEquals(sizes, [4096, 4096, 4096, 8192]);
});

test("lines of one moment leave in one write, in order", [], async () => {
  const conn = memoryConn();
  const out = writerTo(conn);
  await Promise.all(["a\n", "b\n", "c\n"].map(async (line, i) => {
    for (let k = 0; k < 10 * i; k++) await undefined; // in the same turn
    await out.write(line);
  }));
  await out.write("d\n");
  assertEquals(conn.writes, ["a\nb\nc\n", "d\n"]);
});

test("a write of a part lets no other line in", [], async () => {
  const conn = memoryConn([], { maxWrite: 5 });
  const out = writerTo(conn);
  const lines = Array.from({ length: 100 }, (_, i) => `${"äö€".repeat(i)}\n`);
  await Promise.all(lines.map(async (line, i) => {
    await delay(i % 7);
    await out.write(line);
  }));
  assertEquals(conn.text().split(/(?<=\n)/).sort(), lines.sort());
});

test("after a failed write, every later one fails", [], async () => {
  const conn = memoryConn([], { capacity: 1 });
  const out = writerTo(conn);
  await out.write("a\n");
  await assertRejects(() => out.write("b\n"), Deno.errors.BrokenPipe);
  await assertRejects(() => out.write("c\n"), Deno.errors.BrokenPipe);
  assertEquals(conn.text(), "a\n");
});

test("reverb2 reads little from a client that reads nothing", [], async () => {
  const conn = memoryConn();
  let read = 0;
  conn.read = (buffer) => {
    for (let i = 0; i < buffer.length; i++) {
      buffer[i] = read++ % 1000 ? 120 : 10; // lines of 1,000 bytes
    }
    return Promise.resolve(buffer.length);
  };
  const left = Promise.withResolvers<never>();
  conn.write = () => left.promise;
  const serving = reverb2.handleConn(conn);
  await delay(200);
  assert(read < 64 * 1024, `${read} bytes`);
  left.reject(gone());
  await serving;
  assertEquals(conn.calls.at(-1), "close");
});

const answers = { reverb1: inTurn, reverb2: overlapping };

for (const [name, { handleConn }] of Object.entries({ reverb1, reverb2 })) {
  const answer = answers[name as keyof typeof answers]("Hello", "World");

  test(`${name} sets up, answers and closes`, [], async () => {
    using _ = fastTimers();
    const conn = memoryConn(["Hello\nWorld"]);
    await handleConn(conn);
    assertEquals(conn.text(), answer);
    assertEquals(conn.calls, ["no delay true", "keep-alive true", "close"]);
  });

  test(
    `${name} outlives a client, and closes after its echoes`,
    [],
    async () => {
      using _ = fastTimers();
      for (const capacity of [1, 20, Infinity]) {
        const conn = memoryConn(["Hello\nWorld\n"], { capacity });
        const { read } = conn;
        conn.read = async (buffer) => {
          const n = await read(buffer);
          if (n === null) throw gone();
          return n;
        };
        await handleConn(conn);
        assertEquals(conn.calls.filter((call) => call === "close").length, 1);
        const { length } = conn.text();
        await delay(5000); // fifty milliseconds, see above
        assertEquals(conn.text().length, length, "written after the close");
      }
    },
  );

  test(`${name} closes what was reset before`, [], async () => {
    const conn = memoryConn(["Hello\n"]);
    conn.setNoDelay = () => {
      throw gone();
    };
    await handleConn(conn);
    assertEquals([conn.text(), conn.calls], ["", ["close"]]);
  });

  const script = `${name}.ts`;
  serverTests(script, { handleConn: "for await", echo: "await sleep" });

  test(`${script} answers half-closed clients`, PROGRAM, async () => {
    await using server = await Server.start(script);
    const took = await stopwatch(() =>
      times(20, 20, async () => {
        assertEquals(await server.answer("Hello\nWorld\n"), answer);
      })
    );
    const least = name === "reverb1" ? 3.9 : 1.9;
    assert(took >= least && took < least + 2, `twenty clients in ${took} s`);
    assertEquals(server.log, "");
  });
}

test("reverb1 holds the book's session", PROGRAM, () =>
  replay(
    "reverb1.ts",
    "Hello?\n\t HELLO?\n\t Hello?\n\t hello?\n" +
      "Is there anybody there?\n\t IS THERE ANYBODY THERE?\n" +
      "Yooo-hooo!\n\t Is there anybody there?\n\t is there anybody there?\n" +
      "\t YOOO-HOOO!\n\t Yooo-hooo!\n\t yooo-hooo!\n",
  ));

const ALL = [...PROGRAM, "read", "write"] as const;
test("a copied reverb2 runs alone", [...ALL], async () => {
  const folder = await Deno.makeTempDir();
  const { imports } = JSON.parse(await read("deno.json"));
  await Deno.writeTextFile(
    `${folder}/deno.json`,
    JSON.stringify({ imports }),
  );
  await Deno.copyFile(path("reverb2.ts"), `${folder}/reverb2.ts`);
  await using server = await Server.start("reverb2.ts", { folder });
  assertEquals(await server.answer("Hello"), overlapping("Hello"));
  await Deno.remove(folder, { recursive: true });
});
