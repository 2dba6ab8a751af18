// reverb1 and reverb2.

import { assert, assertEquals, assertRejects } from "jsr:@std/assert@1";
import * as reverb1 from "../reverb1.ts";
import * as reverb2 from "../reverb2.ts";
import { path, read, REVERBS } from "./support/files.ts";
import { gone, memoryConn } from "./support/memory_conn.ts";
import { PROGRAM, replay, Server } from "./support/process.ts";
import { reset, resettable } from "./support/resets.ts";
import { serverTests } from "./support/server_tests.ts";
import { test } from "./support/testing.ts";
import { bytes, inTurn, overlapping, voices } from "./support/text.ts";
import { delay, fastTimers, stopwatch, times } from "./support/time.ts";

/** Bytes of the longest line that is echoed. */
const LONGEST = 65_535;

const writerTo = (conn: Deno.Conn) => new reverb2.LineWriter(conn);

/** The lines that `chunks` are read as. */
const split = (...chunks: (string | Uint8Array)[]): Promise<string[]> =>
  Array.fromAsync(reverb2.lines(memoryConn(chunks), writerTo(memoryConn())));

test(
  "an echo has three voices, loud to quiet, with a delay between them",
  [],
  async () => {
    const conn = memoryConn();
    using timers = fastTimers();
    await reverb2.echo(writerTo(conn), "Hello", 1000);
    assertEquals(conn.writes, ["\t HELLO\n", "\t Hello\n", "\t hello\n"]);
    assertEquals(timers.waits, [1000, 1000]);
  },
);

test("an echo says no more when its client has left", [], async () => {
  const conn = memoryConn([], { capacity: 1 });
  const echo = reverb2.echo(writerTo(conn), "Hello", 0);
  await assertRejects(() => echo, Deno.errors.BrokenPipe);
  assertEquals(conn.writes, ["\t HELLO\n"]);
});

test("upper and lower case are JavaScript's", [], async () => {
  const conn = memoryConn();
  await reverb2.echo(writerTo(conn), "Straße ÀÉ", 0);
  assertEquals(conn.text(), "\t STRASSE ÀÉ\n\t Straße ÀÉ\n\t straße àé\n");
});

test("lines end in LF or CRLF, and may be empty", [], async () => {
  assertEquals(await split("a\nb\r\n\n\r\nc\rd\n"), ["a", "b", "", "", "c\rd"]);
});

test("a last line without an end counts", [], async () => {
  assertEquals(await split("a\nb"), ["a", "b"]);
  assertEquals(await split("b\r"), ["b"]);
  assertEquals(await split("a\n"), ["a"]);
  assertEquals(await split(), []);
});

test("lines are whole however their bytes arrive", [], async () => {
  const text = "Grüße\r\n\n€uro 👋\nend";
  const expected = ["Grüße", "", "€uro 👋", "end"];
  assertEquals(await split(text), expected);
  const one = Array.from(bytes(text), (byte) => Uint8Array.of(byte));
  assertEquals(await split(...one), expected);
});

test(
  "bytes that are no UTF-8 become U+FFFD, a byte order mark stays",
  [],
  async () => {
    const strange = Uint8Array.of(0x61, 0xff, 0xc3, 0x0a, 0xa4, 0x0a);
    assertEquals(await split(strange), ["a\ufffd\ufffd", "\ufffd"]);
    const [bom, nul] = ["\ufeff", "\0"];
    assertEquals(await split(`${bom}a\n${bom}b\n${nul}\n`), [
      `${bom}a`,
      `${bom}b`,
      nul,
    ]);
  },
);

