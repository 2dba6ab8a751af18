// What all scripts, and all servers, do in the same way.

import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1";
import { assertRejects } from "jsr:@std/assert@1";
import { Client, freePort } from "./client.ts";
import { read } from "./files.ts";
import { type Program, run, Server } from "./process.ts";
import { LINUX, PROGRAM, READING, test } from "./testing.ts";
import { eventually, times } from "./time.ts";

/** Tests that an address that `script` cannot open as `open` does is one line. */
export function addressTest(
  script: string,
  open: (address: { hostname: string; port: number }) => unknown,
) {
  test(`${script}: a bad address is one line`, PROGRAM, async () => {
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const bad: [string, number][] = [
      ["127.0.0.1", open === Deno.connect ? 1 : taken.addr.port],
      ["nosuchhost.invalid", 8000],
      ["localhost", 99_999],
      ["localhost", NaN],
    ];
    await Promise.all(bad.map(async ([hostname, port]) => {
      const opening = async () => await open({ hostname, port });
      const { message } = await assertRejects(opening, Error);
      const stderr = `${hostname} port ${port}: ${message}\n`;
      const seen = await run(script, { args: [hostname, port] });
      assertEquals(seen, { code: 1, stdout: "", stderr });
    }));
    const seen = await run(script, { permissions: ["--no-prompt"] });
    const stderr = "localhost port 8000: Requires net access to " +
      '"localhost:8000", run again with the --allow-net flag\n';
    assertEquals(seen, { code: 1, stdout: "", stderr });
  });
}

/** Hosts to try: those of both families, as far as this machine has them. */
export function hosts(): string[] {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return ["127.0.0.1", "::1"];
  } catch (error) {
    console.log(`left out: ::1, ${error}`);
    return ["127.0.0.1"];
  }
}

/** The text of `script` with a mistake before `line` of its function `name`. */
export async function withMistake(script: string, name: string, line: string) {
  const text = await read(script);
  const head = text.search(new RegExp(`function\\*? ${name}\\(`));
  const at = text.indexOf(line, head);
  assert(head > 0 && at > head, `${name}: no ${line}`);
  return `${text.slice(0, at)}oops();\n${text.slice(at)}`;
}

/** Checks that `program` ends by that mistake, and shows its stack. */
export async function assertMistakeShown(program: Program, name: string) {
  const { code, stderr } = await program.over();
  const stack = `ReferenceError: oops is not defined[^]*at (async )?${name} `;
  assertMatch(stderr, new RegExp(stack));
  assertEquals(code, 1);
}

/** More clients than the 511 that may wait unless a server asks for more. */
const WAITING = 600;

/** Tests a server. `mistakes` has a line for functions, see `withMistake`. */
export function serverTests(script: string, mistakes: Record<string, string>) {
  addressTest(script, Deno.listen);

  test(`${script} listens where it is told to`, PROGRAM, async () => {
    for (const hostname of hosts()) {
      const args = [hostname, 0];
      await using server = await Server.start(script, { args });
      const { port, greeting } = server;
      assertEquals(greeting, `listening on ${hostname} port ${port}`);
      (await Deno.connect({ hostname, port })).close();
      assertEquals(server.log, "");
    }
    const port = freePort();
    await using server = await Server.start(script, { args: [port] });
    assertEquals(server.greeting, `listening on localhost port ${port}`);
    (await Deno.connect({ port })).close();
  });

  const spots = { connections: "return yield", ...mistakes };
  for (const [name, line] of Object.entries(spots)) {
    test(`${script} shows a mistake in ${name}`, READING, async () => {
      const source = await withMistake(script, name, line);
      const server = await Server.start(script, { source });
      const client = await server.connect().catch(() => undefined);
      await client?.send("Hello\n").catch(() => {});
      await assertMistakeShown(server, name);
      client?.conn.close();
    }, 10);
  }

  test(`${script} lets ${WAITING} clients wait`, LINUX, async () => {
    await using server = await Server.start(script);
    server.process.kill("SIGSTOP");
    const clients: Client[] = [];
    const connect = async () => clients.push(await server.connect());
    times(WAITING, WAITING, connect);
    await eventually(() => clients.length === WAITING);
    for (const client of clients) client.conn.close();
  }, 10);
}
