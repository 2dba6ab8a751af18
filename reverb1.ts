// reverb1: a TCP server that echoes each line three times, ever more quietly,
// one line after the other. The Go program: gopl.io/ch8/reverb1, page 223.
//
//   terminal 1                           terminal 2
//   $ deno run --allow-net reverb1.ts    $ deno run --allow-net netcat2.ts
//   listening on localhost port 8000     Hello?
//                                                 HELLO?
//                                                 Hello?
//                                                 hello?
//                                        ^D
// To listen elsewhere: deno run --allow-net reverb1.ts [[host] port]

import { TextLineStream } from "jsr:@std/streams@1/text-line-stream";

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

/** Echoes the lines from `conn`, one after the other, then closes it. */
export async function handleConn(conn: Deno.TcpConn) {
  const out = new LineWriter(conn);
  try {
    conn.setNoDelay(); // as Go does: what is written is sent at once
    conn.setKeepAlive(); // as Go does: in hours, a vanished client is noticed
    for await (const line of lines(conn, out)) {
      await echo(out, line, 1000);
    }
  } catch (error) {
    throwIfMistake(error); // otherwise, e.g., the client disconnected
  } finally {
    conn.close();
  }
}

/** Writes `shout` loudly, as it is, and quietly, `delay` milliseconds apart. */
export async function echo(out: LineWriter, shout: string, delay: number) {
  await out.write(`\t ${shout.toUpperCase()}\n`);
  await sleep(delay);
  await out.write(`\t ${shout}\n`);
  await sleep(delay);
  await out.write(`\t ${shout.toLowerCase()}\n`);
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

/** Bytes of the longest line with its "\n": Go's bufio.MaxScanTokenSize. */
const MAX_LINE_BYTES = 64 * 1024;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // keeps it

/**
 * Go's `bufio.Scanner`: yields the lines that come from `conn`, without their
 * ends, until the input ends or a line is too long. Reads no more of them while
 * `out` is writing. Throws what `conn.read` and `conn.write` throw.
 */
export function lines(conn: Deno.Conn, out: LineWriter) {
  return ReadableStream.from(wholeLines(conn, out))
    .pipeThrough<string>(new TextLineStream());
}

/**
 * Yields text up to the last end of a line, and holds what comes after it: so
 * no line grows without limit, and no character is cut. (`conn.readable` would
 * close the connection at the end of the input, before the last echo.)
 */
async function* wholeLines(conn: Deno.Conn, out: LineWriter) {
  let buffer = new Uint8Array(4096); // grows, as Go's does
  let held = 0;
  while (held < MAX_LINE_BYTES) {
    if (held === buffer.length) {
      buffer = new Uint8Array(buffer.buffer.transfer(2 * held));
    }
    await out.written; // a client that does not read is not read from
    const n = await conn.read(buffer.subarray(held));
    if (n === null) {
      if (held > 0) yield decoder.decode(buffer.subarray(0, held)) + "\n";
      return;
    }
    held += n;
    const end = buffer.lastIndexOf("\n".charCodeAt(0), held - 1) + 1;
    if (end > 0) yield decoder.decode(buffer.subarray(0, end));
    buffer.copyWithin(0, end, held);
    held -= end;
  }
}

/**
 * Writes lines to a connection, one write at a time: `conn.write` may write
 * only a part, and no other line must come before the rest.
 */
export class LineWriter {
  /** Resolves when all is written. Rejects with what `conn.write` throws. */
  written = Promise.resolve();

  #text = "";

  constructor(private conn: Deno.Conn) {}

  /** Resolves when `line` is written. Throws what `conn.write` throws. */
  write(line: string): Promise<void> {
    if (this.#text === "") this.written = this.#flush(this.written);
    this.#text += line;
    return this.written;
  }

  async #flush(before: Promise<void>) {
    await before;
    // A turn of the event loop later, lines of one moment leave together.
    await new Promise((resolve) => setImmediate(resolve));
    let rest = new TextEncoder().encode(this.#text);
    this.#text = "";
    while (rest.length > 0) rest = rest.subarray(await this.conn.write(rest));
  }
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
