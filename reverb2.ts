// reverb2: a TCP server that echoes each line three times, ever more quietly,
// and lets the echoes overlap. The Go program: gopl.io/ch8/reverb2, page 224.
//
//   terminal 1                           terminal 2
//   $ deno run --allow-net reverb2.ts    $ deno run --allow-net netcat2.ts
//   listening on localhost port 8000     Hello?
//                                                 HELLO?
//                                        Yooo-hooo!
//                                                 YOOO-HOOO!
//                                                 Hello?
//                                                 Yooo-hooo!
//                                                 hello?
//                                                 yooo-hooo!
//                                        ^D
// To listen elsewhere: deno run --allow-net reverb2.ts [[host] port]
// (It needs Deno 2.8 or later. `--allow-net` permits it to use the network.)

// From Deno's standard library. Deno downloads it when it is first needed.
import { TextLineStream } from "jsr:@std/streams@1/text-line-stream";

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
 * Echoes the lines from `conn`, each as soon as `waitForRoom` lets it, and
 * closes `conn` when the last echo has ended. (The book's reverb2 closes it as
 * soon as the input ends, and the last echoes are lost. Exercise 8.4 mends that
 * with a WaitGroup, as here.) Throws nothing unless there is a mistake in this
 * file.
 */
export async function handleConn(conn: Deno.TcpConn) {
  const out = new LineWriter(conn);
  const echoes = new WaitGroup();
  try {
    // As Go does. Otherwise the operating system may hold a short line back,
    // until the client's system has confirmed that the one before has come.
    conn.setNoDelay();
    // A client whose machine has crashed never says that it has left. So the
    // operating system asks one that has been silent for two hours (Linux's
    // default) whether it is still there. If no answer comes, reading throws.
    // With Go, it asks after 15 seconds, a time that Deno has no way to set.
    conn.setKeepAlive();
    for await (const line of lines(conn)) {
      await waitForRoom(out, echoes);
      echoes.go(echo(out, line, 1000), line); // Go's `go echo(…)`
    }
  } catch (error) {
    throwIfMistake(error); // otherwise, e.g., the client disconnected
  }
  await echoes.wait();
  await out.written;
  conn.close();
}

/**
 * Writes `shout` three times, as the three voices of an echo: first loudly,
 * then as it is, then quietly, with `delay` milliseconds between one voice and
 * the next.
 */
