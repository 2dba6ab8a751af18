// What the programs say, and the bytes that it is.

/** The bytes of `text` in UTF-8. */
export const bytes = (text: string) => new TextEncoder().encode(text);

/** The text that `data` is in UTF-8, byte order marks included. */
export const textOf = (data: Uint8Array) =>
  new TextDecoder("utf-8", { ignoreBOM: true }).decode(data);

/** A line of the clock servers, and how many bytes it has. */
export const TIME = /^(\d\d):(\d\d):(\d\d)\n$/;
export const TICK = "15:04:05\n".length;

/** The three voices of an echo. */
export const voices = (shout: string) =>
  [shout.toUpperCase(), shout, shout.toLowerCase()]
    .map((voice) => `\t ${voice}\n`);

/** What reverb1 answers: one echo after the other. */
export const inTurn = (...shouts: string[]) => shouts.flatMap(voices).join("");

/** What reverb2 answers to lines that come at once. */
export const overlapping = (...shouts: string[]) =>
  [0, 1, 2].flatMap((i) => shouts.map((shout) => voices(shout)[i])).join("");
