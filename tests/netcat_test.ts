// netcat1 and netcat2.

import { assert, assertEquals } from "jsr:@std/assert@1";
import * as netcat from "../netcat2.ts";
import { CLIENTS, SERVERS } from "./support/files.ts";
import { memoryConn } from "./support/memory_conn.ts";

import { Program, run, Server, startClient } from "./support/process.ts";
import { reset, resettableServer } from "./support/resets.ts";
import * as common from "./support/script_tests.ts";
import { LINUX, PROGRAM, READING, test } from "./support/testing.ts";
import { delay, eventually, stopwatch } from "./support/time.ts";

test("mustCopy copies all, also where a write takes a part", [], async () => {
  const data = "0123456789".repeat(300_000);
  const dst = memoryConn([], { maxWrite: 70_001 });
  await netcat.mustCopy(dst, memoryConn([data, "end"]));
  assertEquals(dst.text(), data + "end");
});

for (const script of CLIENTS) {
  common.addressTest(script, Deno.connect);

  test(`${script} connects where it is told to`, PROGRAM, async () => {
    for (const hostname of [...common.hosts(), undefined]) {
      const address = { hostname: hostname ?? "localhost", port: 0 };
      using listener = Deno.listen(address);
      const args = [hostname ?? [], listener.addr.port].flat();
      const ended = run(script, { args });
      (await listener.accept()).close();
      assertEquals(await ended, { code: 0, stdout: "", stderr: "" });
    }
  });

  test(`${script}: a server that resets is one line`, PROGRAM, async () => {
    const { port, accepted } = await resettableServer();
    const program = new Program(script, { args: ["127.0.0.1", port] });
    const socket = await accepted;
    socket.write("Hello\n");
    await program.stdout.shows("Hello\n");
    await reset(socket);
    const stderr = "Connection reset by peer (os error 104)\n";
    const seen = { code: 1, stdout: "Hello\n", stderr };
    assertEquals(await program.over(), seen);
  });

  const outputs: Record<string, [shell: string, stderr: string]> = {
    "a stdout that was closed ends it quietly": [
      '{ "$@"; echo "status $?" >&2; } | head -c 6',
      "status 0\n",
    ],
    "a stdout that is full is one line": [
      '"$@" >/dev/full; echo "status $?" >&2',
      "No space left on device (os error 28)\nstatus 1\n",
    ],
  };
  for (const [name, [shell, stderr]] of Object.entries(outputs)) {
    test(`${script}: ${name}`, LINUX, async () => {
      const { program, server } = await startClient(script, { shell });
      await eventually(async () => {
        await server.send("Hello\n").catch(() => {});
        return program.stderr.text.includes("status");
      });
      assertEquals((await program.over()).stderr, stderr);
      server.conn.close();
    });
  }

  test(`${script} shows a mistake in mustCopy`, READING, async () => {
    const line = "const n = await src.read";
    const source = await common.withMistake(script, "mustCopy", line);
    const { program, server } = await startClient(script, { source });
    await common.assertMistakeShown(program, "mustCopy");
    server.conn.close();
  });
}

test("netcat1 prints what comes until the end", PROGRAM, async () => {
  const { program, server } = await startClient("netcat1.ts");
  await server.send("Hello\n");
  await program.stdout.shows("Hello\n"); // at once, not at the end
  await server.send("no end");
  server.conn.close();
  const stdout = "Hello\nno end";
  assertEquals(await program.over(), { code: 0, stdout, stderr: "" });
});

test("netcat2 ends at once when its input ends", PROGRAM, async () => {
  await using server = await Server.start("reverb2.ts");
  for (const input of ["", "Hello\n"]) {
    const args = ["127.0.0.1", server.port];
    const took = await stopwatch(async () => {
      const seen = await run("netcat2.ts", { args }, input);
      assertEquals([seen.code, seen.stderr], [0, ""]);
    });
    assert(took < 1.9, `no earlier than the echo: ${took} s`);
  }
}, 10);

test("netcat2 outlives the end of the connection", PROGRAM, async () => {
  const { program, server } = await startClient("netcat2.ts");
  await server.send("bye\n");
  await server.conn.closeWrite();
  await program.stdout.shows("bye\n");
  await program.type("Hello\n"); // the other direction still works
  assertEquals(await server.receive(6), "Hello\n");
  server.conn.close();
  await eventually(async () => {
    await program.type("more\n");
    return program.stderr.text !== "";
  });
  const stderr = "Broken pipe (os error 32)\n";
  assertEquals(await program.over(), { code: 1, stdout: "bye\n", stderr });
});

test("all six need but localhost:8000", PROGRAM, async () => {
  const address = { hostname: "localhost", port: 8000 };
  try {
    Deno.listen(address).close();
  } catch (error) {
    return console.log(`left out: port 8000 of localhost: ${error}`);
  }
  const permissions = ["--no-prompt", "--allow-net=localhost:8000"];
  for (const script of SERVERS) {
    await using server = await Server.start(script, {
      args: [],
      permissions,
    });
    assertEquals(server.greeting, "listening on localhost port 8000");
    for (const client of CLIENTS) {
      const program = new Program(client, { permissions });
      await program.type("Hello\n");
      // Neither reverb nor netcat1 begins to talk.
      const silent = script.startsWith("reverb") && client === "netcat1.ts";
      await (silent ? delay(200) : program.stdout.shows("\n"));
      program.process.kill("SIGKILL");
      assertEquals((await program.over()).stderr, "", `${script}, ${client}`);
    }
  }
});
