// netcat1 and netcat2.

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
} from "jsr:@std/assert@1";
import * as netcat from "../netcat2.ts";
import { Client, freePort, reasonNotToListen } from "./support/client.ts";
import { CLIENTS, read, SERVERS } from "./support/files.ts";
import { memoryConn } from "./support/memory_conn.ts";
import {
  PROGRAM,
  run,
  Server,
  start,
  startClient,
  Transcript,
  type,
  writeUntilEnded,
} from "./support/process.ts";
import { reset, resettableServer } from "./support/resets.ts";
import { test } from "./support/testing.ts";
import { bytes } from "./support/text.ts";
import { delay, stopwatch } from "./support/time.ts";

test("mustCopy copies all, also where a write takes a part", [], async () => {
  const data = "0123456789".repeat(300_000);
  const dst = memoryConn([], { maxWrite: 70_001 });
  await netcat.mustCopy(dst, memoryConn([data, "end"]));
  assertEquals(dst.text(), data + "end");
});

test("mustCopy passes a mistake on", [], async () => {
  const src = memoryConn();
  src.read = () => Promise.reject(new TypeError("a mistake"));
  await assertRejects(
    () => netcat.mustCopy(memoryConn(), src),
    TypeError,
    "a mistake",
  );
});

for (const script of CLIENTS) {
  test(
    `${script} connects to the host and port that it is given`,
    PROGRAM,
    async () => {
      const hostnames = ["127.0.0.1", "::1", undefined];
      for (const hostname of hostnames) {
        if (hostname === "::1" && reasonNotToListen("::1", 0)) {
          console.log("left out: no IPv6");
          continue;
        }
        using listener = Deno.listen({
          hostname: hostname ?? "localhost",
          port: 0,
        });
        const port = String(listener.addr.port);
        const process = start(script, {
          args: hostname ? [hostname, port] : [port],
        });
        (await listener.accept()).close();
        await type(process, "");
        const { code, stdout, stderr } = await process.output();
        assertEquals([code, stdout.length, stderr.length], [0, 0, 0]);
      }
    },
  );

  test(
    `${script}: what it cannot connect to is one line`,
    PROGRAM,
    async () => {
      const addresses: [string, number][] = [
        ["127.0.0.1", freePort()],
        ["nosuchhost.invalid", 8000],
        ["localhost", 99_999],
        ["localhost", NaN],
      ];
      await Promise.all(addresses.map(async ([hostname, port]) => {
        const error = await assertRejects(
          () => Deno.connect({ hostname, port }),
          Error,
        );
        assertEquals(await run(script, { args: [hostname, String(port)] }), {
          code: 1,
          stdout: "",
          stderr: `${hostname} port ${port}: ${error.message}\n`,
        });
      }));
      assertEquals(await run(script, { permissions: ["--no-prompt"] }), {
        code: 1,
        stdout: "",
        stderr: "localhost port 8000: Requires net access to " +
          '"localhost:8000", run again with the --allow-net flag\n',
      });
    },
  );

  test(`${script}: a server that resets is one line`, PROGRAM, async () => {
    const { port, accepted } = await resettableServer();
    const process = start(script, { args: ["127.0.0.1", String(port)] });
    const stdout = new Transcript(process.stdout);
    const stderr = new Transcript(process.stderr);
    const socket = await accepted;
    socket.write("Hello\n");
    await stdout.shows("Hello\n");
    await reset(socket);
    const { code } = await process.status;
    await Promise.all([stdout.ended, stderr.ended, type(process, "")]);
    assertEquals([code, stdout.text], [1, "Hello\n"]);
    assertMatch(stderr.text, /^Connection reset by peer[^\n]*\n$/);
  });

  test(
    `${script}: a stdout that was closed ends it quietly`,
    PROGRAM,
    async () => {
      const { process, stderr, server } = await startClient(script);
      await process.stdout.cancel();
      const code = await writeUntilEnded(process, () => server.send("Hello\n"));
      await Promise.all([stderr.ended, type(process, "")]);
      assertEquals([code, stderr.text], [0, ""]);
      server.conn.close();
    },
  );

  test(
    `${script}: a stdout that is full is one line`,
    [...PROGRAM, "linux"],
    async () => {
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const process = start(script, {
        args: ["127.0.0.1", String(listener.addr.port)],
        shell: "exec >/dev/full",
      });
      using server = new Client(await listener.accept());
      await server.send("Hello\n");
      const { code, stderr } = await process.output();
      await process.stdin.close().catch(() => {});
      assertEquals(code, 1);
      assertMatch(
        new TextDecoder().decode(stderr),
        /^No space left on device[^\n]*\n$/,
      );
    },
  );

  test(
    `${script}: a mistake in mustCopy is shown with its stack`,
    [...PROGRAM, "read"],
    async () => {
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const source = (await read(script))
        .replace("const n = await src.read", "oops();\n$&");
      const process = run(script, {
        args: ["127.0.0.1", String(listener.addr.port)],
        source,
      });
      (await listener.accept()).close();
      const { code, stderr } = await process;
      assertEquals(code, 1);
      assertMatch(stderr, /ReferenceError: oops is not defined[^]*at mustCopy/);
    },
  );
}

