// netcat1: a TCP client that prints what a server sends, until the connection
// ends. The Go program: gopl.io/ch8/netcat1, page 221.
//
//   terminal 1                           terminal 2
//   $ deno run --allow-net clock1.ts     $ deno run --allow-net netcat1.ts
//   listening on 127.0.0.1 port 8000     13:58:54
//                                        13:58:55
//                                        ^C
// To connect elsewhere: deno run --allow-net netcat1.ts [[host] port]

const port = Deno.args.at(-1) ?? "8000";
const hostname = Deno.args.at(-2) ?? "127.0.0.1";

async function main() {
  const conn = await Deno.connect({ hostname, port: Number(port) })
    .catch((error) => fatal(`${hostname} port ${port}: ${error.message}`));
  await mustCopy(Deno.stdout, conn);
}

/** Go's `io.Copy`, and its `log.Fatal` where a read or a write fails. */
export async function mustCopy(dst: Writer, src: Reader) {
  const buffer = new Uint8Array(1024 * 1024); // large: few reads are needed
  while (true) {
    const n = await src.read(buffer).catch((error) => fatal(error.message));
    if (n === null) return; // the end of the input: Go's io.EOF
    let rest = buffer.subarray(0, n); // one write may write only a part of it
    try {
      while (rest.length > 0) rest = rest.subarray(await dst.write(rest));
    } catch (error) {
      // Whoever read our output has ended, as `head -1` does: no failure.
      if (dst === Deno.stdout && error instanceof Deno.errors.BrokenPipe) {
        Deno.exit();
      }
      fatal((error as Error).message);
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
