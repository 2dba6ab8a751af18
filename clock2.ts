// clock2: a TCP server that sends the local time every second, to all clients
// at once. The Go program: gopl.io/ch8/clock2, page 222 of the book.
//
//   terminal 1                           terminals 2, 3, 4 …
//   $ deno run --allow-net clock2.ts     $ nc localhost 8000
//   listening on localhost port 8000     13:58:54
//                                        13:58:55
//                                        ^C
// To listen elsewhere: deno run --allow-net clock2.ts [[host] port]
// (It needs Deno 2.8 or later. `--allow-net` permits it to use the network.)

// The port is the last argument. The host, which may be left out, is before it.
const [port = "8000", hostname = "localhost"] = Deno.args.toReversed();

async function main() {
  let listener;
  try {
    // The backlog is the queue of clients that have connected and have not been
    // accepted yet. With Go it is as long as the system allows (4,096 on
    // Linux), and with Deno it has 511 places. When more come at once, those
    // that find no place get no answer, and their operating systems try again
    // only after a second.
    listener = Deno.listen({ hostname, port: Number(port), tcpBacklog: 4096 });
  } catch (error) {
    console.error(`${hostname} port ${port}: ${(error as Error).message}`);
    Deno.exit(1);
  }
  // Not always the port that was asked for: for port 0, the system chooses one.
  console.error(`listening on ${hostname} port ${listener.addr.port}`);
  for await (const conn of connections(listener)) {
    handleConn(conn); // not awaited: Go's `go handleConn(conn)`
  }
}

/**
 * Sends the time to `conn`, at once and then every second, until a write fails.
 * Throws nothing unless there is a mistake in this file.
 */
export async function handleConn(conn: Deno.Conn) {
  try {
    while (true) {
      // Of "15:04:05 GMT+0100 (…)", the time alone:
      const time = new Date().toTimeString().slice(0, "15:04:05".length);
      await writeAll(conn, `${time}\n`);
      await sleep(1000);
    }
  } catch (error) {
    throwIfMistake(error); // otherwise, e.g., the client disconnected
  } finally {
    conn.close(); // Go's `defer c.Close()`
  }
}

/**
 * The wait after a failed accept, in milliseconds. Each connection takes a file
 * descriptor. When the server has none left, every accept fails until a client
 * leaves: without a wait, the server would print the same error thousands of
 * times a second.
 */
const RETRY_MS = 100;

/**
 * Yields the connections that `listener` accepts, and goes on when an accept
 * fails. In a plain `for await (const conn of listener)`, two ordinary things
 * would end the server: a client that resets its connection (breaks it off)
 * before it is accepted, and a lack of file descriptors. Throws nothing unless
 * there is a mistake in this file.
 */
export async function* connections(listener: Deno.TcpListener) {
  while (true) {
    try {
      // Hands on one connection after the other, and returns only when the
      // listener is closed. After an error, the listener can be iterated again.
      return yield* listener;
    } catch (error) {
      throwIfMistake(error);
      // The client that was to be accepted has left already. The next one need
      // not wait for anything.
      if (error instanceof Deno.errors.NotConnected) continue;
      console.error(`accept: ${error}`);
      await sleep(RETRY_MS);
    }
  }
}

/**
 * Rethrows `error` if it is a mistake in this file (a misspelt name, say).
 * Nobody catches it then, so Deno shows it with its stack, and ends the
 * program. What goes wrong when something is read or written, as when the other
 * side has left, is reported by the operating system, and Deno gives such an
 * error a `code`: "ECONNRESET", for example. An inherited `code` does not
 * count: a DOMException, which some functions of the web platform throw,
 * inherits one from its class, although it does not come from the operating
 * system.
 */
function throwIfMistake(error: unknown) {
  if (!Object.hasOwn(error as Error, "code")) throw error;
}

/**
 * Writes all of `text`: one `conn.write` may write only a part of it. Throws
 * what `conn.write` throws.
 */
async function writeAll(conn: Deno.Conn, text: string) {
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) rest = rest.subarray(await conn.write(rest));
}

/** The sleeps under way, by the millisecond in which they are due. */
const timers = new Map<number, Promise<void>>();

/**
 * Go's `time.Sleep`: resolves after at least `ms` milliseconds. With thousands
 * of clients (clock2) or echoes (reverb2), thousands sleep at the same time,
 * and a timer for each would cost more than all other work. So those that end
 * in the same millisecond share a timer. The first of them starts it, and the
 * others may have to end almost a millisecond later than the first: so the
 * timer runs a millisecond longer. (`setTimeout` drops fractions of a
 * millisecond, so `ms` is rounded up for it.) clock1, with its one client, has
 * no need of all that, but all servers have the same `sleep`.
 */
export function sleep(ms: number): Promise<void> {
  const due = Math.ceil(performance.now() + ms);
  // Returns the promise that the map has for `due`. If it has none, calls the
  // function, and keeps the promise that it returns.
  return timers.getOrInsertComputed(due, async () => {
    await new Promise((resolve) => setTimeout(resolve, Math.ceil(ms) + 1));
    timers.delete(due);
  });
}

if (import.meta.main) await main(); // not when a test imports this file
