// What all four servers do: listen, accept, and say what goes wrong.

import { assert, assertEquals } from "jsr:@std/assert@1";
import { connections } from "../clock2.ts";
import { memoryConn } from "./support/memory_conn.ts";
import { type Change, Program, Server, SERVERS } from "./support/program.ts";
import { programTest, serverTest, test } from "./support/declare.ts";
import { all, delay, stopwatch, within } from "./support/wait.ts";

for (const script of SERVERS) {
  for (const hostname of ["127.0.0.1", "::1", "localhost"]) {
    programTest(`${script} listens on ${hostname}`, async () => {
      await using program = new Program(script, [hostname, 0]);
      await program.stderr.shows("\n");
      const said = program.stderr.text;
      const [, port] = said.match(/ port (\d+)\n$/)!;
      assertEquals(said, `listening on ${hostname} port ${port}\n`);
      (await Deno.connect({ hostname, port: Number(port) })).close();
    }, { hostname });
  }

  serverTest(script, "lets 700 clients wait", async (server) => {
    server.program.process.kill("SIGSTOP");
    const coming = all(700, server.connect);
    for (const client of await within(10, coming, () => "less than 700")) {
      client.conn.close();
    }
    server.program.process.kill("SIGCONT");
  }, { linux: true, backlog: 700 });

  // At first the timer closes the connection, then handleConn, then the timer.
  const head = "(conn: Deno.TcpConn) {";
  const close = "setTimeout(() => conn.close(), ";
  serverTest(script, "bears a second close, and a third", async (server) => {
    using client = await server.connect();
    await client.send("Hello\n");
    await client.receive(8);
    await delay(600);
    client.conn.close();
    await delay(2400);
  }, { change: [head, `${head} ${close} 300); ${close} 2500);`] });
}

/** Mistakes, and what is said of them. The last two are errors with a `code`. */
const MISTAKES = [
  ["oops();", "ReferenceError: oops is not defined"],
  ['await Deno.readTextFile("none.txt");', "NotFound: "],
  ["await Deno.connect({ port: 1 });", "ConnectionRefused: "],
];

for (const script of SERVERS) {
  // In the loop of handleConn, amid other clients.
  const [loop, guard] = script.startsWith("clock")
    ? ["await sleep(1000);", ""]
    : ["if (out.failed)", 'if (line === "oops") '];
  programTest(`${script} shows mistakes, with their stacks`, async () => {
    const flags = ["--allow-net", "--allow-read"];
    await Promise.all(MISTAKES.map(async ([mistake, said]) => {
      const change: Change = [loop, `${guard}${mistake}\n${loop}`];
      await using server = await Server.start(script, { change, flags });
      using client = await server.connect();
      await client.send("Hello\n");
      await client.receive(1).catch(() => {}); // the first echo is under way
      await client.send("oops\n").catch(() => {});
      await server.crashes(RegExp(`${said}[^]*at (async )?handleConn `));
    }));
  });
}

const LATER = { connections: "yield conn;", listen: "return listener;" };
for (const [where, line] of Object.entries(LATER)) {
  programTest(`a mistake in ${where} is shown, with its stack`, async () => {
    const change: Change = [line, `oops(); ${line}`];
    await using server = await Server.start("clock2.ts", { change });
    using _ = await server.connect().catch(() => null);
    await server.crashes(RegExp(`oops is not defined[^]* at .*${where} `));
  });
}

/** Takes what `connections` makes of accepts that give or throw these. */
async function accepted(accepts: (Deno.Conn | Error)[]) {
  const listener = {
    async accept() {
      const next = accepts.shift() ?? new Deno.errors.BadResource("closed");
      if (next instanceof Error) throw next;
      return await Promise.resolve(next);
    },
  } as unknown as Deno.TcpListener;
  const said: string[] = [];
  const { error } = console;
  console.error = (line) => said.push(line);
  try {
    return { conns: await Array.fromAsync(connections(listener)), said };
  } finally {
    console.error = error;
  }
}

const failed = (message: string, code?: string) =>
  Object.assign(new Error(message), { code });

test("clients that left before they are accepted cost nothing", async () => {
  const codes = ["ENOTCONN", "EINVAL", "ECONNRESET", "ECONNABORTED"];
  const left = codes.flatMap((code) => Array(20).fill(failed("left", code)));
  const conn = memoryConn();
  assertEquals(await accepted([...left, conn]), { conns: [conn], said: [] });
});

test("an accept that fails otherwise is a line, and waits", async () => {
  const [first, second] = [memoryConn(), memoryConn()];
  const full = failed("Too many open files", "EMFILE");
  const took = await stopwatch(async () => {
    const seen = await accepted([full, first, failed("odd"), second]);
    assertEquals(seen.conns, [first, second]);
    assertEquals(seen.said, ["accept: Too many open files", "accept: odd"]);
  });
  assert(took > 0.19, `${took} s`);
});
