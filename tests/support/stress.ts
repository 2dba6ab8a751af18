// What attacks share.

import { assertMatch } from "jsr:@std/assert@1";
import { tcpSocketsOf } from "./linux.ts";
import { Server } from "./process.ts";
import { TICK, TIME } from "./text.ts";
import { eventually, stopwatch } from "./time.ts";

/** Attacks several servers at once; then, all must be as it was before. */
export async function onEach(
  scripts: string[],
  attack: (server: Server) => Promise<void>,
  shell?: string,
) {
  await Promise.all(scripts.map(async (script) => {
    await using server = await Server.start(script, { shell });
    await attack(server);
    await servesNext(server);
    await closesAll(server);
  }));
}

/** Checks that a server serves the next client as if nothing had happened. */
export async function servesNext(server: Server) {
  using client = await server.connect();
  await client.send("Hello\n"); // which a clock does not read
  const clock = server.script.startsWith("clock");
  const next = await client.receive(clock ? TICK : "\t HELLO\n".length);
  assertMatch(next, clock ? TIME : /^\t HELLO\n$/);
}

/** Waits until a server has no TCP socket open but its listener's. */
export const closesAll = ({ pid }: Server) =>
  eventually(async () => await tcpSocketsOf(pid) === 1);

/** Seconds until a client has all echoes of `count` lines that it sends at once. */
export const secondsFor = (server: Server, count: number) =>
  stopwatch(async () => {
    using client = await server.connect();
    const line = `${"x".repeat(15)}\n`;
    const sending = client.send(line.repeat(count));
    await client.skip(3 * count * ("\t ".length + line.length));
    await sending;
  });
