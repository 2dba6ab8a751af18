// reverb1: a TCP server that echoes each line three times, ever more quietly,
// one line after the other. The Go program: gopl.io/ch8/reverb1, page 223.
//
//   terminal 1                           terminal 2
//   $ deno run --allow-net reverb1.ts    $ deno run --allow-net netcat2.ts
//   listening on localhost port 8000     Hello?
//                                                 HELLO?
//                                        Yooo-hooo!
//                                                 Hello?
//                                                 hello?
//                                                 YOOO-HOOO!
//                                                 Yooo-hooo!
//                                                 yooo-hooo!
//                                        ^D
// To listen elsewhere: deno run --allow-net reverb1.ts [[host] port]
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
 * Echoes the lines from `conn`, one after the other, and closes `conn` when the
 * last echo has ended. Throws nothing unless there is a mistake in this file.
 */
export async function handleConn(conn: Deno.TcpConn) {
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
      await echo(conn, line, 1000);
    }
  } catch (error) {
    throwIfMistake(error); // otherwise, e.g., the client disconnected
  }
  conn.close();
}

/**
 * Writes `shout` three times, as the three voices of an echo: first loudly,
 * then as it is, then quietly, with `delay` milliseconds between one voice and
 * the next. Throws what `conn.write` throws.
 */
export async function echo(conn: Deno.Conn, shout: string, delay: number) {
  await writeAll(conn, `\t ${shout.toUpperCase()}\n`);
  await sleep(delay);
  await writeAll(conn, `\t ${shout}\n`);
  await sleep(delay);
  await writeAll(conn, `\t ${shout.toLowerCase()}\n`);
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
