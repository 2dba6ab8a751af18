// The scripts' functions over connections in memory. They need no permission.

import { assert, assertEquals, assertRejects } from "jsr:@std/assert@1";
import * as clock from "../clock2.ts";
import * as netcat from "../netcat2.ts";
import * as reverb1 from "../reverb1.ts";
import * as reverb from "../reverb2.ts";
import { bytes, delay, inTurn, memoryConn, overlapping } from "./helpers.ts";

/** Bytes of the longest line that is echoed. */
const LONGEST = 65_535;

/** Lines as `lines` splits them. */
const split = (...chunks: (string | Uint8Array)[]): Promise<string[]> =>
  Array.fromAsync(reverb.lines(memoryConn(chunks)));

Deno.test("echo says a shout loudly, then as it is, then quietly", async () => {
  const conn = memoryConn();
  await reverb.echo(new reverb.LineWriter(conn), "Hello", 0);
  assertEquals(conn.text(), "\t HELLO\n\t Hello\n\t hello\n");
});

Deno.test("echo waits before the second and before the third voice", async () => {
  const conn = memoryConn();
  const spoken: number[] = [];
  const write = conn.write;
  conn.write = (data) => {
    spoken.push(performance.now());
    return write(data);
  };
  await reverb.echo(new reverb.LineWriter(conn), "Hello", 100);
  const gaps = [spoken[1] - spoken[0], spoken[2] - spoken[1]];
  assertEquals(spoken.length, 3);
  // A timer that is shared may have been started up to a millisecond before.
  assert(gaps.every((gap) => gap >= 98), `gaps of ${gaps} ms`);
});

Deno.test("echo rejects when a write fails, and says no more", async () => {
  const conn = memoryConn([], { capacity: 1 });
  await assertRejects(
    () => reverb.echo(new reverb.LineWriter(conn), "Hello", 0),
    Deno.errors.BrokenPipe,
  );
  assertEquals(conn.writes, ["\t HELLO\n"]);
});

Deno.test("upper and lower case are JavaScript's", async () => {
  const conn = memoryConn();
  await reverb.echo(new reverb.LineWriter(conn), "Straße ÀÉ", 0);
  assertEquals(conn.text(), "\t STRASSE ÀÉ\n\t Straße ÀÉ\n\t straße àé\n");
});

Deno.test("lines end in LF or CRLF, and may be empty", async () => {
  assertEquals(await split("a\nb\r\n\n\r\nc\rd\n"), ["a", "b", "", "", "c\rd"]);
});

Deno.test("a last line without an end counts", async () => {
  assertEquals(await split("a\nb"), ["a", "b"]);
  assertEquals(await split("b\r"), ["b"]);
  assertEquals(await split("a\n"), ["a"]);
  assertEquals(await split(), []);
});

Deno.test("lines are joined however their bytes arrive", async () => {
  const text = "Grüße\r\n\n€uro 👋\nend";
  const expected = ["Grüße", "", "€uro 👋", "end"];
  assertEquals(await split(text), expected);
  assertEquals(
    await split(...Array.from(bytes(text), (byte) => Uint8Array.of(byte))),
    expected,
  );
});

Deno.test("bytes that are no UTF-8 become U+FFFD, a byte order mark stays", async () => {
  assertEquals(await split(Uint8Array.of(0x61, 0xff, 0xc3, 0x0a, 0xa4, 0x0a)), [
    "a\ufffd\ufffd",
    "\ufffd",
  ]);
  assertEquals(await split("\ufeffa\n\ufeffb\n\0\n"), [
    "\ufeffa",
    "\ufeffb",
    "\0",
  ]);
});

for (const end of ["\n", "\r\n", ""]) {
  Deno.test(`a line of ${LONGEST} bytes and ${JSON.stringify(end)} is whole`, async () => {
    const line = "x".repeat(LONGEST);
    assertEquals(await split(`a\n${line}${end}`), ["a", line]);
    assertEquals(await split("a\n", line.slice(1), `x${end}`), ["a", line]);
  });
}

Deno.test("a longer line ends the input, and loses none before it", async () => {
  const many = Array.from({ length: 5000 }, (_, i) => `line ${i}`);
  for (const excess of ["xxx", "xxx\nb\n"]) {
    const long = "x".repeat(LONGEST) + excess;
    assertEquals(await split(`${many.join("\n")}\n${long}`), many);
  }
});

