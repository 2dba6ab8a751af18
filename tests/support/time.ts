// Waiting.

// `delay` is Node's, and so never the global `setTimeout`: a test that replaces
// that one by fast timers (see globals.ts) can still wait as long as it says.
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
