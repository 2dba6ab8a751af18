// How the reverbs read lines: as Go's bufio.Scanner does. Both have the same
// `lines`, which files_test.ts sees to; here it is reverb2's.

import { assert, assertEquals } from "jsr:@std/assert@1";
import { lines } from "../reverb2.ts";
import { gone, memoryConn } from "./support/memory_conn.ts";
import { test } from "./support/declare.ts";
import { delay } from "./support/wait.ts";

const linesOf = (chunks: Iterable<string | Uint8Array>): Promise<string[]> =>
  Array.fromAsync(lines(memoryConn(chunks)));

const bytes = (text: string) => new TextEncoder().encode(text);
const cut = (text: string) => [...bytes(text)].map((b) => Uint8Array.of(b));
const ODD = Uint8Array.of(97, 255, 195);
const LONGEST = 65_535; // characters, without the "\n"

const cases: [string, (string | Uint8Array)[], string[]][] = [
  ["LF or CRLF ends a line", ["a\nb\r\nc\rd\n"], ["a", "b", "c\rd"]],
  ["an empty line is a line", ["\n\r\n\n"], ["", "", ""]],
  ["a last line needs no end", ["a\nb"], ["a", "b"]],
  ["a last line loses its CR, too", ["a\nb\r"], ["a", "b"]],
  ["an empty input has no line", [], []],
  ["a CR and its LF may come apart", ["a\r", "\nb\n"], ["a", "b"]],
  ["byte order marks stay", ["\ufeffa\n\ufeffb\n"], ["\ufeffa", "\ufeffb"]],
  ["a cut character is joined", cut("€👋\n"), ["€👋"]],
  ["bytes that are no UTF-8 are U+FFFD", [ODD, "\n"], ["a\ufffd\ufffd"]],
  ["so is a character that has only begun", [ODD], ["a\ufffd\ufffd"]],
];
for (const [name, chunks, expected] of cases) {
  test(`lines: ${name}`, async () => {
    assertEquals(await linesOf(chunks), expected);
  });
}

for (const end of ["\n", "\r\n", ""]) {
  test(`lines: the longest with ${JSON.stringify(end)}`, async () => {
    const line = "x".repeat(LONGEST - (end === "\r\n" ? 1 : 0));
    assertEquals(await linesOf([`a\n${line}${end}`]), ["a", line]);
    assertEquals(await linesOf([`a\nx${line}${end}`, "\nb\n"]), ["a"]);
  });
}

test("lines: no more is read than the longest line", async () => {
  const conn = memoryConn(["a\n", "x".repeat(1_000_000)]);
  assertEquals(await Array.fromAsync(lines(conn)), ["a"]);
  assertEquals(conn.given, "a\n".length + LONGEST + 1);
});

test("lines: one may leave them early", async () => {
  const conn = memoryConn(async function* () {
    yield "a\nb\n";
    await new Promise(() => {}); // the client says no more, and stays
  }());
  for await (const line of lines(conn)) {
    if (line === "b") break;
  }
});

test("lines: a last line counts when a read fails, too", async () => {
  const conn = memoryConn(async function* () {
    yield "a\nb";
    throw gone();
  }());
  assertEquals(await Array.fromAsync(lines(conn)), ["a", "b"]);
});

const WAYS = {
  "all at once": ["a\nb\nc\nd\ne"],
  "one by one": ["a\n", "b\n", "c\n", "d\n", "e"],
};
for (const [come, chunks] of Object.entries(WAYS)) {
  test(`lines: none is lost between loops, if they come ${come}`, async () => {
    const input = lines(memoryConn(async function* () {
      for (const chunk of chunks) {
        await delay(20);
        yield chunk;
      }
    }()));
    const seen = [(await input.next()).value];
    for await (const line of input) {
      seen.push(line);
      if (line === "c") break;
    }
    assertEquals(seen, ["a", "b", "c"]);
    await delay(50);
    assertEquals(await Array.fromAsync(input), ["d", "e"]);
  });
}

/** The lines of `text`, found in the plainest way. */
function scan(text: string): string[] {
  const all = text.split("\n");
  const ended = all.length - 1;
  const tooLong = all.findIndex((line) => line.length > LONGEST);
  return all.slice(0, tooLong < 0 ? all.length : tooLong)
    .filter((line, i) => i < ended || line !== "")
    .map((line) => line.replace(/\r$/, ""));
}

const PIECES = [..."\n\n\ra你ß\ufeff", "\r\n", "Hello", "x".repeat(4095)]
  .concat("y".repeat(65_534), "é".repeat(40_000));

// The same seed gives the same texts: deno test tests/lines_test.ts -- SEED
const seed = Number(Deno.args[0] ?? Date.now() % 1e9);

test(`lines: of 2,000 random texts, seed ${seed}`, async () => {
  let state = seed;
  const below = (limit: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor(state / 2 ** 32 * limit);
  };
  for (let i = 0; i < 2000; i++) {
    const pieces = Array.from(
      { length: below(12) },
      () => below(PIECES.length),
    );
    const text = pieces.map((piece) => PIECES[piece]).join("");
    const chunks: Uint8Array[] = [];
    for (let rest = bytes(text); rest.length > 0;) {
      const cut = below(2) ? below(5) : below(rest.length + 1);
      chunks.push(rest.subarray(0, cut));
      rest = rest.subarray(cut);
    }
    const cuts = chunks.map((chunk) => chunk.length);
    const what = `seed ${seed}, text ${i}: pieces ${pieces}, cut in ${cuts}`;
    const same = JSON.stringify(await linesOf(chunks)) ===
      JSON.stringify(scan(text)); // too long to be printed
    assert(same, what);
  }
});
