// Waiting, and not waiting.

/** Resolves after `ms` milliseconds. */
export const delay = (ms: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Seconds that `work` takes. */
export async function stopwatch(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return (performance.now() - from) / 1000;
}

/** Waits until `holds`. */
export async function eventually(holds: () => boolean | Promise<boolean>) {
  while (!await holds()) await delay(20);
}

/** Calls `task` for 0 to `count` - 1, at most `width` at a time. */
export async function times(
  count: number,
  width: number,
  task: (i: number) => Promise<unknown>,
) {
  let next = 0;
  await Promise.all(Array.from({ length: width }, async () => {
    while (next < count) await task(next++);
  }));
}

/**
 * Until it is disposed, timers are a hundred times as fast, and `waits` says how
 * many milliseconds each of them was set for.
 */
export function fastTimers() {
  const { setTimeout } = globalThis;
  const waits: number[] = [];
  globalThis.setTimeout = ((fn: () => void, ms = 0) => {
    waits.push(ms);
    return setTimeout(fn, ms / 100);
  }) as typeof setTimeout;
  return { waits, [Symbol.dispose]: () => globalThis.setTimeout = setTimeout };
}
