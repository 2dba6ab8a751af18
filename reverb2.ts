// reverb2: a TCP server that echoes each line three times, ever more quietly, and
// lets the echoes overlap. The Go program: gopl.io/ch8/reverb2.
//
//   terminal 1                             terminal 2
//   $ deno run --allow-net reverb2.ts      $ deno run --allow-net netcat2.ts
//   listening on 127.0.0.1:8000            Hello?
//                                                   HELLO?
//                                          Yooo-hooo!
//                                                   YOOO-HOOO!
//                                                   Hello?
//                                                   Yooo-hooo!
//                                                   hello?
//                                                   yooo-hooo!
//                                          ^D
//
// It is reverb1 with echoes that are not awaited. To listen elsewhere, add an
// address: deno run --allow-net reverb2.ts localhost:9000

import { TextLineStream } from "jsr:@std/streams@1/text-line-stream";

const ADDRESS = Deno.args.length === 0 ? "localhost:8000" : Deno.args.join(" ");

/** Connections that may wait to be accepted, as many as Go asks Linux for. */
const LISTEN_BACKLOG = 4096;

/** Waits after a failed accept, in milliseconds: Go's net/http doubles 5 to 1,000. */
const MIN_BACKOFF_MS = 5;
const MAX_BACKOFF_MS = 1000;

/** Bytes of the longest line: Go's bufio.Scanner, too, stops at 64 KiB. */
const MAX_LINE_BYTES = 65_535;

/** Bytes that the first read of a connection may take: as many as in Go. */
const READ_BYTES = 4096;

/** Characters that fill a batch of lines: few, so that others soon have a turn. */
const BATCH_CHARS = 1024;

/**
 * What the echoes under way on a connection may weigh before no more lines are
 * read: room for 52,000 short lines at once, or 2,000 of the longest. Once that
 * was not enough, each connection has an eighth, since echoes that have ended are
 * garbage, and take up memory too. An echo weighs its line and its promises.
 */
const BURST_WEIGHT = 128 * 1024 * 1024;
const STEADY_WEIGHT = 16 * 1024 * 1024;
const ECHO_WEIGHT = 2560;

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

/** Echoes the lines that come from `conn`, all of them at once. */
export async function handleConn(conn: Deno.Conn) {
  const out = new LineWriter(conn);
  const echoes = new WaitGroup();
  try {
    for await (const line of lines(conn)) {
      echoes.add(echo(out, line, 1000), line.length); // Go's `go echo(…)`
      await echoes.room(); // holds back who sends faster than echoes fade,
      await out.ready; // and who does not read them
    }
    await echoes.wait();
  } catch (error) {
    logUnlessGone(error); // e.g., the client disconnected
  } finally {
    conn.close();
  }
}

/** Writes `shout` three times, ever more quietly, `delay` milliseconds apart. */
export async function echo(out: LineWriter, shout: string, delay: number) {
  await out.write(`\t ${shout.toUpperCase()}\n`);
  await sleep(delay);
  await out.write(`\t ${shout}\n`);
  await sleep(delay);
  await out.write(`\t ${shout.toLowerCase()}\n`);
}

/**
 * Go's `sync.WaitGroup` for echoes that nobody awaits. It keeps their weight and
 * the first error, but nothing of an echo that has ended.
 */
export class WaitGroup {
  static #limit = BURST_WEIGHT;
  #weight = 0;
  #error: unknown;
  #wake = () => {};

  /** Counts in an echo of a line of `length` characters until it has ended. */
  add(echo: Promise<void>, length: number) {
    const weight = ECHO_WEIGHT + length;
    this.#weight += weight;
    const done = (error?: unknown) => {
      this.#weight -= weight;
      this.#error ??= error;
      this.#wake();
    };
    echo.then(done, done);
  }

  /** Resolves when there is room for another echo. Throws what one has thrown. */
  async room() {
    if (this.#weight > WaitGroup.#limit) WaitGroup.#limit = STEADY_WEIGHT;
    await this.#atMost(WaitGroup.#limit);
  }

  /** Resolves when all echoes have ended. Throws what one has thrown. */
  async wait() {
    await this.#atMost(0);
  }

  async #atMost(limit: number) {
    while (this.#weight > limit) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    if (this.#error) throw this.#error;
  }
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

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Go's `bufio.Scanner`: yields the lines that come from `conn`, without their
 * ends. Ends with the input, or before a line of more than `MAX_LINE_BYTES`.
 * Throws what `read` throws.
 */
export function lines(conn: Pick<Deno.Conn, "read">): ReadableStream<string> {
  return ReadableStream.from(wholeLines(conn))
    .pipeThrough<string>(new TextLineStream());
}

/**
 * Yields text that ends where a line ends, and holds back what comes after: so a
 * line without an end is bounded, and no character is cut. `conn.readable` would
 * not do, since it closes the connection at the end of the input.
 */
async function* wholeLines(conn: Pick<Deno.Conn, "read">) {
  const longest = MAX_LINE_BYTES + "\r\n".length;
  let buffer = new Uint8Array(READ_BYTES);
  let held = 0;
  while (held < longest) {
    if (held === buffer.length) {
      const length = Math.min(2 * held, longest);
      buffer = new Uint8Array(buffer.buffer.transfer(length));
    }
    const n = await conn.read(buffer.subarray(held));
    if (n === null) {
      // The last line counts without an end, too.
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

const encoder = new TextEncoder();

/**
 * Writes lines to a connection, each of them whole, in the order in which they
 * come. `conn.write` may write a part, and what is left could land inside the
 * line of another echo. Lines of one moment, and those that come while a write
 * is under way, leave together in one write.
 */
export class LineWriter {
  /**
   * Resolves when no more waits to be written than a batch. Whoever waits for it
   * before the next line is held back by a client that does not read.
   */
  ready = Promise.resolve();

  #conn;
  #bytes = new Uint8Array();
  #batch?: { text: string };
  #written = Promise.resolve();

  constructor(conn: Pick<Deno.Conn, "write">) {
    this.#conn = conn;
  }

  /**
   * Resolves when `line` is written. Throws what `conn.write` throws, and so
   * does every later call.
   */
  write(line: string): Promise<void> {
    if (!this.#batch || this.#batch.text.length > BATCH_CHARS) {
      const batch = this.#batch = { text: "" };
      this.ready = this.#written;
      this.#written = this.#written.then(nextTurn).then(() => {
        if (this.#batch === batch) this.#batch = undefined; // it takes no more
        return writeAll(this.#conn, this.#encode(batch.text));
      });
    }
    this.#batch.text += line;
    return this.#written;
  }

  #encode(text: string): Uint8Array {
    // A character of a string takes at most three bytes.
    if (this.#bytes.length < 3 * text.length) {
      this.#bytes = new Uint8Array(3 * text.length);
    }
    const { written } = encoder.encodeInto(text, this.#bytes);
    return this.#bytes.subarray(0, written);
  }
}

let turn: Promise<void> | undefined;

/**
 * Resolves in the next turn of the event loop, when everything that is ready now
 * has run, and other connections have been looked after. (A promise resolves in
 * the same turn, `setTimeout` a millisecond or two later.)
 */
function nextTurn(): Promise<void> {
  return turn ??= new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      turn = undefined;
      port1.close();
      port2.close();
      resolve();
    };
    port2.postMessage(null);
  });
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
