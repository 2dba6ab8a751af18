// clock2: a TCP server that sends the local time every second, to all clients at
// once. The Go program: gopl.io/ch8/clock2, page 222.
//
//   terminal 1                           terminal 2
//   $ deno run --allow-net clock2.ts     $ nc localhost 8000
//   listening on 127.0.0.1 port 8000     13:58:54
//                                        13:58:55
//                                        ^C
// To listen elsewhere: deno run --allow-net clock2.ts [[host] port]

const port = Deno.args.at(-1) ?? "8000";
const hostname = Deno.args.at(-2) ?? "127.0.0.1";

async function main() {
  for await (const conn of connections(listen())) {
    handleConn(conn); // not awaited: Go's `go handleConn(conn)`
  }
}

/** Sends the time to `conn` every second, until a write fails. */
export async function handleConn(conn: Deno.Conn) {
  while (true) {
    const time = new Date().toTimeString().slice(0, 8); // "15:04:05"
    const written = await writeAll(conn, `${time}\n`);
    if (!written) break; // e.g., the client disconnected
    await sleep(1000);
  }
  conn.close();
}

/** Go's `net.Listen`, and its `log.Fatal` where that fails. */
function listen() {
  // The backlog: how many may wait to be accepted. Linux allows as many, too.
  const options = { hostname, port: Number(port), tcpBacklog: 4096 };
  try {
    const listener = Deno.listen(options);
    console.error(`listening on ${hostname} port ${listener.addr.port}`);
    return listener;
  } catch (error) {
    console.error(`${hostname} port ${port}: ${(error as Error).message}`);
    Deno.exit(1);
  }
}

/**
 * Yields the connections that `listener` accepts. The listener's own iterator
 * throws when an accept fails; this one goes on.
 */
export async function* connections(listener: Deno.TcpListener) {
  while (true) {
    try {
      const conn = await listener.accept();
      conn.close = conn[Symbol.dispose]; // closing twice does no harm, as in Go
      yield conn;
    } catch (error) {
      if (error instanceof Deno.errors.BadResource) return; // it was closed
      const { code, message } = error as Error & { code: string };
      // That client has left already (on Linux; macOS and Windows; BSD).
      if (["ENOTCONN", "EINVAL", "ECONNABORTED"].includes(code)) continue;
      console.error(`accept: ${message}`);
      await sleep(100); // e.g., too many open files: some may soon be closed
    }
  }
}

/** Writes all of `text`, and returns whether that has succeeded. */
async function writeAll(conn: Deno.Conn, text: string): Promise<boolean> {
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) {
    const n = await conn.write(rest).catch(() => null); // it may write a part
    if (n === null) return false;
    rest = rest.subarray(n);
  }
  return true;
}

/** The sleeps under way: those that end in the same millisecond share a timer. */
const sleeps = new Map<number, Promise<void>>();

/** Go's `time.Sleep`, of `ms` milliseconds, or at most one less. */
export function sleep(ms: number): Promise<void> {
  const end = Math.floor(performance.now()) + ms;
  let slept = sleeps.get(end);
  if (!slept) {
    slept = new Promise((resolve) => setTimeout(resolve, ms));
    slept.then(() => sleeps.delete(end));
    sleeps.set(end, slept);
  }
  return slept;
}

if (import.meta.main) await main(); // not when a test imports this file
