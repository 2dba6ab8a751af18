// netcat1 and netcat2.

import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { mustCopy } from "../netcat2.ts";
import { reset } from "./support/client.ts";
import { memoryConn } from "./support/memory_conn.ts";
import {
  CLIENTS,
  Program,
  run,
  Server,
  startClient,
} from "./support/program.ts";
import { programTest, test } from "./support/declare.ts";
import { until } from "./support/wait.ts";

/** What a system says of a connection: each has words of its own. */
const ERROR = /^.+ \(os error \d+\)\n$/;

test("mustCopy copies all, also where a write takes a part", async () => {
  const data = "0123456789".repeat(10_000);
  const dst = memoryConn([], { part: 7001 });
  await mustCopy(dst, memoryConn([data, "e", "nd"]));
  assertEquals(dst.text(), `${data}end`);
});

for (const script of CLIENTS) {
  programTest(`${script}: a server that resets is one line`, async () => {
    const listener = createServer().listen(0, "127.0.0.1");
    await once(listener, "listening");
    const { port } = listener.address() as AddressInfo;
    await using program = new Program(script, [port]);
    const [socket] = await once(listener, "connection");
    socket.write("Hello\n");
    await program.stdout.shows("Hello\n");
    await reset(socket);
    const { code, stderr } = await program.end();
    assertMatch(stderr, ERROR);
    assertEquals(code, 1);
    listener.close();
  });

  programTest(`${script} ends quietly when its stdout is closed`, async () => {
    const shell = '{ "$@"; echo "status $?" >&2; } | head -1';
    const { program, server } = await startClient(script, { shell });
    await using _ = program;
    await until(async () => {
      await server.send("Hello\n").catch(() => {});
      return program.stderr.text !== "";
    });
    const { stdout, stderr } = await program.end();
    assertEquals([stdout, stderr], ["Hello\n", "status 0\n"]);
    server.conn.close();
  }, { linux: true });

  programTest(`${script}: a full disk is one line`, async () => {
    const shell = '"$@" > /dev/full; echo "status $?" >&2';
    const { program, server } = await startClient(script, { shell });
    await using _ = program;
    await server.send("Hello\n");
    const { stderr } = await program.end();
    const line = "No space left on device (os error 28)";
    assertEquals(stderr, `${line}\nstatus 1\n`);
    server.conn.close();
  }, { linux: true });
}

programTest("netcat1 prints what comes, until the end", async () => {
  const { program, server } = await startClient("netcat1.ts");
  await using _ = program;
  await server.send("Hello\n");
  await program.stdout.shows("Hello\n"); // at once, not at the end
  await server.send("no end");
  server.conn.close();
  const stdout = "Hello\nno end";
  assertEquals(await program.end(), { code: 0, stdout, stderr: "" });
});

programTest("netcat2 copies 20 MB each way as they are", async () => {
  const { program, server } = await startClient("netcat2.ts");
  await using _ = program;
  const data = "0123456789abcdef\n".repeat(20e6 / 17);
  const [heard] = await Promise.all([
    server.receive(data.length),
    server.send(data),
    program.type(data),
  ]);
  assert(heard === data);
  await until(() => program.stdout.text.length >= data.length);
  assert(program.stdout.text === data);
  server.conn.close();
});

programTest("netcat2 sends its input while it prints", async () => {
  const { program, server } = await startClient("netcat2.ts");
  await using _ = program;
  for (const line of ["Hello\n", "World\n"]) {
    await program.type(line);
    assertEquals(await server.receive(line.length), line);
    await server.send(line);
    await program.stdout.shows(line);
  }
  server.conn.close();
});

programTest("netcat2 ends at once when its input ends", async () => {
  await using server = await Server.start("reverb2.ts");
  for (const input of ["", "Hello\n"]) {
    const { code, stdout, stderr } = await run(
      "netcat2.ts",
      [server.port],
      {},
      input,
    );
    assert(!stdout.includes("hello"), stdout); // two seconds later
    assertEquals([code, stderr], [0, ""]);
  }
});

programTest("netcat2 outlives the end of the connection", async () => {
  const { program, server } = await startClient("netcat2.ts");
  await using _ = program;
  await server.send("bye\n");
  await server.conn.closeWrite();
  await program.stdout.shows("bye\n");
  await program.type("Hello\n"); // the other direction still works
  assertEquals(await server.receive(6), "Hello\n");
  server.conn.close();
  await until(async () => {
    await program.type("more\n");
    return program.stderr.text !== "";
  });
  const { code, stderr } = await program.end();
  assertMatch(stderr, ERROR);
  assertEquals(code, 1);
});
