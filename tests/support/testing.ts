// A test says what it needs, gets that and no more, and does not hang.

/** Permissions, and the system whose kernel tells what a process uses. */
export type Need = "net" | "read" | "write" | "run" | "linux";

/** What it takes to start a program and talk to it, and more. */
export const PROGRAM: Need[] = ["run", "net"];
export const READING: Need[] = [...PROGRAM, "read"];
export const LINUX: Need[] = [...PROGRAM, "linux"];

/** Called when a test is over, whether it has passed or not. */
export const cleanups = new Set<() => void>();

/** What a test that hangs has seen until then. */
export const witnesses = new Set<() => string>();

const missing = (need: Need) =>
  need === "linux"
    ? Deno.build.os !== "linux"
    : Deno.permissions.querySync({ name: need }).state !== "granted";

/**
 * A test that may take `seconds`. It is left out where something that it needs is
 * missing, and its name says what.
 */
export function test(
  name: string,
  needs: Need[],
  fn: () => void | Promise<void>,
  seconds = 20,
) {
  const lacks = needs.filter(missing)
    .map((need) => need === "linux" ? "Linux" : `--allow-${need}`);
  const permissions = needs.filter((need) => need !== "linux");
  Deno.test({
    name: lacks.length === 0 ? name : `${name} (needs ${lacks.join(", ")})`,
    ignore: lacks.length > 0,
    permissions: Object.fromEntries(permissions.map((need) => [need, true])),
    async fn() {
      const { promise: late, reject } = Promise.withResolvers<never>();
      const timer = setTimeout(() => {
        const seen = Array.from(witnesses, (witness) => witness());
        reject(new Error(`after ${seconds} s, seen: ${Deno.inspect(seen)}`));
      }, seconds * 1000);
      try {
        await Promise.race([fn(), late]);
      } finally {
        clearTimeout(timer);
        for (const cleanup of cleanups) cleanup();
        cleanups.clear();
        witnesses.clear();
      }
    },
  });
}
