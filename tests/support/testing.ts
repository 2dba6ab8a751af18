// A test says what it needs, gets that and no more, and does not hang.

/** Permissions, and the system whose kernel tells what a process uses. */
type Needs = Deno.PermissionOptionsObject & { linux?: true };

/** What it takes to start a program and talk to it, and more. */
export const PROGRAM: Needs = { run: true, net: true };
export const READING: Needs = { ...PROGRAM, read: true };
export const READ: Needs = { read: true };
export const LINUX: Needs = { ...PROGRAM, linux: true };

/** Called when a test is over, whether it has passed or not. */
export const cleanups = new Set<() => void>();

/** What a test that hangs has seen until then. */
export const witnesses = new Set<() => string>();

/** A test of at most `seconds`, or one left out that says what it lacks. */
export function test(
  name: string,
  { linux, ...permissions }: Needs,
  fn: () => void | Promise<void>,
  seconds = 20,
) {
  const lacks = (Object.keys(permissions) as Deno.PermissionName[])
    .filter((name) => Deno.permissions.querySync({ name }).state !== "granted")
    .map((name) => `--allow-${name}`);
  if (linux && Deno.build.os !== "linux") lacks.push("Linux");
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
