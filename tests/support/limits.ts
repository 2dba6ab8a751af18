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

// Attacks and floods: the limits of stress/attacks_test.ts and of
// stress/floods_test.ts.
