// reverb2: a TCP server that echoes each line three times. The echoes overlap.
// The Go program: gopl.io/ch8/reverb2 (page 224, licence CC BY-NC-SA 4.0).
//
//   terminal 1                           terminal 2
//   $ deno run --allow-net reverb2.ts    $ deno run --allow-net netcat2.ts
//   listening on 127.0.0.1 port 8000     Hello?
//                                                 HELLO?
//                                                 Hello?
//                                        Yooo-hooo!
//                                                 YOOO-HOOO!
//                                                 hello?
//                                                 Yooo-hooo!
//                                                 yooo-hooo!
//                                        ^D
// To listen elsewhere: deno run --allow-net reverb2.ts [[host] port]

import { TextLineStream } from "jsr:@std/streams@1/text-line-stream";

const port = Deno.args.at(-1) ?? "8000";
const hostname = Deno.args.at(-2) ?? "127.0.0.1";

async function main() {
  for await (const conn of connections(listen())) {
    handleConn(conn); // not awaited: Go's `go handleConn(conn)`
  }
}

/** Echoes the lines of `conn`, and closes it when the last echo has ended. */
export async function handleConn(conn: Deno.TcpConn) {
  const input = lines(conn);
  const out = new LineWriter(conn);
  const echoes = new Echoes();
  for await (const line of input) {
    await echoes.room(); // a pause, if the client is too fast or does not read
    if (out.failed) break; // e.g., the client disconnected
    echoes.add(echo(out, line, 1000), line.length); // Go's `go echo(…)`
  }
  await echoes.wait(); // the book's reverb2 does not wait: see its exercise 8.4
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

/** Writes lines to a client, one write at a time: so each line stays whole. */
export class LineWriter {
  failed = false; // true once a write has failed
  #conn: Deno.TcpConn;
  #waiting = ""; // the lines that the next write will take
  #lastWrite = Promise.resolve();

  constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
    try {
      conn.setNoDelay(); // what is written is sent immediately, as in Go
      conn.setKeepAlive(); // notices, hours later, that a client has vanished
    } catch {
      // The client has left already.
    }
  }

  /** Resolves when `line` is written, or when that has failed. */
  write(line: string): Promise<void> {
    // The first waiting line queues a write, which takes all waiting lines.
    if (this.#waiting === "") {
      this.#lastWrite = this.#lastWrite.then(() => this.#writeWaiting());
    }
    this.#waiting += line;
    return this.#lastWrite;
  }

  async #writeWaiting() {
    const text = this.#waiting;
    this.#waiting = "";
    if (!await writeAll(this.#conn, text)) this.failed = true;
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

const ALL_MEMORY = 300_000_000; // bytes, roughly, for the echoes of all clients
const CLIENT_MEMORY = 1_000_000; // bytes that each client may always use
const ECHO_MEMORY = 2000; // bytes, roughly, per echo, plus 4 per character
let freeMemory = ALL_MEMORY; // below 0 when many clients use their own 1 MB

/** The echoes of one client that have not ended yet. */
export class Echoes {
  #memory = 0; // bytes that they use: 0 when all have ended
  #nextEnd = Promise.withResolvers<void>();

  /** Counts an echo, of a line of `length` characters, until it ends. */
  add(promise: Promise<void>, length: number) {
    const memory = ECHO_MEMORY + 4 * length;
    this.#memory += memory;
    freeMemory -= memory;
    promise.then(() => {
      this.#memory -= memory;
      freeMemory += memory;
      this.#nextEnd.resolve();
      this.#nextEnd = Promise.withResolvers();
    });
  }

  /** Waits until all have ended, as Go's `sync.WaitGroup` does. */
  async wait() {
    while (this.#memory > 0) await this.#nextEnd.promise;
  }

  /** Waits while they use more than 1 MB and also more than is still free. */
  async room() {
    while (this.#memory > Math.max(CLIENT_MEMORY, freeMemory)) {
      await this.#nextEnd.promise;
    }
  }
}

/** Sleeps that end in the same millisecond share a timer: that saves memory. */
const sleeps = new Map<number, Promise<void>>();

/** Go's `time.Sleep`, of `ms` (whole) milliseconds. It may end 1 ms early. */
export function sleep(ms: number): Promise<void> {
  const end = Math.floor(performance.now()) + ms;
  let slept = sleeps.get(end);
  if (slept) return slept;
  slept = new Promise((resolve) => setTimeout(resolve, ms));
  slept.then(() => sleeps.delete(end));
  sleeps.set(end, slept);
  return slept;
}

if (import.meta.main) await main(); // not when a test imports this file
