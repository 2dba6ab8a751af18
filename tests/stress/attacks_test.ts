// Clients that misbehave, and shortages: nothing takes a server down.

import { assert, assertEquals } from "jsr:@std/assert@1";
import { reset, resettable } from "../support/client.ts";
import { REVERBS, SERVERS } from "../support/files.ts";
import { ENDLESS_LINE_GROWTH } from "../support/limits.ts";
import { memoryOf } from "../support/linux.ts";
import { Server } from "../support/process.ts";
import { onEach } from "../support/stress.ts";
import { LINUX, PROGRAM, test } from "../support/testing.ts";
import { voices } from "../support/text.ts";
import { delay, times } from "../support/time.ts";

test("1,000 clients reset before they are accepted", LINUX, async () => {
  await onEach(SERVERS, async (server) => {
    await times(1000, 10, async () => reset(await resettable(server.port)));
  });
}, 90);

test("100 clients meet 64 descriptors, for 3 s", LINUX, async () => {
  // clock1 is not here: it has one connection open at a time.
  await onEach(["clock2.ts", ...REVERBS], async (server) => {
    server.mayLog = /^(accept: Error: Too many open files.*\n)+$/;
    await delay(2000); // Deno itself fails without descriptors as it starts
    using crowd = new DisposableStack();
    await times(100, 100, async () => crowd.use(await server.connect()));
    await delay(3000);
    assert(server.stderr.text.split("\n").length <= 33, server.stderr.text);
  }, 'ulimit -n 64; exec "$@"');
});

test("400 MB come without a line's end", LINUX, async () => {
  await onEach(REVERBS, async (server) => {
    const { now } = await memoryOf(server.pid);
    using client = await server.connect();
    const answer = client.rest();
    await client.send("Hello\n");
    const sending = times(400, 1, () => client.send("x".repeat(1e6)));
    assert(await sending.then(() => false, () => true), "all was taken");
    assertEquals(await answer, voices("Hello").join(""));
    const { peak } = await memoryOf(server.pid);
    assert(peak < now + ENDLESS_LINE_GROWTH, `${now} MB grew to ${peak}`);
  });
});

test("2,000 clients vanish in the middle of an echo", LINUX, async () => {
  await onEach(REVERBS, async (server) => {
    await times(2000, 100, async (i) => {
      if (i % 3 === 0) {
        const socket = await resettable(server.port);
        socket.write("Hello\nWorld\n");
        await new Promise((resolve) => socket.once("data", resolve));
        await reset(socket);
      } else {
        using client = await server.connect();
        await client.send("Hello\nWorld\n");
        await client.receive(1);
      }
    });
  });
}, 60);

test("a slow reader of 1,500 echoes gets every line", PROGRAM, async () => {
  await using server = await Server.start("reverb2.ts");
  const shouts = Array.from({ length: 1500 }, (_, i) => {
    const length = 2 + (i * 7919) % 2994;
    return `${i} ${"aBcDeFgHiJ".repeat(length / 10 + 1).slice(0, length)}`;
  });
  using client = await server.connect();
  const sending = client.send(shouts.join("\n"))
    .then(() => client.conn.closeWrite());
  await delay(3000); // by now, every voice is waiting to be read
  let text = "";
  for (let part; (part = await client.receive(4096)) !== ""; text += part) {
    await delay(1);
  }
  await sending;
  const lines = text.split(/(?<=\n)/);
  assertEquals(lines.length, 3 * shouts.length);
  for (const shout of shouts) {
    const [one, two, three] = voices(shout).map((line) => lines.indexOf(line));
    assert(0 <= one && one < two && two < three, shout);
  }
}, 60);
