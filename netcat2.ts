// netcat2: a TCP client that sends its input, and prints what the server sends.
// The Go program: gopl.io/ch8/netcat2 (page 223, licence CC BY-NC-SA 4.0).
//
//   terminal 1                           terminal 2
//   $ deno run --allow-net reverb1.ts    $ deno run --allow-net netcat2.ts
//   listening on 127.0.0.1 port 8000     Hello?
//                                                 HELLO?
//                                                 Hello?
//                                                 hello?
//                                        ^D (on Windows ^Z and Enter)
// It ends when its input ends, even if answers are still to come. When the
// server closes the connection, it goes on until it cannot send any more.
// To connect elsewhere: deno run --allow-net netcat2.ts [[host] port]

const port = Deno.args.at(-1) ?? "8000";
const hostname = Deno.args.at(-2) ?? "127.0.0.1";

async function main() {
  const conn = await Deno.connect({ hostname, port: Number(port) })
    .catch((error) => fatal(`${hostname} port ${port}: ${error.message}`));
  mustCopy(Deno.stdout, conn); // not awaited: Go's `go mustCopy(…)`
  await mustCopy(conn, Deno.stdin);
  Deno.exit(); // Go ends when main returns; Deno would wait for the copy above
}

/** Go's `io.Copy`, and `log.Fatal` where a read or a write fails. */
export async function mustCopy(dst: Writer, src: Reader) {
  const buffer = new Uint8Array(1024 * 1024); // large: few reads are needed
  while (true) {
    const n = await src.read(buffer).catch((error) => fatal(error.message));
    if (n === null) return; // the end of the input: Go's io.EOF
    let rest = buffer.subarray(0, n);
    while (rest.length > 0) { // one write may write only a part of it
      const written = await dst.write(rest).catch((error) => {
        // E.g., `| head -1` ends when it has read a line. That is no failure.
        if (dst === Deno.stdout && error instanceof Deno.errors.BrokenPipe) {
          Deno.exit();
        }
        fatal(error.message);
      });
      rest = rest.subarray(written);
    }
  }
}

type Writer = Pick<Deno.Conn, "write">; // Go's io.Writer
type Reader = Pick<Deno.Conn, "read">; // Go's io.Reader

/** Go's `log.Fatal`: prints `message`, and ends the program with status 1. */
function fatal(message: string): never {
  console.error(message);
  Deno.exit(1);
}

if (import.meta.main) await main(); // not when a test imports this file
