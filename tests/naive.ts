// reverb2 as one would write it first. Each of the clients in clients.ts ends it.
//
//   deno run --allow-net --v8-flags=--max-old-space-size=256 tests/naive.ts [port]

import { TextLineStream } from "jsr:@std/streams@1/text-line-stream";

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const encoder = new TextEncoder();

async function handleConn(conn: Deno.Conn) {
  const lines: ReadableStream<string> = conn.readable
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream());
  for await (const line of lines) {
    echo(conn, line, 1000); // not awaited
  }
}

async function echo(conn: Deno.Conn, shout: string, delay: number) {
  await conn.write(encoder.encode(`\t ${shout.toUpperCase()}\n`));
  await sleep(delay);
  await conn.write(encoder.encode(`\t ${shout}\n`));
  await sleep(delay);
  await conn.write(encoder.encode(`\t ${shout.toLowerCase()}\n`));
}

const port = Number(Deno.args[0] ?? 8000);
const listener = Deno.listen({ hostname: "127.0.0.1", port });
console.error(`listening on 127.0.0.1 port ${listener.addr.port}`);
for await (const conn of listener) {
  handleConn(conn); // not awaited
}