Deno.test("no more than 128 KiB of a line without an end are read", async () => {
  let read = 0;
  const conn = memoryConn();
  conn.read = (buffer) => {
    read += buffer.length;
    return Promise.resolve(buffer.fill(120).length);
  };
  assertEquals(await Array.fromAsync(reverb.lines(conn)), []);
  assert(read > LONGEST && read <= 128 * 1024, `${read} bytes`);
});

Deno.test("what is written at once leaves in one write, in order", async () => {
  const conn = memoryConn();
  const out = new reverb.LineWriter(conn);
  await Promise.all(["a\n", "b\n", "c\n"].map((line) => out.write(line)));
  assertEquals(conn.writes, ["a\nb\nc\n"]);
  await out.write("d\n");
  assertEquals(conn.writes, ["a\nb\nc\n", "d\n"]);
});

Deno.test("a write that takes a part does not let another line in", async () => {
  const conn = memoryConn([], { maxWrite: 5 });
  const out = new reverb.LineWriter(conn);
  const lines = Array.from({ length: 100 }, (_, i) => `${"äö€".repeat(i)}\n`);
  await Promise.all(lines.map(async (line, i) => {
    await delay(i % 7);
    await out.write(line);
  }));
  assertEquals(
    conn.text().split("\n").sort(),
    lines.join("").split("\n").sort(),
  );
});

Deno.test("many lines leave in several writes, none of them huge", async () => {
  const conn = memoryConn();
  const out = new reverb.LineWriter(conn);
  const lines = Array.from(
    { length: 300 },
    (_, i) => `${i}`.repeat(400) + "\n",
  );
  await Promise.all(lines.map((line) => out.write(line)));
  assertEquals(conn.text(), lines.join(""));
  assert(conn.writes.length > 1);
  assert(conn.writes.every((write) => write.length < 128 * 1024));
});

Deno.test("after a failed write, every later one fails the same way", async () => {
  const conn = memoryConn([], { capacity: 1 });
  const out = new reverb.LineWriter(conn);
  await out.write("a\n");
  await assertRejects(() => out.write("b\n"), Deno.errors.BrokenPipe);
  await assertRejects(() => out.write("c\n"), Deno.errors.BrokenPipe);
  assertEquals(conn.text(), "a\n");
});

Deno.test("reverb2 answers every line, then closes, once", async () => {
  const conn = memoryConn(["Hello\nWorld"]);
  await reverb.handleConn(conn);
  assertEquals(conn.text(), overlapping("Hello", "World"));
  assertEquals(conn.writes[0], "\t HELLO\n\t WORLD\n", "lines of one moment");
  assertEquals(conn.closed, 1);
});

Deno.test("reverb1 answers one line after the other, then closes, once", async () => {
  const conn = memoryConn(["Hello\nWorld"]);
  await reverb1.handleConn(conn);
  assertEquals(conn.text(), inTurn("Hello", "World"));
  assertEquals(conn.closed, 1);
});

for (
  const [name, handleConn] of Object.entries({
    clock: clock.handleConn,
    reverb1: reverb1.handleConn,
    reverb2: reverb.handleConn,
  })
) {
  Deno.test(`${name}: a client that leaves is silent and closed, once`, async () => {
    const conn = memoryConn(["Hello\nWorld\n"], { capacity: 1 });
    const said = await errorsOf(() => handleConn(conn));
    assertEquals(said, []);
    assertEquals(conn.closed, 1);
  });

  Deno.test(`${name}: the unforeseen is one line, and closed, once`, async () => {
    const conn = memoryConn(["Hello\nWorld\n"]);
    conn.write = () => Promise.reject(new Deno.errors.Busy("odd"));
    const said = await errorsOf(() => handleConn(conn));
    assertEquals(said, ["Busy: odd"]);
    assertEquals(conn.closed, 1);
  });
}

/** What `console.error` is told while `fn` runs. */
async function errorsOf(fn: () => Promise<unknown>): Promise<string[]> {
  const said: string[] = [];
  const { error } = console;
  console.error = (...words: unknown[]) => said.push(words.join(" "));
  try {
    await fn();
  } finally {
    console.error = error;
  }
  return said;
}

