// Tests that start programs. Where that is not permitted, they are ignored.

import { Options, Server } from "./program.ts";

const PERMISSIONS = ["run", "net", "read", "write", "env"] as const;

/** What a test may need that not every machine has. */
interface Needs {
  /** Linux, which tells what a process uses, and has a shell. */
  linux?: boolean;
  /** An address that nobody listens on. */
  address?: { hostname: string; port: number };
  /** A command that is installed. */
  command?: string;
}

function canListen(address: { hostname: string; port: number }): boolean {
  try {
    Deno.listen(address).close();
    return true;
  } catch {
    return false;
  }
}

function isInstalled(command: string): boolean {
  const args = ["-c", `command -v ${command}`];
  return new Deno.Command("sh", { args }).outputSync().success;
}

/** A test that starts programs and talks to them. */
export function programTest(
  name: string,
  fn: () => Promise<void>,
  { linux, address, command }: Needs = {},
) {
  const permitted = PERMISSIONS.every((name) =>
    Deno.permissions.querySync({ name }).state === "granted"
  );
  const ignore = !permitted || (linux && Deno.build.os !== "linux") ||
    (address && !canListen(address)) ||
    (command !== undefined && !isInstalled(command));
  Deno.test({ name, ignore, fn });
}

/** A test of a running server, which must be running after it. */
export function serverTest(
  script: string,
  name: string,
  fn: (server: Server) => Promise<void>,
  { linux, said, ...options }: Options & { linux?: boolean; said?: RegExp } =
    {},
) {
  programTest(`${script} ${name}`, async () => {
    await using server = await Server.start(script, options);
    await fn(server);
    await server.stop(said);
  }, { linux });
}
