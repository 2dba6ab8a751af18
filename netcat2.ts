// netcat2: a TCP client that sends what it reads from stdin, and at the same time
// prints what the server sends. The Go program: gopl.io/ch8/netcat2.
//
//   terminal 1                             terminal 2
//   $ deno run --allow-net reverb1.ts      $ deno run --allow-net netcat2.ts
//   listening on 127.0.0.1:8000            Hello?
//                                                   HELLO?
//                                                   Hello?
//                                                   hello?
//                                          ^D
//
// It ends with its input, even if answers are still to come: to see them, keep a
// pipe open, as in (echo Hello; sleep 5) | deno run --allow-net netcat2.ts. To
// connect elsewhere, add an address: deno run --allow-net netcat2.ts localhost:9000

const ADDRESS = Deno.args.length === 0 ? "localhost:8000" : Deno.args.join(" ");

/** Bytes of a read: a large one saves system calls. */
const BLOCK_BYTES = 1024 * 1024;

/** Connects, and copies both ways at once until stdin ends. */
export async function main() {
  const conn = await Deno.connect(parseAddress(ADDRESS));
  conn.setNoDelay(); // as Go does: what is typed is sent at once
  mustCopy(Deno.stdout, conn); // not awaited: this is Go's `go mustCopy(…)`
  await mustCopy(conn, Deno.stdin);
  Deno.exit(); // Go's main ends the other goroutine, too, when it returns
}

/** Copies `src` to `dst` until it ends. An error ends the program. */
export async function mustCopy(
  dst: Pick<Deno.Conn, "write">,
  src: Pick<Deno.Conn, "read">,
) {
  try {
    await copy(dst, src);
  } catch (error) {
    if (dst === Deno.stdout && error instanceof Deno.errors.BrokenPipe) {
      Deno.exit(); // e.g., `| head -1` has seen enough
    }
    fatal(error);
  }
}

/**
 * Go's `io.Copy`: resolves when `src` has ended and all of it is written. Throws
 * what `read` and `write` throw. One block is read while the one before is
 * written.
 */
export async function copy(
  dst: Pick<Deno.Conn, "write">,
  src: Pick<Deno.Conn, "read">,
) {
  let [buffer, other] = [
    new Uint8Array(BLOCK_BYTES),
    new Uint8Array(BLOCK_BYTES),
  ];
  let written: Promise<void> | undefined;
  try {
    while (true) {
      const [n] = await Promise.all([src.read(buffer), written]);
      if (n === null) return;
      written = writeAll(dst, buffer.subarray(0, n));
      [buffer, other] = [other, buffer];
    }
  } finally {
    await written; // a read that fails must not lose the block before
  }
}

/**
 * Writes all of `bytes`: one `write` may take only a part of them. Throws what
 * `write` throws.
 */
export async function writeAll(
  dst: Pick<Deno.Conn, "write">,
  bytes: Uint8Array,
): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += await dst.write(bytes.subarray(done));
  }
}

/**
 * Splits `host:port`; an IPv6 host stands in brackets, as in `[::1]:8000`.
 * Anything else gets a line that shows the usage, and ends the program with
 * status 2.
 */
export function parseAddress(text: string) {
  const [, hostname, port] = text.match(/^(\[[^\]]+\]|[^\s:[\]]+):(\d+)$/) ??
    [];
  if (hostname === undefined || Number(port) > 65_535) {
    const script = import.meta.url.split("/").at(-1);
    console.error(`usage: deno run --allow-net ${script} [host:port]`);
    Deno.exit(2);
  }
  return { hostname, port: Number(port) };
}

/**
 * Go's `log.Fatal`: prints the address and the reason, on one line, and ends the
 * program with status 1.
 */
export function fatal(error: unknown): never {
  const reason = error instanceof Error ? error.message : error;
  console.error(`${ADDRESS}: ${reason}`);
  Deno.exit(1);
}

if (import.meta.main) await main().catch(fatal);