test(
  "netcat1 prints what comes, until the server closes",
  PROGRAM,
  async () => {
    const { process, stderr, server } = await startClient("netcat1.ts");
    const stdout = new Transcript(process.stdout);
    await server.send("Hello\n");
    await stdout.shows("Hello\n"); // at once, not at the end
    await server.send("no end");
    server.conn.close();
    assertEquals((await process.status).code, 0);
    await Promise.all([stdout.ended, stderr.ended, process.stdin.close()]);
    assertEquals([stdout.text, stderr.text], ["Hello\nno end", ""]);
  },
);

test("netcat2 ends at once when its input ends", PROGRAM, async () => {
  await using server = await Server.start("reverb2.ts");
  for (const input of ["", "Hello\n"]) {
    const args = ["127.0.0.1", String(server.port)];
    const took = await stopwatch(async () => {
      const { code, stderr } = await run("netcat2.ts", { args }, input);
      assertEquals([code, stderr], [0, ""]);
    });
    assert(took < 1.9, `no earlier than the echo: ${took} s`);
  }
});

test(
  "netcat2 outlives the end of the connection, until a write fails",
  PROGRAM,
  async () => {
    const { process, stderr, server } = await startClient("netcat2.ts");
    const stdout = new Transcript(process.stdout);
    const stdin = process.stdin.getWriter();
    await server.send("bye\n");
    await server.conn.closeWrite();
    await stdout.shows("bye\n");
    // The other direction still works.
    await stdin.write(bytes("Hello\n"));
    assertEquals(await server.receive(6), "Hello\n");
    server.conn.close();
    const more = () => stdin.write(bytes("more\n"));
    assertEquals(await writeUntilEnded(process, more), 1);
    await Promise.all([
      stdout.ended,
      stderr.ended,
      stdin.abort().catch(() => {}),
    ]);
    assertEquals(stdout.text, "bye\n");
    assertMatch(stderr.text, /^(Broken pipe|Connection reset)[^\n]*\n$/);
  },
);

test(
  "all six use port 8000 of localhost, with no more than its permission",
  PROGRAM,
  async () => {
    const taken = reasonNotToListen("localhost", 8000);
    if (taken) return console.log(`left out: port 8000 of localhost: ${taken}`);
    const permissions = ["--no-prompt", "--allow-net=localhost:8000"];
    for (const script of SERVERS) {
      await using server = await Server.start(script, {
        args: [],
        permissions,
      });
      assertEquals(server.greeting, "listening on localhost port 8000");
      for (const client of CLIENTS) {
        const process = start(client, { permissions });
        const stdout = new Transcript(process.stdout);
        const stderr = new Transcript(process.stderr);
        const stdin = process.stdin.getWriter();
        if (script.startsWith("reverb") && client === "netcat1.ts") {
          await delay(200); // neither side of this pair says a word
        } else {
          await stdin.write(bytes("Hello\n"));
          await stdout.shows("\n");
        }
        process.kill("SIGKILL");
        await process.status;
        await Promise.all([stdout.ended, stderr.ended, stdin.abort()]);
        assertEquals(stderr.text, "", `${script} and ${client}`);
      }
    }
  },
);
