// A connection in memory, for tests that need no permission.

/** What a system says when the other side has left. */
export const gone = () => new Deno.errors.BrokenPipe("gone");

/**
 * Gives its readers `chunks`, and then ends. Takes `part` bytes a write, and
 * fails once it has taken `most`.
 */
export function memoryConn(
  chunks: Iterable<string | Uint8Array> = [],
  { part = Infinity, most = Infinity } = {},
) {
  const input = chunks[Symbol.iterator]();
  let rest = new Uint8Array();
  const taken: number[] = [];
  const conn = {
    given: 0, // bytes, to its readers
    calls: [] as string[], // but for reads and writes
    text: () => new TextDecoder().decode(Uint8Array.from(taken)),
    async read(buffer: Uint8Array): Promise<number | null> {
      await Promise.resolve();
      while (rest.length === 0) {
        const { value, done } = input.next();
        if (done) return null;
        rest = typeof value === "string"
          ? new TextEncoder().encode(value)
          : value.slice();
      }
      const n = Math.min(rest.length, buffer.length);
      buffer.set(rest.subarray(0, n));
      rest = rest.subarray(n);
      conn.given += n;
      return n;
    },
    async write(data: Uint8Array): Promise<number> {
      const bytes = data.slice(0, part);
      await new Promise((resolve) => setTimeout(resolve)); // others may come in
      if (taken.length >= most) throw gone();
      taken.push(...bytes);
      return bytes.length;
    },
    setNoDelay: () => void conn.calls.push("setNoDelay"),
    setKeepAlive: () => void conn.calls.push("setKeepAlive"),
    close: () => void conn.calls.push("close"),
  };
  return conn as typeof conn & Deno.TcpConn;
}
