/** Says what is wrong, and ends the program with status 1. */
export function fail(message: string): never {
  console.error(message);
  Deno.exit(1);
}
