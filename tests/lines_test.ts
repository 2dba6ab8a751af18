// How reverb1 and reverb2 read lines: as Go's bufio.Scanner does. Both have the
// same `lines` (pairs_test.ts sees to that), and here it is reverb2's.
//
// Of conversations by chance, the seed is in the name of the test. To have them
// again: deno test tests/lines_test.ts -- SEED

import { assertEquals } from "jsr:@std/assert@1";
import { lines } from "../reverb2.ts";
import {
  bytesOf,
  Dice,
  drawConversation,
  smallest,
  written,
} from "./support/conversation.ts";
import { endless, memoryConn } from "./support/memory_conn.ts";
import { test, witnesses } from "./support/testing.ts";
import { bytes, textOf } from "./support/text.ts";

/** The lines that come from `conn`. */
const linesOf = (conn: Deno.Conn): Promise<string[]> =>
  Array.fromAsync(lines(conn));

const euro = bytes("€\n"); // three bytes, and the end
const noise = Uint8Array.from({ length: 20_000 }, (_, i) => i ** 3 / 97);
const texts: [string, (string | Uint8Array)[], string[]][] = [
  ["LF or CRLF ends a line", ["a\nb\r\nc\rd\n"], ["a", "b", "c\rd"]],
  ["an empty line is a line", ["\n\r\n\n"], ["", "", ""]],
  ["a last line needs no end", ["a\nb"], ["a", "b"]],
  ["a last line loses its CR", ["b\r"], ["b"]],
  ["an empty input has no line", [], []],
  ["byte order marks stay", ["\ufeffa\n\ufeffb\n"], ["\ufeffa", "\ufeffb"]],
  ["a NUL stays", ["a\0\n"], ["a\0"]],
  ["a cut character", Array.from(euro, (byte) => Uint8Array.of(byte)), ["€"]],
  ["no UTF-8: U+FFFD", [Uint8Array.of(97, 255, 195, 10)], ["a\ufffd\ufffd"]],
  ["noise is cut at LF and CRLF", [noise], textOf(noise).split(/\r?\n/)],
];
for (const [name, chunks, lines] of texts) {
  test(`lines: ${name}`, {}, async () => {
    assertEquals(await linesOf(memoryConn(chunks)), lines);
  });
}

/** Bytes of the longest line that is echoed. */
const LONGEST = 65_535;

for (const [name, end] of [["LF", "\n"], ["CRLF", "\r\n"], ["no end", ""]]) {
  test(`the longest line has 65,535 bytes and ${name}`, {}, async () => {
    const line = "x".repeat(LONGEST - (end === "\r\n" ? 1 : 0));
    for (const cut of [0, 1, 40_000]) {
      const chunks = ["a\n" + line.slice(0, cut), line.slice(cut) + end];
      assertEquals(await linesOf(memoryConn(chunks)), ["a", line]);
      chunks[1] = "x" + chunks[1];
      assertEquals(await linesOf(memoryConn(chunks)), ["a"]);
    }
  });
}

test("no more is read than the longest line", {}, async () => {
  const lines = Array.from({ length: 5000 }, (_, i) => `line ${i}`);
  const whole = lines.join("\n") + "\n";
  const conn = memoryConn(endless(whole, "x".repeat(1000)));
  assertEquals(await linesOf(conn), lines);
  assertEquals(conn.given, whole.length + LONGEST + 1);
});

test("a buffer is small until a line is long", {}, async () => {
  const conn = memoryConn(["a\n", "x".repeat(5000) + "\n"]);
  await linesOf(conn);
  assertEquals(conn.reads, [4096, 4096, 4096, 8192]);
});

test("one read brings at most 16 KiB", {}, async () => {
  const conn = memoryConn(["x".repeat(60_000) + "\n", "\n".repeat(60_000)]);
  await linesOf(conn);
  assertEquals(Math.max(...conn.reads), 16 * 1024);
});

/** What bufio.Scanner makes of `data`: plainly, with all of it at hand. */
function scan(data: Uint8Array): string[] {
  const [cr, lf] = bytes("\r\n");
  const found: string[] = [];
  for (let start = 0; start < data.length;) {
    const next = data.indexOf(lf, start);
    const end = next === -1 ? data.length : next;
    if (end - start > LONGEST) break;
    const dropped = end > start && data[end - 1] === cr ? 1 : 0;
    found.push(textOf(data.subarray(start, end - dropped)));
    start = end + 1;
  }
  return found;
}

/** What is to come, and what comes, of the parts of a conversation. */
async function compared(parts: string[]) {
  const expected = scan(bytesOf(parts.join("")));
  const actual = await linesOf(memoryConn(parts.map(bytesOf)))
    .catch((error) => [`${error}`]);
  const same = actual.length === expected.length &&
    actual.every((line, i) => line === expected[i]);
  return { same, expected, actual };
}

/** What is tried before chance: paste here what a failure prints. */
const REMEMBERED: string[][] = [
  ["\xe2", "\x82\xac\r", "\n"],
  ["\xef\xbb\xbf\n\xef\xbb\xbf"],
  ["x".repeat(4097) + "\n" + "\xe4\xbd\xa0".repeat(21845) + "\n\r"],
];

const seed = Number(Deno.args[0] ?? Math.floor(Math.random() * 1e9));

test(`lines are as bufio.Scanner's: seed ${seed}`, {}, async () => {
  const dice = new Dice(seed);
  const drawn = Array.from({ length: 10_000 }, () => drawConversation(dice));
  let parts: string[] = [];
  witnesses.add(() => written(parts)); // if it hangs
  for (parts of [...REMEMBERED, ...drawn]) {
    if ((await compared(parts)).same) continue;
    const least = await smallest(parts, async (p) => !(await compared(p)).same);
    const { expected, actual } = await compared(least);
    throw new Error(`the lines of
      ${written(least)}
    are to be
      ${written(expected)}
    but are
      ${written(actual)}
    again: deno test tests/lines_test.ts -- ${seed}`);
  }
}, 30);
