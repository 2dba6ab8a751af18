// clock2: a TCP server that tells the time every second, to all its clients.
// The Go program: gopl.io/ch8/clock2 (page 222, licence CC BY-NC-SA 4.0).
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

/** Sends the local time to `conn` every second, until a write fails. */
export async function handleConn(conn: Deno.TcpConn) {
  while (true) {
    const time = new Date().toTimeString().slice(0, 8); // "15:04:05"
    const written = await writeAll(conn, `${time}\n`);
    if (!written) break; // e.g., the client disconnected
    await sleep(1000);
  }
  conn.close();
}

/** Go's `net.Listen`, and `log.Fatal` where that fails. */
function listen() {
  // tcpBacklog: how many clients may wait. (Inline, Deno 2.3 would reject it.)
  const options = { hostname, port: Number(port), tcpBacklog: 4096 };
  let listener: Deno.TcpListener;
  try {
    listener = Deno.listen(options);
  } catch (error) {
    console.error(`${hostname} port ${port}: ${(error as Error).message}`);
    Deno.exit(1);
  }
  console.error(`listening on ${hostname} port ${listener.addr.port}`);
  return listener;
}

/** Accepts connections. (Deno's own iterator throws when an accept fails.) */
export async function* connections(listener: Deno.TcpListener) {
  while (true) {
    let conn: Deno.TcpConn;
    try {
      conn = await listener.accept();
    } catch (error) {
      if (error instanceof Deno.errors.BadResource) return; // it was closed
      const { code, message } = error as Error & { code: string };
      // The client has left: ENOTCONN on Linux, EINVAL on macOS and Windows,
      // ECONNRESET on Windows as well, ECONNABORTED on BSD.
      const gone = ["ENOTCONN", "EINVAL", "ECONNRESET", "ECONNABORTED"];
      if (gone.includes(code)) continue;
      console.error(`accept: ${message}`);
      await sleep(100); // e.g., too many open files: some may soon be closed
      continue;
    }
    // If you close `conn` twice, Deno's own `close` throws and ends the server.
    conn.close = conn[Symbol.dispose]; // closes, too, but never throws
    yield conn;
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

/** Go's `time.Sleep`, of `ms` milliseconds. */
function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

if (import.meta.main) await main(); // not when a test imports this file
