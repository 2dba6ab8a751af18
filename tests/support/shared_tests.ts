// Tests that several scripts share: each function here adds the tests of the
// script that it is given.

import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1";
import { CLIENTS, read } from "./files.ts";
import { run, Server, startClient } from "./process.ts";
import { IPV6, LINUX, PROGRAM, PROGRAM_AND_FILES, test } from "./testing.ts";
import { times } from "./time.ts";

/** Tests that an address that a script cannot open is one line. */
export function addressTest(script: string) {
  const client = CLIENTS.includes(script);
  test(`${script}: a bad address is one line`, PROGRAM, async () => {
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const bad: [string, number][] = [
      ["127.0.0.1", client ? 1 : taken.addr.port],
      ["nosuchhost.invalid", 8000],
      ["localhost", 99_999],
      ["localhost", NaN],
    ];
    await Promise.all(bad.map(async ([hostname, port]) => {
      const address = { hostname, port };
      const opening = async () =>
        client ? await Deno.connect(address) : Deno.listen(address);
      const reason = await opening().catch((error) => error.message);
      const stderr = `${hostname} port ${port}: ${reason}\n`;
      const seen = await run(script, { args: [hostname, port] });
      assertEquals(seen, { code: 1, stdout: "", stderr });
    }));
    const seen = await run(script, { permissions: ["--no-prompt"] });
    const stderr = "localhost port 8000: Requires net access to " +
      '"localhost:8000", run again with the --allow-net flag\n';
    assertEquals(seen, { code: 1, stdout: "", stderr });
  });
}

/** Tests that a script which is imported runs nothing at all. */
export function importTest(script: string) {
  test(`importing ${script} runs nothing`, PROGRAM, async () => {
    const source = `import "./${script}";`;
    const seen = await run("-", { source, permissions: ["--no-prompt"] });
    assertEquals(seen, { code: 0, stdout: "", stderr: "" });
  });
}

/** Adds a test for each kind of host that a script is told, or is not told. */
export function hostTests(
  name: string,
  fn: (hostname: string, args: string[]) => Promise<void>,
) {
  test(`${name}: 127.0.0.1`, PROGRAM, () => fn("127.0.0.1", ["127.0.0.1"]));
  test(`${name}: ::1`, IPV6, () => fn("::1", ["::1"]));
  test(`${name}: default host`, PROGRAM, () => fn("localhost", []));
}

/** Tests that a mistake before `line` in a function is shown with its stack. */
export function mistakeTest(script: string, name: string, line: string) {
  test(`${script} shows a mistake in ${name}`, PROGRAM_AND_FILES, async () => {
    const text = await read(script);
    const head = text.search(RegExp(`function\\*? ${name}\\(`));
    const at = text.indexOf(line, head);
    assert(head > 0 && at > head, `${name}: no ${line}`);
    const source = `${text.slice(0, at)}oops();\n${text.slice(at)}`;
    const program = CLIENTS.includes(script)
      ? (await startClient(script, { source })).program
      : await Server.start(script, { source });
    if (program instanceof Server) program.answer("Hello\n").catch(() => {});
    const { code, stderr } = await program.over();
    const stack = `ReferenceError: oops is not defined[^]*at (async )?${name} `;
    assertMatch(stderr, RegExp(stack));
    assertEquals(code, 1);
  }, 10);
}

/** Tests a server. `mistakes` has a line of each function that may have one. */
export function serverTests(script: string, mistakes: Record<string, string>) {
  addressTest(script);
  importTest(script);

  hostTests(`${script} listens where it is told to`, async (hostname, args) => {
    await using server = await Server.start(script, { args: [...args, 0] });
    const { port, greeting } = server;
    assertEquals(greeting, `listening on ${hostname} port ${port}`);
    (await Deno.connect({ hostname, port })).close();
  });

  for (const [name, line] of Object.entries(mistakes)) {
    mistakeTest(script, name, line);
  }
  mistakeTest(script, "connections", "return yield");

  test(`${script} lets 600 clients wait`, LINUX, async () => {
    await using server = await Server.start(script);
    server.process.kill("SIGSTOP");
    using clients = new DisposableStack();
    // More than the 511 that may wait unless a server asks for more.
    await times(600, 600, async () => clients.use(await server.connect()));
  }, 10);
}
