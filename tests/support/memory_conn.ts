// A connection in memory, for tests that need no permission.

import { setImmediate } from "node:timers/promises";

/** What a system says when the other side has left. */
export const gone = () => new Deno.errors.BrokenPipe("gone");

/**
 * Gives its readers `chunks`, and then ends. Takes `part` bytes a write, and fails
 * once it has taken `most`; if it `leaves`, a write waits for that, and fails.
 */
export function memoryConn(
  chunks: Iterable<string | Uint8Array> | AsyncIterable<string> = [],
  options: { part?: number; most?: number; leaves?: Promise<void> } = {},
) {
  const { part = Infinity, most = Infinity, leaves } = options;
  const input = async function* () {
    yield* chunks;
  }();
  let rest = new Uint8Array();
  const taken: number[] = [];
  let failedAt = Infinity;
  const conn = {
    given: 0, // bytes, to its readers
    givenAfter: 0, // bytes of them, since a write has failed
    calls: [] as string[], // but for reads and writes
    text: () => new TextDecoder().decode(Uint8Array.from(taken)),
    async read(buffer: Uint8Array): Promise<number | null> {
      await setImmediate(); // others come in
      while (rest.length === 0) {
        const { value, done } = await input.next();
        if (done) return null;
        rest = typeof value === "string"
          ? new TextEncoder().encode(value)
          : value.slice();
      }
      const n = Math.min(rest.length, buffer.length);
      buffer.set(rest.subarray(0, n));
      rest = rest.subarray(n);
      conn.given += n;
      conn.givenAfter = Math.max(0, conn.given - failedAt);
      return n;
    },
    async write(data: Uint8Array): Promise<number> {
      const bytes = data.slice(0, part);
      await setImmediate();
      await leaves;
      if (leaves || taken.length >= most) {
        failedAt = Math.min(failedAt, conn.given);
        throw gone();
      }
      taken.push(...bytes);
      return bytes.length;
    },
    setNoDelay: (on = true) => void conn.calls.push(`setNoDelay ${on}`),
    setKeepAlive: (on = true) => void conn.calls.push(`setKeepAlive ${on}`),
    close: () => void conn.calls.push("close"),
    [Symbol.dispose]: () => void conn.calls.push("close"),
  };
  return conn as typeof conn & Deno.TcpConn;
}
