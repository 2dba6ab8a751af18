// What the attacks on servers share.

import { assertEquals, assertMatch } from "jsr:@std/assert@1";
import { tcpSockets } from "./kernel.ts";
import { type Options, Server } from "./process.ts";
import { TICK, TIME } from "./text.ts";
import { eventually } from "./time.ts";

export const MIB = 1024 * 1024;

/** Runs a test on several servers at once: most of them wait most of the time. */
export async function onEach(
  scripts: string[],
  fn: (server: Server, script: string) => Promise<void>,
  options: Options = {},
) {
  await Promise.all(scripts.map(async (script) => {
    await using server = await Server.start(script, options);
    await fn(server, script);
  }));
}

/** Checks that a server serves the next client as if nothing had happened. */
export async function servesNext(server: Server, script: string) {
  using client = await server.connect();
  if (script.startsWith("clock")) {
    assertMatch(await client.receive(TICK), TIME);
  } else {
    await client.send("Hello\n");
    assertEquals(await client.receive(8), "\t HELLO\n");
  }
}

/** Waits until a server has no socket open but its listener's. */
export const closesAll = (server: Server) =>
  eventually(async () => await tcpSockets(server.pid) === 1);
