// reverb2: a TCP server that echoes each line three times, ever more quietly, and
// lets the echoes overlap. The Go program: gopl.io/ch8/reverb2, page 224.
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
  const out = new LineWriter(conn);
  const echoes = new Echoes();
  for await (const line of lines(conn)) {
    await echoes.room(); // a client that is too fast, or does not read, waits
    if (out.failed) break; // e.g., the client disconnected
    echoes.add(echo(out, line, 1000), line.length); // Go's `go echo(…)`
  }
  await echoes.wait(); // the book's reverb2 closes at once: see exercise 8.4
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

/** Characters of the longest line, with its "\n". (Go's limit is in bytes.) */
const MAX_LINE = 64 * 1024;

/**
 * Go's `bufio.Scanner`: the lines of `conn`, until its input ends, a line is too
 * long, or a read fails (e.g., the client disconnected).
 */
export function lines(conn: Deno.Conn): ReadableStream<string> {
  return ReadableStream.from(wholeLines(conn))
    .pipeThrough(new TextLineStream());
}

/**
 * Yields text of whole lines, and keeps a line that has only begun, of fewer than
 * `MAX_LINE` characters, until the rest of it has come.
 */
async function* wholeLines(conn: Deno.Conn) {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // keep a BOM
  const buffer = new Uint8Array(4096);
  let text = "";
  while (text.length < MAX_LINE) {
    const free = buffer.subarray(0, MAX_LINE - text.length);
    // Not from `conn.readable`, which closes `conn` when the client's input ends.
    const n = await conn.read(free).catch(() => null);
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

/** Writes a client's lines, one write at a time, so that each line stays whole. */
export class LineWriter {
  failed = false; // whether a write has failed, e.g., since the client left

  #conn: Deno.TcpConn;
  #waiting = ""; // lines for the next write
  #lastWrite = Promise.resolve();

  constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
    try {
      conn.setNoDelay(); // what is written leaves at once, as in Go
      conn.setKeepAlive(); // a client that is silent for hours is asked to answer
    } catch {
      // The client has left already.
    }
  }

  /** Resolves when `line` is written, or when that has failed. */
  write(line: string): Promise<void> {
    this.#waiting += line;
    this.#lastWrite = this.#lastWrite.then(() => {
      // Perhaps the write before has taken this line with others.
      if (this.#waiting !== "") return this.#writeWaiting();
    });
    return this.#lastWrite;
  }

  async #writeWaiting() {
    const lines = this.#waiting;
    this.#waiting = "";
    const written = await writeAll(this.#conn, lines);
    if (!written) this.failed = true;
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

/** Bytes that all echoes leave of 300 MB; below 0 if many clients have 1 MB. */
let memoryLeft = 300_000_000;

/** The echoes of a client that are under way. */
export class Echoes {
  #memory = 0; // bytes, and 0 when all have ended
  #oneEnded = Promise.withResolvers<void>();

  /** Counts an echo that has begun, of a line of `length`, until it ends. */
  add(echo: Promise<void>, length: number) {
    const memory = 2000 + 4 * length; // bytes: a line and a voice, in UTF-16
    this.#memory += memory;
    memoryLeft -= memory;
    echo.then(() => {
      this.#memory -= memory;
      memoryLeft += memory;
      this.#oneEnded.resolve();
      this.#oneEnded = Promise.withResolvers();
    });
  }

  /** Waits until all have ended, as Go's `sync.WaitGroup` does. */
  wait() {
    return this.#atMost(() => 0);
  }

  /** Waits while they take over 1 MB and more than is left: half is for others. */
  room() {
    return this.#atMost(() => Math.max(memoryLeft, 1_000_000));
  }

  async #atMost(limit: () => number) {
    while (this.#memory > limit()) await this.#oneEnded.promise;
  }
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
