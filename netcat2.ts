// netcat2: a TCP client that sends what it reads from stdin, and at the same
// time prints what the server sends. The Go program: gopl.io/ch8/netcat2, page
// 223 of the book.
//
//   terminal 1                           terminal 2
//   $ deno run --allow-net reverb1.ts    $ deno run --allow-net netcat2.ts
//   listening on localhost port 8000     Hello?
//                                                 HELLO?
//                                                 Hello?
//                                                 hello?
//                                        ^D
// It ends with its input, though answers may be on their way.
// To connect elsewhere: deno run --allow-net netcat2.ts [[host] port]

const [port = "8000", hostname = "localhost"] = Deno.args.toReversed();

async function main() {
  const conn = await Deno.connect({ hostname, port: Number(port) })
    .catch((error) => fatal(`${hostname} port ${port}: ${error.message}`));
  mustCopy(Deno.stdout, conn); // not awaited: Go's `go mustCopy(…)`
  await mustCopy(conn, Deno.stdin);
  Deno.exit(); // Go's main, too, ends the other goroutine when it returns
}

/** Copies `src` to `dst` until `src` ends. A failed read or write is fatal. */
export async function mustCopy(dst: Writer, src: Reader) {
  const buffer = new Uint8Array(1024 * 1024); // few reads, large ones
  try {
    while (true) {
      const n = await src.read(buffer);
      if (n === null) return;
      for (let done = 0; done < n;) {
        done += await dst.write(buffer.subarray(done, n));
      }
    }
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    if (!code) throw error; // a mistake in this file: the system's have a code
    if (code === "EPIPE" && dst === Deno.stdout) Deno.exit(); // e.g., `| head`
    fatal(message);
  }
}

type Writer = Pick<Deno.Conn, "write">; // Go's io.Writer
type Reader = Pick<Deno.Conn, "read">; // Go's io.Reader

/** Go's `log.Fatal`: prints `message`, and ends the program with status 1. */
function fatal(message: string): never {
  console.error(message);
  Deno.exit(1);
}

if (import.meta.main) await main();
