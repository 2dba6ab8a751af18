// Limits that belong to a machine: how long something may take, and how much
// memory. What was seen is from two cores of a shared machine, with Deno 2.9.6.
// A limit leaves a margin, so that it fails for a mistake and not for a busy
// moment; on a slower machine, it is here that one makes it wider.

/**
 * Seconds until 50 clients of clock2 have three ticks each. Seen: 2.02 to 2.05,
 * of which 2 are the clock's. One client after the other would take over 100.
 */
export const THREE_TICKS = 4;

/** Seconds by which a clock may be late with the time. Seen: 0.04 to 1.0. */
export const CLOCK_LATE = 5;

/**
 * Seconds until 1,000 clients at once have the echoes of two lines each. Seen:
 * 4.5 to 4.6 with reverb1, of which 4 are the echoes', 2.6 to 2.7 with reverb2.
 */
export const HALF_CLOSED_CLIENTS = 12;

/**
 * Megabytes by which a server may grow from the fourth to the tenth round of the
 * same work. Seen: 4 and 30 (20,000 connections to clock2 and reverb2), and 9
 * (260,000 lines to reverb2).
 */
export const GROWTH = 64;

/**
 * Megabytes by which a reverb may grow while 400 MB come without a line's end.
 * Seen: 8.
 */
export const ENDLESS_LINE_GROWTH = 64;

/**
 * Two clients, one after the other, that send lines of `size` bytes and read
 * nothing, the first for `first` seconds: megabytes that reverb2 may take, and
 * seconds that another client may wait for a voice. Seen: 322 to 382 MB (2 B),
 * 270 to 281 (17 B), 126 (1,001 B); 0.05 to 0.2 s. Most of it is garbage that
 * V8 has not collected yet.
 */
export const FLOODS = [
  { size: 2, first: 8, most: 450, wait: 1 },
  { size: 17, first: 5, most: 320, wait: 0.5 },
  { size: 1001, first: 3, most: 256, wait: 0.5 },
];

/** The same with many clients at once, which stay: MB. Seen: 464 and 830. */
export const MANY_FLOODS = [
  { clients: 100, most: 1000 },
  { clients: 400, most: 1400 },
];

/**
 * Seconds that another client may wait beside them for five lines, whose echoes
 * take two. Seen: 2.0 to 2.2.
 */
export const FIVE_LINES = 6;

/**
 * Clients that send lines of `size` bytes, read the first `reads` bytes of what
 * comes and then nothing until the server has taken nothing from them for `quiet`
 * milliseconds, and stay: seconds that another client may wait for `lines` lines,
 * and megabytes. Seen: 2.0 to 3.8 s and 280 to 420 MB with the first three, 2.1 to
 * 3.7 s and 310 to 500 MB with the others. Those that come one by one take as much
 * as they can get, each from what the others have left.
 */
export const STUCK = [
  { clients: 5, together: true, size: 17, reads: 0, quiet: 2500 },
  { clients: 5, together: false, size: 17, reads: 0, quiet: 2500 },
  { clients: 2, together: false, size: 60_000, reads: 100e6, quiet: 2500 },
].map((stuck) => ({ ...stuck, lines: 20_000, wait: 5, most: 700 })).concat([
  { clients: 50, together: true, size: 17, reads: 0, quiet: 2500 },
  { clients: 65, together: false, size: 1000, reads: 0, quiet: 100 },
].map((stuck) => ({ ...stuck, lines: 2000, wait: 10, most: 1000 })));

/**
 * Clients that send lines of 60,000 bytes for ever, and read all that comes:
 * megabytes, and seconds that another client may wait for 2,000 lines. Seen: 290
 * to 350 MB with one, 470 MB with ten, and 2.0 s.
 */
export const READERS = [
  { clients: 1, most: 500, wait: 4 },
  { clients: 10, most: 800, wait: 4 },
];

/**
 * Seconds until 1,000 lines of a client are echoed beside 2,000 connections that
 * send nothing. Seen: 2.1, of which 2 are the echo's.
 */
export const BESIDE_IDLE = 3;

/** Seconds until all lines that one client sends at once are echoed. Seen: 2.3. */
export const TEN_THOUSANDS = [
  { lines: 60_000, most: 3.0 },
  { lines: 70_000, most: 3.2 },
];

/**
 * Chaos: seconds by which it may slow 20,000 lines down that come after it,
 * megabytes that a second minute of it may leave in use (garbage does not count),
 * and those at its peak. Seen: none, less than none (4.86 and then 4.81 MB), and
 * 566.
 */
export const CHAOS = { slower: 1, growth: 5, most: 1200 };
