// clock2: a TCP server that sends the local time every second, to all clients
// at once. The Go program: gopl.io/ch8/clock2, page 222 of the book.
//
//   terminal 1                           terminals 2, 3, 4 …
//   $ deno run --allow-net clock2.ts     $ nc localhost 8000
//   listening on localhost port 8000     13:58:54
//                                        13:58:55
//                                        ^C
// To listen elsewhere: deno run --allow-net clock2.ts [[host] port]

const [port = "8000", hostname = "localhost"] = Deno.args.toReversed();

async function main() {
  let listener;
  try {
    // As with Go on Linux, 4,096 clients may wait for accept, not Deno's 511.
    listener = Deno.listen({ hostname, port: Number(port), tcpBacklog: 4096 });
  } catch (error) {
    console.error(`${hostname} port ${port}: ${(error as Error).message}`);
    Deno.exit(1);
  }
  console.error(`listening on ${hostname} port ${listener.addr.port}`);
  for await (const conn of connections(listener)) {
    handleConn(conn); // not awaited: Go's `go handleConn(conn)`
  }
}

/** Sends the time to `conn`, at once and every second, until that fails. */
export async function handleConn(conn: Deno.Conn) {
  try {
    while (true) {
      const time = new Date().toTimeString().slice(0, "15:04:05".length);
      await writeAll(conn, `${time}\n`);
      await sleep(1000);
    }
  } catch (error) {
    throwIfMistake(error); // otherwise, e.g., the client disconnected
  } finally {
    conn.close();
  }
}

/** The wait after a failed accept, in milliseconds: not to flood stderr. */
const RETRY_MS = 100;

/**
 * Yields the connections that `listener` accepts, and goes on when an accept
 * has failed: a client that resets its connection before it is accepted, or a
 * lack of descriptors, would otherwise end the server. Rethrows a mistake in
 * this file.
 */
export async function* connections(listener: Deno.TcpListener) {
  while (true) {
    try {
      return yield* listener;
    } catch (error) {
      throwIfMistake(error);
      if (error instanceof Deno.errors.NotConnected) continue; // already gone
      console.error(`accept: ${error}`);
      await sleep(RETRY_MS);
    }
  }
}

/** Rethrows a mistake in this file: only the system's errors have a `code`. */
function throwIfMistake(error: unknown) {
  if (!Object.hasOwn(error as Error, "code")) throw error;
}

/** Writes all of `text`: one `conn.write` may write only a part of it. */
async function writeAll(conn: Deno.Conn, text: string) {
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) rest = rest.subarray(await conn.write(rest));
}

const timers = new Map<number, Promise<void>>();

/**
 * Go's `time.Sleep`: resolves after `ms` milliseconds. Sleeps that end in the
 * same millisecond share a timer: thousands of timers cost more than the work.
 */
export function sleep(ms: number): Promise<void> {
  const due = Math.round(performance.now()) + ms;
  return timers.getOrInsertComputed(due, async () => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    timers.delete(due);
  });
}

if (import.meta.main) await main();