export async function echo(out: LineWriter, shout: string, delay: number) {
  out.write(`\t ${shout.toUpperCase()}\n`);
  await sleep(delay);
  out.write(`\t ${shout}\n`);
  await sleep(delay);
  out.write(`\t ${shout.toLowerCase()}\n`);
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

/** Bytes of the longest line with its "\n": Go's bufio.MaxScanTokenSize. */
const MAX_LINE_BYTES = 64 * 1024;

/**
 * The most bytes that one read may bring. All lines of a read wait in memory
 * until they are echoed: 16 KiB may be 16,384 empty lines, and each of these
 * takes far more memory than its one byte.
 */
const MAX_READ_BYTES = 16 * 1024;

// `ignoreBOM` means: a byte order mark is a character like any other. Without
// it, the decoder would take one away from the beginning of a text.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Go's `bufio.Scanner`: yields the lines that come from `conn`, without their
 * ends ("\n" or "\r\n"), until the input ends or a line is longer than
 * `MAX_LINE_BYTES`. Throws what `conn.read` throws.
 */
export function lines(conn: Deno.Conn) {
  // `wholeLines` yields text of one or more whole lines. `TextLineStream`
  // splits it into single lines, and takes away their ends. (`<string>` is for
  // the type checker. In the module that is imported above, it can see for
  // itself that the lines are strings. But where a `deno.json` says that the
  // module comes from npm, as it does in this collection, it cannot.)
  return ReadableStream.from(wholeLines(conn))
    .pipeThrough<string>(new TextLineStream());
}

/**
 * Yields text that ends where a line ends, and keeps the beginning of the next
 * line until the rest of it has come. So a line that is too long is noticed
 * before it fills the memory, and no character is cut in two. (`conn.readable`,
 * Deno's stream of what comes in, cannot be used here: it closes the whole
 * connection when the input ends. But a client may end its input and go on
 * reading, to hear its last echoes.)
 */
async function* wholeLines(conn: Deno.Conn) {
  let buffer = new Uint8Array();
  let held = 0; // bytes of the buffer that are not yielded yet
  while (held < MAX_LINE_BYTES) {
    if (held === buffer.length) buffer = enlarge(buffer);
    // Read at most `MAX_READ_BYTES`, and hold no more than a line may have. (If
    // the buffer ends before `end`, so does the part that `subarray` gives.)
    const end = Math.min(held + MAX_READ_BYTES, MAX_LINE_BYTES);
    const n = await conn.read(buffer.subarray(held, end));
    if (n === null) {
      // The input has ended. What is held is the last line. It gets an end,
      // because `TextLineStream` takes a "\r" away only before a "\n". (Go's
      // Scanner takes it away from the last line, too.)
      if (held > 0) yield decoder.decode(buffer.subarray(0, held)) + "\n";
      return;
    }
    held += n;
    // How many bytes there are up to the last "\n", or 0 if there is none.
    const whole = buffer.lastIndexOf("\n".charCodeAt(0), held - 1) + 1;
    if (whole > 0) yield decoder.decode(buffer.subarray(0, whole));
    buffer.copyWithin(0, whole, held); // moves the others to the beginning
    held -= whole;
  }
  // The line is too long. No more is read, as with Go's Scanner.
}

/**
 * Returns an array that is twice as long, 4 KiB at least, and begins with the
 * bytes of `bytes`. An array cannot grow, but `transfer` moves what it holds to
 * a larger one. (`<ArrayBuffer>`: not every kind of buffer has `transfer`.)
 */
function enlarge(bytes: Uint8Array<ArrayBuffer>) {
  const length = Math.max(2 * bytes.length, 4096);
  return new Uint8Array(bytes.buffer.transfer(length));
}

/**
 * Clients that never stop sending lines would fill the memory with echoes, and
 * with voices that wait to be sent. So all connections share 200 MB, and this
 * is how many bytes of it are left. The process may grow to five times as much,
 * 1 GB, because V8, Deno's JavaScript engine, collects garbage only when there
 * is a lot of it.
 */
let roomLeft = 200_000_000;

const encoder = new TextEncoder();

/**
 * Writes the lines of all echoes of a connection, one write at a time:
 * `conn.write` sometimes writes only a part of a line, and then the rest of it
 * has to come before any other line. What cannot be written yet, because the
 * client does not read, waits in a buffer. So an echo never waits for its
 * client: even if the client never reads, the echo ends, and its memory is free
 * again. (It is `waitForRoom` that keeps the buffer small.)
 */
export class LineWriter {
  /**
   * Resolves when the newest flush is over, and with it all that came before:
   * all is written then, or the client has left.
   */
  written = Promise.resolve();

  /** How many bytes wait to be written, in the buffer or in a flush. */
  waiting = 0;

  /** What `conn.write` has thrown, if it has: the client has left. */
  error?: unknown;

  #buffer = new Uint8Array();
  #length = 0; // bytes of the lines in the buffer

  constructor(private conn: Deno.Conn) {}

  /** Adds `line` to what is to be written, and returns at once. */
  write(line: string) {
    // If the buffer holds lines, a flush is waiting for its turn already, and
    // will take this line with them. If it is empty, a flush is started here.
    // It waits first, too, so it will find this line, which is added below.
    if (this.#length === 0) this.written = this.#flush(this.written);
    // `line.length` counts UTF-16 units. In UTF-8, each of them takes three
    // bytes at most.
    while (this.#buffer.length < this.#length + 3 * line.length) {
      this.#buffer = enlarge(this.#buffer);
    }
    const free = this.#buffer.subarray(this.#length);
    const length = encoder.encodeInto(line, free).written; // in bytes
    this.#length += length;
    this.waiting += length;
    roomLeft -= length;
  }

  /**
   * Waits until `before`, the flush before this one, is over. Then takes all
   * that is in the buffer, and writes it.
   */
  async #flush(before: Promise<void>) {
    await before;
    // The voices of thousands of echoes that wake up in the same moment should
    // leave in one write. So wait until all of them have been resumed: only
    // then does the event loop call what `setImmediate` was given.
    await new Promise((resolve) => setImmediate(resolve));
    const bytes = this.#buffer.subarray(0, this.#length);
    this.#buffer = new Uint8Array();
    this.#length = 0;
    try {
      let rest = bytes; // one `conn.write` may write only a part of it
      while (rest.length > 0) rest = rest.subarray(await this.conn.write(rest));
    } catch (error) {
      throwIfMistake(error); // otherwise, e.g., the client disconnected
      this.error = error;
    }
    this.waiting -= bytes.length;
    roomLeft += bytes.length;
  }
}

/**
 * Bytes that an echo takes, as measured, without the text of its voices. `go`
 * counts that text, too, before any voice has to wait: an echo that has begun
 * cannot be held back, so there has to be room for its voices even if the
 * client stops reading. (A voice that does wait is also counted by
 * `LineWriter.write`, and so counts twice until its echo has ended.)
 */
const ECHO_BYTES = 1800;

/**
 * Go's `sync.WaitGroup`: knows when all echoes of a connection have ended, and
 * also how much memory they take until then.
 */
export class WaitGroup {
  /** Bytes of memory for the echoes under way: 0 if there is none. */
  memory = 0;

  #ended = () => {}; // wakes up `wait`, which puts its own function here

  /**
   * Counts `echo`, the promise of a call that is not awaited, until it ends.
   * `line` is what it echoes. (An echo throws nothing but a mistake in this
   * file, which nobody catches: that ends the program and is shown with its
   * stack.)
   */
  go(echo: Promise<void>, line: string) {
    const memory = ECHO_BYTES + 3 * encoder.encode(line).length; // three voices
    this.memory += memory;
    roomLeft -= memory;
    echo.then(() => {
      this.memory -= memory;
      roomLeft += memory;
      if (this.memory === 0) this.#ended();
    });
  }

  /** Resolves when all echoes have ended. */
  async wait() {
    if (this.memory === 0) return;
    await new Promise<void>((resolve) => this.#ended = resolve);
  }
}

/**
 * With more bytes than this still to write, no further line is taken. Then
 * nothing is read, either: the stream that the lines come from keeps those of a
 * read or two ready, and asks for more only when they have been taken.
 */
const MAX_WAITING_BYTES = 16 * 1024;

/**
 * Bytes that the echoes of a connection may take in any case. When very many
 * clients have taken the room, a new one would get hardly any otherwise. (By
 * this, `roomLeft` may fall below zero.)
 */
const MIN_ROOM_BYTES = 1_000_000;

/**
 * The wait before looking again whether there is room, in milliseconds. (The
 * echoes of any connection may make room, and they do not tell the others.)
 */
const ROOM_MS = 10;

/**
 * Resolves when a connection may take its next line: not while its client reads
 * too little of what is written, and not while its echoes take more than twice
 * the memory that is left for others. So one busy client may take two thirds of
 * the room, which is twice the third that is left. Two may take two fifths
 * each, which is twice the fifth that is left. However many come, by this rule
 * there is always some left for the next, and each may take `MIN_ROOM_BYTES` in
 * any case. (Network switches share their memory among their ports by such a
 * rule. It is known as dynamic thresholds: Choudhury and Hahne, 1998.) Throws
 * what `conn.write` has thrown, so that `handleConn` reads no more: the client
 * has left, and nobody would hear the echoes of what it had still sent.
 */
async function waitForRoom(out: LineWriter, echoes: WaitGroup) {
  while (out.waiting > MAX_WAITING_BYTES) await out.written;
  if (out.error) throw out.error;
  while (echoes.memory > Math.max(2 * roomLeft, MIN_ROOM_BYTES)) {
    await sleep(ROOM_MS);
  }
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
