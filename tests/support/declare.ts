// How a test is declared: each ends by itself, and says what it needs.

import { Options, Server } from "./program.ts";

const PERMISSIONS = ["run", "net", "read", "write", "env"] as const;

const permitted = PERMISSIONS.every((name) =>
  Deno.permissions.querySync({ name }).state === "granted"
);

/** What a test may need that not every machine has. */
interface Needs {
  linux?: boolean; // which tells what a process uses, and has a shell
  hostname?: string; // an address of this machine
  backlog?: number; // how many clients may wait to be accepted
  seconds?: number; // in which it must have ended
}

function canListen(hostname: string): boolean {
  try {
    Deno.listen({ hostname, port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}

/** How many clients Linux lets wait. (Deno itself may not read what is in /proc.) */
function longestBacklog(): number {
  const args = ["/proc/sys/net/core/somaxconn"];
  const { stdout } = new Deno.Command("cat", { args }).outputSync();
  return Number(new TextDecoder().decode(stdout));
}

/** What a test needs that is not there, if anything. */
function lacking({ linux, hostname, backlog }: Needs): string | undefined {
  if (!permitted) return "deno task test";
  if (linux && Deno.build.os !== "linux") return "Linux";
  if (hostname && !canListen(hostname)) return hostname;
  if (backlog && longestBacklog() < backlog) return `a backlog of ${backlog}`;
}

/** A test, which has failed if it takes too long. */
export function test(
  name: string,
  fn: () => void | Promise<void>,
  { seconds = 40, needs }: { seconds?: number; needs?: string } = {},
) {
  Deno.test({
    name: needs ? `${name} (needs ${needs})` : name,
    ignore: needs !== undefined,
    timeout: seconds * 1000,
    fn,
  });
}

/** A test that starts programs and talks to them. */
export function programTest(
  name: string,
  fn: () => Promise<void>,
  needs: Needs = {},
) {
  test(name, fn, { seconds: needs.seconds, needs: lacking(needs) });
}

/** A test of a running server, which must be running after it. */
export function serverTest(
  script: string,
  name: string,
  fn: (server: Server) => Promise<void>,
  { said, ...options }: Options & Needs & { said?: RegExp } = {},
) {
  programTest(`${script} ${name}`, async () => {
    await using server = await Server.start(script, options);
    await fn(server);
    await server.stop(said);
  }, options);
}
