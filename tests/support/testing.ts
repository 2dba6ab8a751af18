// A test says what it needs, gets that and no more, and does not hang.

/** What a test needs: permissions, and what not every machine has. */
type Needs = Deno.PermissionOptionsObject & {
  linux?: true; // its kernel tells what a process uses
  address?: { hostname: string; port: number }; // a server can listen there
};

/** What a test needs that reads files of this project. */
export const FILES: Needs = { read: true };

/** What a test needs that starts a program and talks to it, and more. */
export const PROGRAM: Needs = { run: true, net: true };
export const PROGRAM_AND_FILES: Needs = { ...PROGRAM, ...FILES };
export const LINUX: Needs = { ...PROGRAM, linux: true };
export const LINUX_AND_FILES: Needs = { ...LINUX, ...FILES };
export const IPV6: Needs = {
  ...PROGRAM,
  address: { hostname: "::1", port: 0 },
};
export const PORT_8000: Needs = {
  ...PROGRAM,
  address: { hostname: "localhost", port: 8000 },
};

/** Called when a test is over, whether it has passed or not. */
export const cleanups = new Set<() => void>();

/** What a test that hangs has seen until then. */
export const witnesses = new Set<() => string>();

/** What a test needs and does not have here, in words. */
function lacking({ linux, address, ...permissions }: Needs): string[] {
  const lacks = (Object.keys(permissions) as Deno.PermissionName[])
    .filter((name) => Deno.permissions.querySync({ name }).state !== "granted")
    .map((name) => `--allow-${name}`);
  if (linux && Deno.build.os !== "linux") lacks.push("Linux");
  if (address && lacks.length === 0) {
    try {
      Deno.listen(address).close();
    } catch (error) {
      const { hostname, port } = address;
      lacks.push(`${hostname} port ${port}: ${(error as Error).message}`);
    }
  }
  return lacks;
}

/** A test of at most `seconds`, or one left out that says what it lacks. */
export function test(
  name: string,
  needs: Needs,
  fn: () => void | Promise<void>,
  seconds = 20,
) {
  const lacks = lacking(needs);
  const { linux: _linux, address: _address, ...permissions } = needs;
  Deno.test({
    name: lacks.length === 0 ? name : `${name} (needs ${lacks.join(", ")})`,
    ignore: lacks.length > 0,
    permissions,
    async fn() {
      const { promise: late, reject } = Promise.withResolvers<never>();
      const timer = setTimeout(() => {
        const seen = Array.from(witnesses, (witness) => witness());
        reject(new Error(`after ${seconds} s, seen: ${Deno.inspect(seen)}`));
      }, seconds * 1000);
      try {
        await Promise.race([fn(), late]);
      } catch (error) {
        // Where a test fails, and then what it was `using` fails to be disposed
        // of (a server has ended, say), JavaScript throws one SuppressedError.
        // Deno prints neither of its two errors, but both of an AggregateError.
        // The first one is mostly the cause.
        if (!(error instanceof SuppressedError)) throw error;
        throw new AggregateError([error.suppressed, error.error]);
      } finally {
        clearTimeout(timer);
        for (const cleanup of cleanups) cleanup();
        cleanups.clear();
        witnesses.clear();
      }
    },
  });
}
