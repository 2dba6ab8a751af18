// Globals that a test replaces. Each is put back when the test disposes of what
// it got here, with `using`, and so also when the test fails.

/** Puts `value` in the place of `object[key]` until it is disposed of. */
export function replaced<T, K extends keyof T>(
  object: T,
  key: K,
  value: T[K],
): Disposable {
  const original = object[key];
  object[key] = value;
  return { [Symbol.dispose]: () => object[key] = original };
}

/** Notes what is said on stderr, instead of saying it, until it is disposed of. */
export function silentErrors() {
  const said: unknown[] = [];
  const note = (line: unknown) => said.push(line);
  return { said, ...replaced(console, "error", note) };
}

/**
 * Makes timers a hundred times as fast until it is disposed of. `waits` are the
 * milliseconds that were asked for, and `ended` those that are over.
 */
export function fastTimers() {
  const { setTimeout } = globalThis;
  const waits: number[] = [];
  const ended: number[] = [];
  const fast = (fn: () => void, ms = 0) => {
    waits.push(ms);
    return setTimeout(() => {
      ended.push(ms);
      fn();
    }, ms / 100);
  };
  const replacement = fast as typeof setTimeout;
  return { waits, ended, ...replaced(globalThis, "setTimeout", replacement) };
}

/**
 * Holds timers of `least` milliseconds and more back until they are released, or
 * this is disposed of. After that, no timer waits any more.
 */
export function heldTimers(least: number) {
  const { setTimeout } = globalThis;
  const waits: number[] = [];
  let held: (() => void)[] | undefined = [];
  const replacement = ((fn: () => void, ms = 0) => {
    waits.push(ms);
    if (held && ms >= least) return held.push(fn);
    return setTimeout(fn, held ? ms : 0);
  }) as typeof setTimeout;
  const release = () => {
    for (const fn of held ?? []) fn();
    held = undefined;
  };
  const back = replaced(globalThis, "setTimeout", replacement);
  const dispose = () => {
    release();
    back[Symbol.dispose]();
  };
  return { waits, release, [Symbol.dispose]: dispose };
}

/** The milliseconds of the timer that a sleep of `ms` shares with others. */
export const timerOf = (ms: number) => Math.ceil(ms) + 1;
