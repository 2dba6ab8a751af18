// A connection in memory, for tests that need no permission.

import { bytes, textOf } from "./text.ts";

/**
 * A connection in memory. It gives `chunks` to its readers, then ends; it takes
 * `maxWrite` bytes a write, and fails once it has taken `capacity` bytes.
 */
export function memoryConn(
  chunks: (string | Uint8Array)[] = [],
  { maxWrite = Infinity, capacity = Infinity } = {},
) {
  const input = chunks.map((chunk) =>
    typeof chunk === "string" ? bytes(chunk) : chunk
  );
  const taken: number[] = [];
  const conn = {
    /** What was called on it, beside `read` and `write`. */
    calls: [] as string[],
    /** What each write took. */
    writes: [] as string[],
    text: () => textOf(new Uint8Array(taken)),
    async read(buffer: Uint8Array) {
      await Promise.resolve();
      const chunk = input.shift();
      if (chunk === undefined) return null;
      const n = Math.min(chunk.length, buffer.length);
      buffer.set(chunk.subarray(0, n));
      if (n < chunk.length) input.unshift(chunk.subarray(n));
      return n;
    },
    async write(data: Uint8Array) {
      const part = data.slice(0, maxWrite);
      await Promise.resolve();
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
