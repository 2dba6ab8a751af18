// Clients that misbehave, and shortages: none of them takes a server down, or
// loses a line of another.

import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1";
import type { Client } from "../support/client.ts";
import { REVERBS, SERVERS } from "../support/files.ts";
import { peakBytes, residentBytes } from "../support/kernel.ts";
import { Server } from "../support/process.ts";
import { reset, resettable } from "../support/resets.ts";
import { closesAll, MIB, onEach, servesNext } from "../support/stress.ts";
import { LINUX, PROGRAM, test } from "../support/testing.ts";
import { bytes, inTurn, overlapping, textOf, voices } from "../support/text.ts";
import { delay, times } from "../support/time.ts";

test("1,000 clients reset before they are accepted", LINUX, async () => {
  await onEach(SERVERS, async (server, script) => {
    await times(1000, 10, async () => reset(await resettable(server.port)));
    await servesNext(server, script);
    await closesAll(server);
    assertEquals(server.log, "");
  });
}, 90);

test("100 clients meet 64 descriptors, for 3 s", LINUX, async () => {
  // clock1 is not here: it has one connection open at a time.
  const shell = 'ulimit -n 64; exec "$@"';
  await onEach(["clock2.ts", ...REVERBS], async (server, script) => {
    await delay(2000); // Deno itself fails without descriptors as it starts
    const crowd: Client[] = [];
    const connect = async () => crowd.push(await server.connect());
    await times(100, 100, connect);
    await delay(3000);
    const lines = server.log.trimEnd().split("\n");
    assert(lines.length <= 31, `${lines.length} lines`);
    for (const line of lines) {
      assertMatch(line, /^accept: Error: Too many open files[^\n]*$/);
    }
    for (const client of crowd) client.conn.close();
    await servesNext(server, script);
  }, { shell });
});

test("400 MB come without a line's end", LINUX, async () => {
  await onEach(REVERBS, async (server) => {
    const before = await residentBytes(server.pid);
    using client = await server.connect();
    const answer = client.rest();
    await client.send("Hello\n");
    const block = new Uint8Array(MIB).fill("x".charCodeAt(0));
    const sending = async () => {
      for (let i = 0; i < 400; i++) await client.send(block);
    };
    assert(await sending().then(() => false, () => true), "all was taken");
    assertEquals(await answer, voices("Hello").join(""));
    const growth = await peakBytes(server.pid) - before;
    assert(growth < 64 * MIB, `memory grew by ${growth} bytes`);
    assertEquals(server.log, "");
  });
});

test("2,000 clients vanish in the middle of an echo", LINUX, async () => {
  await onEach(REVERBS, async (server, script) => {
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
    await closesAll(server);
    await servesNext(server, script);
    assertEquals(server.log, "");
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
  const places = new Map(lines.map((line, place) => [line, place]));
  for (const shout of shouts) {
    const [one, two, three] = voices(shout).map((voice) => places.get(voice)!);
    assert(one < two && two < three, shout);
  }
  assertEquals(server.log, "");
}, 60);

test("1,000 half-closed clients are answered in full", PROGRAM, async () => {
  await onEach(REVERBS, async (server, script) => {
    const answerOf = script === "reverb1.ts" ? inTurn : overlapping;
    await times(1000, 1000, async () => {
      const answer = await server.answer("Hello\nWorld\n");
      assertEquals(answer, answerOf("Hello", "World"));
    });
    assertEquals(server.log, "");
  });
}, 60);

test("bytes that are no text", PROGRAM, async () => {
  await using server = await Server.start("reverb2.ts");
  // Random, but the same every time: a linear congruential generator.
  let seed = 1;
  const random = Uint8Array.from({ length: 20_000 }, () => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return seed >> 16;
  });
  const euro = bytes("€"); // three bytes
  const cases = [
    [random],
    [bytes("a\0b\n\0\n")],
    [bytes("\ufeffHello\n\ufeff\n")],
    [euro.slice(0, 1), euro.slice(1), bytes("\n")],
    [bytes("\n\r\n\n")],
  ];
  await Promise.all(cases.map(async (packets) => {
    using client = await server.connect();
    for (const packet of packets) {
      await client.send(packet);
      await delay(50); // a packet of its own
    }
    await client.conn.closeWrite();
    const sent = Uint8Array.from(packets.flatMap((packet) => [...packet]));
    const lines = textOf(sent).split("\n")
      .map((line) => line.replace(/\r$/, ""));
    if (lines.at(-1) === "") lines.pop();
    assertEquals(await client.rest(), overlapping(...lines));
  }));
  assertEquals(server.log, "");
});
