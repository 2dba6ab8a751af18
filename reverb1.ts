// reverb1: a TCP server that echoes each line three times, one line at a time.
// The Go program: gopl.io/ch8/reverb1 (page 223, licence CC BY-NC-SA 4.0).
//
//   terminal 1                           terminal 2
//   $ deno run --allow-net reverb1.ts    $ deno run --allow-net netcat2.ts
//   listening on 127.0.0.1 port 8000     Hello?
//                                                 HELLO?
//                                                 Hello?
//                                        Yooo-hooo!
//                                                 hello?
//                                                 YOOO-HOOO!
//                                                 Yooo-hooo!
//                                                 yooo-hooo!
//                                        ^D
// To listen elsewhere: deno run --allow-net reverb1.ts [[host] port]

import { TextLineStream } from "jsr:@std/streams@1/text-line-stream";

const port = Deno.args.at(-1) ?? "8000";
const hostname = Deno.args.at(-2) ?? "127.0.0.1";

async function main() {
  for await (const conn of connections(listen())) {
    handleConn(conn); // not awaited: Go's `go handleConn(conn)`
  }
}

/** Echoes the lines of `conn`, one after the other, and closes it. */
export async function handleConn(conn: Deno.TcpConn) {
  const input = lines(conn);
  const out = new LineWriter(conn);
  for await (const line of input) {
    if (out.failed) break; // e.g., the client disconnected
    await echo(out, line, 1000);
  }
  conn.close();
}

/** Writes `shout` loudly, as it is, and quietly, `delay` milliseconds apart. */
export async function echo(out: LineWriter, shout: string, delay: number) {
  await out.write(`\t ${shout.toUpperCase()}\n`);
  await sleep(delay);
  await out.write(`\t ${shout}\n`);
  await sleep(delay);
  await out.write(`\t ${shout.toLowerCase()}\n`);
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

/** The longest line in characters, with its "\n". (Go's limit is in bytes.) */
const MAX_LINE = 64 * 1024;

/** Go's `bufio.Scanner`: the lines of `conn`, until one is too long. */
export function lines(conn: Deno.Conn): AsyncIterableIterator<string> {
  const stream: ReadableStream<string> = ReadableStream.from(wholeLines(conn))
    .pipeThrough(new TextLineStream());
  const input = stream.values();
  // No `return` method: after a `break`, you may go on with the same iterator.
  return {
    next: () => input.next(),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/**
 * Reads `conn`, and yields text of whole lines, or "". (`TextLineStream` alone
 * would keep a line that has no end, until memory is full.)
 */
async function* wholeLines(conn: Deno.Conn) {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // keep a BOM
  const buffer = new Uint8Array(4096);
  let text = ""; // the beginning of a line whose end has not come yet
  while (text.length < MAX_LINE) {
    const space = buffer.subarray(0, MAX_LINE - text.length);
    // `conn.readable` would close `conn` as soon as the client half-closes it.
    const n = await conn.read(space).catch(() => null); // null is the end
    if (n === null) {
      text += decoder.decode();
      if (text !== "") yield `${text}\n`; // the last line may lack its end
      return;
    }
    text += decoder.decode(buffer.subarray(0, n), { stream: true });
    const end = text.lastIndexOf("\n") + 1;
    yield text.slice(0, end);
    text = text.slice(end);
  }
}

/** Writes lines to a client, and remembers whether a write has failed. */
export class LineWriter {
  failed = false;
  #conn: Deno.TcpConn;

  constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
    try {
      conn.setNoDelay(); // what is written is sent immediately, as in Go
      conn.setKeepAlive(); // notices, hours later, that a client has vanished
    } catch {
      // The client has left already.
    }
  }

  /** Returns when `line` is written, or when that has failed. */
  async write(line: string) {
    if (!await writeAll(this.#conn, line)) this.failed = true;
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
