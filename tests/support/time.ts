// Waiting, and not waiting.

import { setTimeout as delay } from "node:timers/promises";
export { delay };

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

type Task = (i: number) => Promise<unknown>;

/** Calls `task` for 0 to `count` - 1, at most `width` at a time. */
export async function times(count: number, width: number, task: Task) {
  let next = 0;
  await Promise.all(Array.from({ length: width }, async () => {
    while (next < count) await task(next++);
  }));
}

/** Makes timers a hundred times as fast until disposed; `waits` are in ms. */
export function fastTimers() {
  const { setTimeout } = globalThis;
  const waits: number[] = [];
  globalThis.setTimeout = ((fn: () => void, ms = 0) => {
    waits.push(ms);
    return setTimeout(fn, ms / 100);
  }) as typeof setTimeout;
  return { waits, [Symbol.dispose]: () => globalThis.setTimeout = setTimeout };
}
