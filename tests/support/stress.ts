// What attacks share. (A shell reads /proc: Deno would ask for all permissions.)

import { assertMatch } from "jsr:@std/assert@1";
import { Server } from "./process.ts";
import { textOf, TICK, TIME } from "./text.ts";
import { eventually } from "./time.ts";

const sh = async (script: string, pid: number) => {
  const args = ["-c", script, "sh", String(pid)];
  const { stdout } = await new Deno.Command("sh", { args }).output();
  return textOf(stdout).split("\n").map(Number);
};

/** Megabytes of memory that a process has in use, and has had at the most. */
export async function memoryOf(pid: number) {
  const script = "awk '/VmHWM|VmRSS/ { print $2 * 1024e-6 }' /proc/$1/status";
  const [peak, now] = await sh(script, pid);
  return { peak, now };
}

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
  eventually(async () => (await sh(SOCKETS, pid))[0] === 1);

// Sockets that were reset are in no list of the kernel's; Deno has Unix sockets.
const SOCKETS = `ls -l /proc/$1/fd | sed -n 's/.*socket:\\[\\(.*\\)]/\\1/p' |
  awk 'NR == FNR { unix[$7] } NR > FNR && !($1 in unix)' /proc/net/unix - | wc -l`;
