// A connection in memory, for tests that need no permission.

import { bytes, textOf } from "./text.ts";

/**
 * Gives its readers `chunks`, or throws those that are errors, and then ends.
 * Takes `maxWrite` bytes a write, and fails once it has taken `capacity` bytes.
 */
export function memoryConn(
  chunks: Iterable<string | Uint8Array | Error> = [],
  { maxWrite = Infinity, capacity = Infinity } = {},
) {
  const input = chunks[Symbol.iterator]();
  let rest = new Uint8Array();
  let ended: boolean | undefined = false;
  const taken: number[] = [];
  const conn = {
    calls: [] as string[], // but for reads and writes
    reads: [] as number[], // how many bytes each asked for
    given: 0, // bytes to all of them
    writes: [] as string[], // what each has taken, and together:
    text: () => textOf(Uint8Array.from(taken)),
    async read(buffer: Uint8Array) {
      if (buffer.length === 0) throw new Error("a read into no buffer");
      conn.reads.push(buffer.length);
      await Promise.resolve();
      if (rest.length === 0) {
        const { value, done } = input.next();
        if (done && ended) throw new Error("a read after the end");
        ended = done;
        if (done) return null;
        if (value instanceof Error) throw value;
        rest = typeof value === "string" ? bytes(value) : value.slice();
      }
      const n = Math.min(rest.length, buffer.length);
      buffer.set(rest.subarray(0, n));
      rest = rest.subarray(n);
      conn.given += n;
      return n;
    },
    async write(data: Uint8Array) {
      const part = data.slice(0, maxWrite);
      // A turn of the event loop, in which others may come between two parts.
      await new Promise((resolve) => setImmediate(resolve));
      if (taken.length >= capacity) throw gone();
      for (const byte of part) taken.push(byte);
      conn.writes.push(textOf(part));
      return part.length;
    },
    setNoDelay: (on = true) => conn.calls.push(`no delay ${on}`),
    setKeepAlive: (on = true) => conn.calls.push(`keep-alive ${on}`),
    close: () => conn.calls.push("close"),
  };
  return conn as typeof conn & Deno.TcpConn;
}

/** An error of the system's, as a client that has left causes it. */
export const gone = () =>
  Object.assign(new Deno.errors.BrokenPipe("gone"), { code: "EPIPE" });

/** What a client sends that never stops. */
export function* endless(first: string, next: string) {
  yield first;
  while (true) yield next;
}