Deno.test("reverb2 reads little from a client that reads nothing", async () => {
  const LIMIT = 256 * 1024; // bytes
  const conn = memoryConn();
  const line = bytes("x".repeat(1000) + "\n");
  let read = 0;
  conn.read = (buffer) => {
    for (let i = 0; i < buffer.length; i++) {
      buffer[i] = line[read++ % line.length];
    }
    return Promise.resolve(read < 10 * LIMIT ? buffer.length : null);
  };
  const gone = Promise.withResolvers<never>();
  conn.write = () => gone.promise;
  const serving = reverb.handleConn(conn);
  await delay(200);
  assert(read < LIMIT, `${read} bytes`);
  gone.reject(new Deno.errors.BrokenPipe("gone"));
  await serving;
});

/** A wait group with `count` echoes of `length` characters, and their ends. */
function groupOf(count: number, length: number) {
  const group = new reverb.WaitGroup();
  const ends = Array.from({ length: count }, () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    group.add(promise, length);
    return resolve;
  });
  return { group, ends };
}

/** Whether `promise` resolves without anything else having to happen. */
async function resolves(promise: Promise<void>): Promise<boolean> {
  let resolved = false;
  promise.then(() => resolved = true);
  await delay(0);
  return resolved;
}

for (const [count, length] of [[50_000, 16], [2000, 60_000]]) {
  Deno.test(`${count} echoes of ${length} characters may be under way`, async () => {
    const { group } = groupOf(count, length);
    assert(await resolves(group.room()));
  });
}

for (
  const [count, length, tooMany, fewEnough] of [
    [60_000, 1, 7000, 6000],
    [3000, 60_000, 300, 250],
  ]
) {
  Deno.test(`${count} echoes of ${length} characters are held back`, async () => {
    const { group, ends } = groupOf(count, length);
    const room = group.room();
    for (const end of ends.splice(tooMany)) end();
    assert(!await resolves(room), "an eighth of them is too many still");
    for (const end of ends.splice(fewEnough)) end();
    assert(await resolves(room));
    assert(!await resolves(group.wait()));
    for (const end of ends) end();
    assert(await resolves(group.wait()));
  });
}

Deno.test("a wait group passes an error on, and waits no longer for that echo", async () => {
  const group = new reverb.WaitGroup();
  group.add(Promise.reject(new Deno.errors.BrokenPipe("gone")), 1);
  await assertRejects(() => group.wait(), Deno.errors.BrokenPipe, "gone");
  await assertRejects(() => group.room(), Deno.errors.BrokenPipe, "gone");
});

Deno.test("a connection is set up as Go does: no delay, keep-alive", async () => {
  const calls: string[] = [];
  const conn = Object.assign(memoryConn(), {
    setNoDelay: (on = true) => calls.push(`no delay ${on}`),
    setKeepAlive: (on = true) => calls.push(`keep-alive ${on}`),
  });
  const listener = { accept: () => Promise.resolve(conn) };
  const { value } = await clock
    .connections(listener as unknown as Deno.TcpListener).next();
  assert(value === conn as unknown);
  assertEquals(calls, ["no delay true", "keep-alive true"]);
});

Deno.test("failed accepts: gone clients are skipped, others are waited out", async () => {
  const good = memoryConn() as unknown as Deno.TcpConn;
  good.setNoDelay = good.setKeepAlive = () => {};
  const reset = memoryConn();
  const results = [
    () => Promise.reject(new Deno.errors.NotConnected("gone")),
    () => Promise.reject(new Error("Too many open files")),
    () => Promise.reject(new Error("Too many open files")),
    () => Promise.resolve(good),
    () =>
      Promise.resolve(Object.assign(reset, {
        setNoDelay() {
          throw new Deno.errors.NotConnected("gone");
        },
      })),
    () => Promise.reject(new Error("Too many open files")),
    () => Promise.resolve(good),
  ];
  const listener = { accept: () => results.shift()!() };
  let accepted = 0;
  const said = await errorsOf(async () => {
    for await (
      const conn of clock.connections(listener as unknown as Deno.TcpListener)
    ) {
      assertEquals(conn, good);
      if (++accepted === 2) break;
    }
  });
  assertEquals(said, [
    "accept: Error: Too many open files; retrying in 5 ms",
    "accept: Error: Too many open files; retrying in 10 ms",
    "accept: Error: Too many open files; retrying in 5 ms",
  ]);
  assertEquals(reset.closed, 1);
});

