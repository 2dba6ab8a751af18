// netcat1 and netcat2.

import { assertEquals, assertRejects } from "jsr:@std/assert@1";
import { once } from "node:events";
import { createServer } from "node:net";
import * as netcat1 from "../netcat1.ts";
import * as netcat from "../netcat2.ts";
import { CLIENTS, SERVERS } from "./support/files.ts";
import { reset } from "./support/client.ts";
import { memoryConn } from "./support/memory_conn.ts";
import { Program, run, Server, startClient } from "./support/process.ts";
import {
  addressTest,
  hostTests,
  importTest,
  mistakeTest,
} from "./support/shared_tests.ts";
import { LINUX, PORT_8000, PROGRAM, test } from "./support/testing.ts";
import { eventually } from "./support/time.ts";

test("mustCopy copies all, also where a write takes a part", {}, async () => {
  const data = "0123456789".repeat(300_000);
  const dst = memoryConn([], { maxWrite: 70_001 });
  await netcat.mustCopy(dst, memoryConn([data, "e", "nd"]));
  assertEquals(dst.text(), data + "end");
});

test("an error that only inherits its code is a mistake", {}, async () => {
  const mistake = new DOMException("oops", "DataCloneError");
  for (const { mustCopy } of [netcat1, netcat]) {
    const copying = mustCopy(memoryConn(), memoryConn([mistake]));
    await assertRejects(() => copying, DOMException, "oops");
  }
});

/** A stdout, how the shell makes it so, and all that is said on stderr. */
const outputs = [
  ["closed", "", "status 0\n"], // by `head`
  ["full", ">/dev/full", "No space left on device (os error 28)\nstatus 1\n"],
];

for (const script of CLIENTS) {
  addressTest(script);
  importTest(script);

  hostTests(
    `${script} connects where it is told to`,
    async (hostname, args) => {
      using listener = Deno.listen({ hostname, port: 0 });
      const ended = run(script, { args: [...args, listener.addr.port] });
      (await listener.accept()).close();
      assertEquals(await ended, { code: 0, stdout: "", stderr: "" });
    },
  );

  test(`${script}: a server that resets is one line`, PROGRAM, async () => {
    const listener = createServer().listen(0, "127.0.0.1");
    await once(listener, "listening");
    const { port } = listener.address() as { port: number };
    const program = new Program(script, { port });
    const [socket] = await once(listener, "connection");
    socket.write("Hello\n");
    await program.stdout.shows("Hello\n");
    await reset(socket);
    const stderr = "Connection reset by peer (os error 104)\n";
    assertEquals(await program.over(), { code: 1, stdout: "Hello\n", stderr });
    listener.close();
  });

  for (const [kind, stdout, stderr] of outputs) {
    test(`${script}: a ${kind} stdout ends it`, LINUX, async () => {
      const shell = `{ "$@" ${stdout}; echo "status $?" >&2; } | head -c 6`;
      const { program, server } = await startClient(script, { shell });
      await eventually(async () => {
        await server.send("Hello\n").catch(() => {});
        return program.stderr.text.includes("status");
      });
      assertEquals((await program.over()).stderr, stderr);
      server.conn.close();
    });
  }

  mistakeTest(script, "mustCopy", "const n = await src.read");
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
    const seen = await run("netcat2.ts", { port: server.port }, input);
    const late = seen.stdout.includes("\t hello\n"); // after two seconds
    assertEquals([seen.code, seen.stderr, late], [0, "", false]);
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

test("all six need but localhost:8000", PORT_8000, async () => {
  const permissions = ["--no-prompt", "--allow-net=localhost:8000"];
  for (const script of SERVERS) {
    await using server = await Server.start(script, { args: [], permissions });
    assertEquals(server.greeting, "listening on localhost port 8000");
    for (const client of CLIENTS.slice(script.startsWith("clock") ? 0 : 1)) {
      const program = new Program(client, { permissions });
      await program.type("Hello\n"); // for the reverbs
      await program.stdout.shows("\n");
      program.process.kill("SIGKILL");
      assertEquals((await program.over()).stderr, "");
    }
  }
});
