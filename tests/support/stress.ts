// What attacks share. (A shell reads /proc: Deno would ask for all permissions.)

import { assertMatch } from "jsr:@std/assert@1";
import { Server } from "./process.ts";
import { textOf } from "./text.ts";
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

type Attack = (server: Server) => Promise<void>;

/** Attacks several servers at once; then, all must be as it was before. */
export async function onEach(
  scripts: string[],
  attack: Attack,
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
  assertMatch(await client.receive(8), /^(\t HELLO\n|\d\d:\d\d:\d\d)$/);
}

/** Waits until a server has no TCP socket open but its listener's. */
export const closesAll = ({ pid }: Server) =>
  eventually(async () => (await sh(SOCKETS, pid))[0] === 1);

// Sockets that were reset are in no list of the kernel's; Deno has Unix sockets.
const SOCKETS = `ls -l /proc/$1/fd | sed -n 's/.*socket:\\[\\(.*\\)]/\\1/p' |
  awk 'NR == FNR { unix[$7] } NR > FNR && !($1 in unix)' /proc/net/unix - | wc -l`;
