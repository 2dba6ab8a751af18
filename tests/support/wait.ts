// Waiting: for a time, for an event, and never for ever.

/** Waits `ms` milliseconds. */
export const delay = (ms: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Returns what `promise` gives; throws if it takes too long, and says `seen`. */
export async function within<T>(
  seconds: number,
  promise: Promise<T>,
  seen: () => string,
): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () =>
      reject(new Error(`after ${seconds} s, seen: ${seen().slice(0, 500)}`)),
    seconds * 1000,
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until `holds`; throws if that takes more than 20 seconds. */
export async function until(holds: () => boolean | Promise<boolean>) {
  const end = performance.now() + 20_000;
  while (!await holds()) {
    if (performance.now() > end) throw new Error("not so after 20 s");
    await delay(20);
  }
}

/** Seconds that `work` takes. */
export async function stopwatch(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** Does `work` for 0 to `count` - 1, all at the same time. */
export const all = <T>(count: number, work: (i: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, i) => work(i)));
