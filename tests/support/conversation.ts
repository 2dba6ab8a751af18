// Conversations by chance: what a client might send, in the parts in which it
// comes. A part is written as a string with a character for each byte, "\x00" to
// "\xff", so that it can hold anything, be cut anywhere, and be printed.

import { Buffer } from "node:buffer";

/** Throws dice: what it returns looks random, and is the same for one seed. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number {
    // Numerical Recipes' generator, of 32 bits: simple, and good enough.
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor(this.#state / 2 ** 32 * limit);
  }

  /** One of `values`. */
  oneOf<T>(values: T[]): T {
    return values[this.below(values.length)];
  }
}

/** A text as such a string, and such a string as bytes. */
const inBytes = (text: string) => Buffer.from(text).toString("latin1");
export const bytesOf = (part: string) =>
  new Uint8Array(Buffer.from(part, "latin1"));

/** Texts with 1 to 4 bytes a character; a NUL, a byte order mark, a loose CR. */
const WORDS = [
  "x",
  "Hello",
  "Straße",
  "Ελλάδα",
  "你好",
  "👋",
  "\0",
  "\ufeff",
  "\r",
].map(inBytes);

/** Bytes that are no UTF-8: the beginnings of characters, and what none has. */
const BROKEN = [
  "\xc3",
  "\xe2\x82",
  "\xf0\x9f\x91",
  "\x80",
  "\xed\xa0\x80",
  "\xff",
];

/** Ends of a line. The last, which is none, joins a line with the next one. */
const ENDS = ["\n", "\n", "\r\n", "\r\n", "\r\r\n", ""];

/** Bytes of the first buffer, of a larger one, and of the longest line. */
const LENGTHS = [4096, 16_384, 65_535];

function drawLine(dice: Dice): string {
  let line = "";
  for (let words = dice.below(4); words > 0; words--) {
    line += dice.oneOf(dice.below(8) === 0 ? BROKEN : WORDS);
  }
  if (dice.below(50) === 0) { // long lines are seldom: they take longer
    const length = dice.oneOf(LENGTHS) + dice.oneOf([-2, -1, 0, 1, 2, 500]);
    line = line.padEnd(length, dice.oneOf(WORDS));
  }
  return line + dice.oneOf(ENDS);
}

/** Draws a conversation: a few lines, which come in one part or in several. */
export function drawConversation(dice: Dice): string[] {
  let text = "";
  for (let lines = dice.below(8); lines > 0; lines--) text += drawLine(dice);
  if (text.length < 100 && dice.below(4) === 0) return text.split("");
  const cuts = Array.from({ length: dice.below(5) }, () => {
    const anywhere = dice.below(text.length);
    const beforeEnd = text.indexOf("\n", anywhere); // between CR and LF, perhaps
    return dice.oneOf([anywhere, beforeEnd, beforeEnd + 1]);
  });
  const places = [0, ...cuts.sort((a, b) => a - b), text.length];
  return places.map((place, i) => text.slice(place, places[i + 1]))
    .filter((part) => part !== "");
}

/** Conversations that are a little smaller than `parts`, the smallest first. */
function* smaller(parts: string[]): Generator<string[]> {
  for (const [i, part] of parts.entries()) {
    yield parts.toSpliced(i, 1);
    if (i > 0) yield parts.toSpliced(i - 1, 2, parts[i - 1] + part);
    for (let n = part.length >> 1; n > 0; n >>= 1) {
      // Few tries for each n, or a part of 64 KiB would take minutes.
      for (let at = 0; at < part.length && at < 20 * n; at += n) {
        yield parts.toSpliced(i, 1, part.slice(0, at) + part.slice(at + n));
      }
    }
  }
}

/** Leaves out of a conversation that `fails` whatever can be left out. */
export async function smallest(
  parts: string[],
  fails: (parts: string[]) => Promise<boolean>,
): Promise<string[]> {
  for (const less of smaller(parts)) {
    if (await fails(less)) return await smallest(less, fails);
  }
  return parts;
}

/** Strings as they would stand in a script; what repeats is written once. */
export function written(strings: string[]): string {
  const repeats = /(.{1,16}?)\1{15,}/gs;
  const quoted = (text: string) =>
    JSON.stringify(text).replaceAll("\ufeff", "\\ufeff")
      .replace(
        /[\x7f-\xff]/g,
        (byte) => `\\x${Buffer.from(byte, "latin1").toString("hex")}`,
      );
  const expression = (text: string) => {
    const terms: string[] = [];
    let from = 0;
    for (const { 0: run, 1: unit, index } of text.matchAll(repeats)) {
      const times = run.length / unit.length;
      terms.push(quoted(text.slice(from, index)));
      terms.push(`${quoted(unit)}.repeat(${times})`);
      from = index + run.length;
    }
    terms.push(quoted(text.slice(from)));
    return terms.filter((term) => term !== '""').join(" + ") || '""';
  };
  return `[${strings.map(expression).join(", ")}]`;
}
