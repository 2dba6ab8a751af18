// netcat1: a TCP client that prints what a server sends, until the server
// closes the connection. The Go program: gopl.io/ch8/netcat1, page 221 of the
// book.
//
//   terminal 1                           terminal 2
//   $ deno run --allow-net clock1.ts     $ deno run --allow-net netcat1.ts
//   listening on localhost port 8000     13:58:54
//                                        13:58:55
//                                        ^C
// To connect elsewhere: deno run --allow-net netcat1.ts [[host] port]
// (It needs Deno 2.8 or later. `--allow-net` permits it to use the network.)

// The port is the last argument. The host, which may be left out, is before it.
const [port = "8000", hostname = "localhost"] = Deno.args.toReversed();

async function main() {
  // `using` closes the connection when main returns: Go's `defer conn.Close()`.
  using conn = await Deno.connect({ hostname, port: Number(port) })
    .catch((error) => fatal(`${hostname} port ${port}: ${error.message}`));
  await mustCopy(Deno.stdout, conn);
}

/**
 * Copies `src` to `dst` until `src` ends. If a read or a write fails, prints
 * why and ends the program (without a word if nobody reads stdout any more).
 * Throws nothing unless there is a mistake in this file.
 */
export async function mustCopy(dst: Writer, src: Reader) {
  const buffer = new Uint8Array(1024 * 1024); // large: few reads are needed
  try {
    while (true) {
      const n = await src.read(buffer);
      if (n === null) return; // the end of the input: Go's io.EOF
      // One write may take only a part of what was read.
      for (let done = 0; done < n;) {
        done += await dst.write(buffer.subarray(done, n));
      }
    }
  } catch (error) {
    throwIfMistake(error);
    const { code, message } = error as Error & { code: string };
    // "EPIPE": the program that read our output has ended, as `head -1` does
    // after a line. That is no failure, so this program ends without a message.
    if (code === "EPIPE" && dst === Deno.stdout) Deno.exit();
    fatal(message);
  }
}

type Writer = Pick<Deno.Conn, "write">; // Go's io.Writer
type Reader = Pick<Deno.Conn, "read">; // Go's io.Reader

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

/** Go's `log.Fatal`: prints `message`, and ends the program with status 1. */
function fatal(message: string): never {
  console.error(message);
  Deno.exit(1);
}

if (import.meta.main) await main(); // not when a test imports this file