for (const end of ["\n", "\r\n", ""]) {
  const name = `${LONGEST} bytes before ${
    end ? JSON.stringify(end) : "the end"
  }`;
  test(
    `a line of ${name} is whole, one more byte ends the input`,
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

test(
  "no more is read than the longest line, and no line before it is lost",
  [],
  async () => {
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
  },
);

test("lines of one moment leave in one write, in order", [], async () => {
  const conn = memoryConn();
  const out = writerTo(conn);
  await Promise.all(["a\n", "b\n", "c\n"].map((line) => out.write(line)));
  assertEquals(conn.writes, ["a\nb\nc\n"]);
  await out.write("d\n");
  assertEquals(conn.writes, ["a\nb\nc\n", "d\n"]);
});

test(
  "a write that takes a part of a line does not let another line in",
  [],
  async () => {
    const conn = memoryConn([], { maxWrite: 5 });
    const out = writerTo(conn);
    const lines = Array.from({ length: 100 }, (_, i) => `${"äö€".repeat(i)}\n`);
    await Promise.all(lines.map(async (line, i) => {
      await delay(i % 7);
      await out.write(line);
    }));
    assertEquals(conn.text().split(/(?<=\n)/).sort(), lines.sort());
  },
);

test(
  "after a failed write, every later one fails the same way",
  [],
  async () => {
    const conn = memoryConn([], { capacity: 1 });
    const out = writerTo(conn);
    await out.write("a\n");
    await assertRejects(() => out.write("b\n"), Deno.errors.BrokenPipe);
    await assertRejects(() => out.write("c\n"), Deno.errors.BrokenPipe);
    assertEquals(conn.text(), "a\n");
  },
);

test("reverb2 reads little from a client that reads nothing", [], async () => {
  const conn = memoryConn();
  const line = bytes("x".repeat(1000) + "\n");
  let read = 0;
  conn.read = (buffer) => {
    for (let i = 0; i < buffer.length; i++) {
      buffer[i] = line[read++ % line.length];
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
  const answerOf = answers[name as keyof typeof answers];

  test(
    `${name} sets a connection up as Go does, answers, and closes it`,
    [],
    async () => {
      using _ = fastTimers();
      const conn = memoryConn(["Hello\nWorld"]);
      await handleConn(conn);
      assertEquals(conn.text(), answerOf("Hello", "World"));
      assertEquals(conn.calls, ["no delay true", "keep-alive true", "close"]);
    },
  );

  test(
    `${name} is silent when a client leaves, and closes once its echoes have ended`,
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
        await delay(50);
        assertEquals(conn.text().length, length, "written after the close");
      }
    },
  );

  test(
    `${name} closes a connection that was reset before it is set up`,
    [],
    async () => {
      const conn = memoryConn(["Hello\n"]);
      conn.setNoDelay = () => {
        throw gone();
      };
      await handleConn(conn);
      assertEquals([conn.text(), conn.calls], ["", ["close"]]);
    },
  );

  const script = `${name}.ts`;
  const mistakes = { handleConn: "for await", echo: "await sleep" };
  serverTests(script, mistakes);

  test(`${script} answers a half-closed client in full`, PROGRAM, async () => {
    await using server = await Server.start(script);
    const took = await stopwatch(async () => {
      const answer = await server.answer("Hello\nWorld\n");
      assertEquals(answer, answerOf("Hello", "World"));
    });
    assert(took >= (name === "reverb1" ? 3.9 : 1.9), `${took} s`);
    assertEquals(server.log, "");
  });

  test(`${script} serves all clients at once`, PROGRAM, async () => {
    await using server = await Server.start(script);
    const took = await stopwatch(() =>
      times(6, 6, async (i) => {
        const answer = await server.answer(`Hello ${i}\n`);
        assertEquals(answer, voices(`Hello ${i}`).join(""));
      })
    );
    assert(took < 8, `six clients in ${took} s`);
    assertEquals(server.log, "");
  });
}

for (const script of REVERBS) {
  test(
    `${script} is silent when clients reset in the middle of an echo`,
    PROGRAM,
    async () => {
      await using server = await Server.start(script);
      await times(20, 20, async () => {
        const socket = await resettable(server.port);
        socket.write("Hello\nWorld\n");
        await new Promise((resolve) => socket.once("data", resolve));
        await reset(socket);
      });
      assertEquals(await server.answer("Hello\n"), voices("Hello").join(""));
      assertEquals(server.log, "");
    },
  );
}

test("reverb1 holds the book's session", PROGRAM, () =>
  replay(
    "reverb1.ts",
    "Hello?\n" +
      "\t HELLO?\n" +
      "\t Hello?\n" +
      "\t hello?\n" +
      "Is there anybody there?\n" +
      "\t IS THERE ANYBODY THERE?\n" +
      "Yooo-hooo!\n" +
      "\t Is there anybody there?\n" +
      "\t is there anybody there?\n" +
      "\t YOOO-HOOO!\n" +
      "\t Yooo-hooo!\n" +
      "\t yooo-hooo!\n",
  ));

test("a copied reverb2 runs in a folder with nothing but an import map", [
  ...PROGRAM,
  "read",
  "write",
], async () => {
  const folder = await Deno.makeTempDir();
  try {
    const { imports } = JSON.parse(await read("deno.json"));
    const config = JSON.stringify({ imports });
    await Deno.writeTextFile(`${folder}/deno.json`, config);
    await Deno.copyFile(path("reverb2.ts"), `${folder}/reverb2.ts`);
    await using server = await Server.start("reverb2.ts", { folder });
    assertEquals(await server.answer("Hello"), voices("Hello").join(""));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