Deno.test("failed accepts are retried after one second at most", async () => {
  const { setTimeout } = globalThis;
  const waits: (number | undefined)[] = [];
  globalThis.setTimeout = ((fn: () => void, ms?: number) => {
    waits.push(ms);
    return setTimeout(fn, 0);
  }) as typeof setTimeout;
  const good = memoryConn() as unknown as Deno.TcpConn;
  good.setNoDelay = good.setKeepAlive = () => {};
  const listener = {
    accept: () =>
      waits.length < 10
        ? Promise.reject(new Error("no"))
        : Promise.resolve(good),
  };
  try {
    await errorsOf(() =>
      clock.connections(listener as unknown as Deno.TcpListener).next()
    );
  } finally {
    globalThis.setTimeout = setTimeout;
  }
  assertEquals(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
});

Deno.test("the clock writes the time at once, and again after a second", async () => {
  const conn = memoryConn([], { capacity: 10 });
  const from = performance.now();
  await clock.handleConn(conn);
  const took = performance.now() - from;
  assert(/^\d\d:\d\d:\d\d\n\d\d:\d\d:\d\d\n$/.test(conn.text()), conn.text());
  assert(took >= 1990, `three writes within ${took} ms`);
});

Deno.test("the time of day is local, with two digits each", () => {
  assertEquals(clock.timeOfDay(new Date(2026, 0, 2, 3, 4, 5)), "03:04:05");
  assertEquals(clock.timeOfDay(new Date(2026, 6, 2, 23, 59, 59)), "23:59:59");
  assertEquals(clock.timeOfDay(new Date(2026, 6, 2)), "00:00:00");
});

Deno.test("sleeps of one moment end in the order in which they began", async () => {
  const woken: number[] = [];
  await Promise.all(Array.from({ length: 1000 }, async (_, i) => {
    await clock.sleep(20 + (i % 2) * 200);
    woken.push(i);
  }));
  const even = Array.from({ length: 500 }, (_, i) => 2 * i);
  assertEquals(woken, [...even, ...even.map((i) => i + 1)]);
});

Deno.test("copy copies all, also where a write takes a part", async () => {
  const data = "0123456789".repeat(30_000);
  const dst = memoryConn([], { maxWrite: 7001 });
  await netcat.copy(dst, memoryConn([data, "", "end"].filter(Boolean)));
  assertEquals(dst.text(), data + "end");
});

Deno.test("copy writes what came before a read that fails", async () => {
  const src = memoryConn(["first"]);
  const read = src.read;
  let reads = 0;
  src.read = (buffer) =>
    ++reads === 1
      ? read(buffer)
      : Promise.reject(new Deno.errors.ConnectionReset("reset"));
  const dst = memoryConn([], { maxWrite: 1 });
  await assertRejects(() => netcat.copy(dst, src), Deno.errors.ConnectionReset);
  assertEquals(dst.text(), "first");
});

Deno.test("copy rejects at once when a write fails, though no more is read", async () => {
  const src = memoryConn(["first"]);
  const read = src.read;
  let reads = 0;
  src.read = (buffer) => ++reads === 1 ? read(buffer) : new Promise(() => {});
  const dst = memoryConn([], { capacity: 0 });
  await assertRejects(() => netcat.copy(dst, src), Deno.errors.BrokenPipe);
});

Deno.test("an address is a host and a port, a host in brackets IPv6", () => {
  for (
    const [text, hostname, port] of [
      ["localhost:8000", "localhost", 8000],
      ["127.0.0.1:0", "127.0.0.1", 0],
      ["[::1]:65535", "[::1]", 65_535],
    ] as const
  ) {
    assertEquals(clock.parseAddress(text), { hostname, port });
  }
});

Deno.test("an address is printed as it is given", () => {
  const transport = "tcp";
  assertEquals(
    clock.formatAddress({ transport, hostname: "::1", port: 8000 }),
    "[::1]:8000",
  );
  assertEquals(
    clock.formatAddress({ transport, hostname: "127.0.0.1", port: 80 }),
    "127.0.0.1:80",
  );
});
