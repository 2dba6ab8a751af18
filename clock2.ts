// clock2: a TCP server that sends the local time every second, to all its
// clients at once. The Go program: gopl.io/ch8/clock2.
//
//   terminal 1                             terminal 2 (and 3, 4, …)
//   $ deno run --allow-net clock2.ts       $ nc localhost 8000
//   listening on 127.0.0.1:8000            13:58:54
//                                          13:58:55
//                                          ^C
//
// It is clock1 without one word, the `await` before `handleConn`. To listen
// elsewhere, add an address: deno run --allow-net clock2.ts localhost:9000

const ADDRESS = Deno.args.length === 0 ? "localhost:8000" : Deno.args.join(" ");

/** Connections that may wait to be accepted, as many as Go asks Linux for. */
const LISTEN_BACKLOG = 4096;

/** Waits after a failed accept, in milliseconds: Go's net/http doubles 5 to 1,000. */
const MIN_BACKOFF_MS = 5;
const MAX_BACKOFF_MS = 1000;

/** Listens, and serves all clients at once. */
export async function main() {
  const listener = Deno.listen({
    ...parseAddress(ADDRESS),
    tcpBacklog: LISTEN_BACKLOG,
  });
  console.error(`listening on ${formatAddress(listener.addr)}`);
  for await (const conn of connections(listener)) {
    handleConn(conn); // not awaited: this is Go's `go handleConn(conn)`
  }
}

/** Sends the time to `conn`, at once and then every second, until a write fails. */
export async function handleConn(conn: Deno.Conn) {
  try {
    while (true) {
      await writeAll(conn, encoder.encode(`${timeOfDay(new Date())}\n`));
      await sleep(1000);
    }
  } catch (error) {
    logUnlessGone(error); // e.g., the client disconnected
  } finally {
    conn.close();
  }
}

const encoder = new TextEncoder();

/** Go's `Format("15:04:05")`: the time of day in the local time zone. */
export function timeOfDay(now: Date): string {
  return now.toTimeString().slice(0, 8);
}

/**
 * Yields the connections that `listener` accepts. Iterating `listener` itself
 * would throw, and end the server, as soon as one client resets its connection
 * before it is accepted, or the process runs out of descriptors.
 */
export async function* connections(
  listener: Deno.TcpListener,
): AsyncGenerator<Deno.TcpConn> {
  let backoff = 0;
  while (true) {
    let conn: Deno.TcpConn | undefined;
    try {
      conn = await listener.accept();
      conn.setNoDelay(); // as Go does: what is written is sent at once
      conn.setKeepAlive(); // as Go does: a client that vanished is noticed
    } catch (error) {
      conn?.close();
      if (error instanceof Deno.errors.NotConnected) continue; // already gone
      backoff = Math.min(2 * backoff || MIN_BACKOFF_MS, MAX_BACKOFF_MS);
      console.error(`accept: ${error}; retrying in ${backoff} ms`);
      await sleep(backoff);
      continue;
    }
    backoff = 0;
    yield conn;
  }
}

/** What a read or a write throws when the client has left. */
const GONE = [
  Deno.errors.BrokenPipe,
  Deno.errors.ConnectionAborted,
  Deno.errors.ConnectionReset,
  Deno.errors.NotConnected,
  Deno.errors.TimedOut, // no answer to keep-alive
];

/** Prints `error` on one line, unless it only says that the client has left. */
export function logUnlessGone(error: unknown) {
  if (!GONE.some((gone) => error instanceof gone)) console.error(`${error}`);
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

const timers = new Map<number, Promise<void>>();

/**
 * Go's `time.Sleep`: resolves after `ms` milliseconds. Calls within the same
 * millisecond share a timer; with thousands asleep, one timer each would cost
 * more than the work they wake up for.
 */
export function sleep(ms: number): Promise<void> {
  const due = Math.round(performance.now()) + ms;
  const timer = timers.get(due) ?? new Promise<void>((resolve) => {
    setTimeout(() => {
      timers.delete(due);
      resolve();
    }, ms);
  });
  timers.set(due, timer);
  return timer;
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

/** The reverse of `parseAddress`: `127.0.0.1:8000`, `[::1]:8000`. */
export function formatAddress({ hostname, port }: Deno.NetAddr): string {
  return hostname.includes(":")
    ? `[${hostname}]:${port}`
    : `${hostname}:${port}`;
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
