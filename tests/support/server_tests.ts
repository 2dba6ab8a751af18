// What each of the four servers does in the same way.

import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1";
import { Client, freePort, reasonNotToListen } from "./client.ts";
import { read } from "./files.ts";
import { PROGRAM, run, Server } from "./process.ts";
import { test } from "./testing.ts";
import { eventually, times } from "./time.ts";

/** More clients than the 511 that wait unless a server asks for more. */
const WAITING = 600;

/**
 * Tests `script`. In `mistakes`, each of its functions has a line
 * before which it may have a mistake that a client's first line brings to light.
 */
export function serverTests(script: string, mistakes: Record<string, string>) {
  test(`${script} listens on the port that it is given`, PROGRAM, async () => {
    const port = freePort();
    await using server = await Server.start(script, { args: [`${port}`] });
    assertEquals(server.greeting, `listening on localhost port ${port}`);
    (await Deno.connect({ hostname: "localhost", port })).close();
    assertEquals(server.log, "");
  });

  test(`${script} listens on the host that it is given`, PROGRAM, async () => {
    const noIPv6 = reasonNotToListen("::1", 0);
    if (noIPv6) console.log(`left out: ${noIPv6}`);
    for (const hostname of noIPv6 ? ["127.0.0.1"] : ["127.0.0.1", "::1"]) {
      const args = [hostname, "0"];
      await using server = await Server.start(script, { args });
      assertEquals(
        server.greeting,
        `listening on ${hostname} port ${server.port}`,
      );
      assert(server.port > 0);
      (await Deno.connect({ hostname, port: server.port })).close();
    }
  });

  test(`${script}: what it cannot listen on is one line`, PROGRAM, async () => {
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const addresses: [string, number][] = [
      ["127.0.0.1", taken.addr.port],
      ["nosuchhost.invalid", 8000],
      ["localhost", 99_999],
      ["localhost", NaN],
    ];
    await Promise.all(addresses.map(async ([hostname, port]) => {
      const reason = reasonNotToListen(hostname, port);
      assert(reason !== undefined);
      assertEquals(await run(script, { args: [hostname, String(port)] }), {
        code: 1,
        stdout: "",
        stderr: `${hostname} port ${port}: ${reason}\n`,
      });
    }));
    assertEquals(await run(script, { permissions: ["--no-prompt"] }), {
      code: 1,
      stdout: "",
      stderr: "localhost port 8000: Requires net access to " +
        '"localhost:8000", run again with the --allow-net flag\n',
    });
  });

  test(
    `${script}: a mistake in it is shown with its stack, wherever it is`,
    [...PROGRAM, "read"],
    async () => {
      const text = await read(script);
      const spots = { connections: "return yield", ...mistakes };
      await Promise.all(
        Object.entries(spots).map(async ([name, line]) => {
          const head = text.search(new RegExp(`function\\*? ${name}\\(`));
          const at = text.indexOf(line, head);
          assert(head > 0 && at > head, `${name}: no ${line}`);
          const source = `${text.slice(0, at)}oops();\n${text.slice(at)}`;
          const server = await Server.start(script, { source });
          const client = await server.connect().catch(() => undefined);
          await client?.send("Hello\n").catch(() => {});
          assertEquals((await server.process.status).code, 1);
          await server.stderr.ended;
          assertMatch(server.log, /ReferenceError: oops is not defined/);
          assertMatch(server.log, new RegExp(`at (async )?${name} `));
          client?.conn.close();
        }),
      );
    },
  );

  test(
    `${script} lets ${WAITING} clients wait to be accepted`,
    [...PROGRAM, "linux"],
    async () => {
      await using server = await Server.start(script);
      server.process.kill("SIGSTOP");
      const clients: Client[] = [];
      const connecting = times(WAITING, WAITING, async () => {
        clients.push(await server.connect());
      });
      await eventually("all connected", () => clients.length === WAITING, 5);
      await connecting;
      for (const client of clients) client.conn.close();
    },
  );
}
