// Clients that misbehave, and shortages: none of them takes a server down, or
// loses a line of another.

import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1";
import type { Client } from "../support/client.ts";
import { REVERBS, SERVERS } from "../support/files.ts";
import { peakBytes, residentBytes } from "../support/kernel.ts";
import { PROGRAM, Server } from "../support/process.ts";
import { reset, resettable } from "../support/resets.ts";
import { closesAll, MIB, onEach, servesNext } from "../support/stress.ts";
import { type Need, test } from "../support/testing.ts";
import { bytes, inTurn, overlapping, textOf, voices } from "../support/text.ts";
import { delay, times } from "../support/time.ts";

const LINUX: Need[] = [...PROGRAM, "linux"];

/** Clients that are under way at once, where it does not matter how many. */
const WIDTH = 100;

const RESETS = 1000;

test(`${RESETS} clients reset before they are accepted`, LINUX, async () => {
  await onEach(SERVERS, async (server, script) => {
    await times(RESETS, 10, async () => reset(await resettable(server.port)));
    await servesNext(server, script);
    await closesAll(server);
    assertEquals(server.log, "");
  });
}, 90);

const [DESCRIPTORS, CROWD, CROWD_MS] = [64, 100, 3000];

test(`${CROWD} clients meet ${DESCRIPTORS} descriptors`, PROGRAM, async () => {
  // clock1 is not here: it has one connection open at a time.
  const shell = `ulimit -n ${DESCRIPTORS}`;
  await onEach(["clock2.ts", ...REVERBS], async (server, script) => {
    await delay(2000); // Deno itself fails without descriptors as it starts
    const crowd: Client[] = [];
    await times(CROWD, CROWD, async () => {
      crowd.push(await server.connect());
    });
    await delay(CROWD_MS);
    const lines = server.log.trimEnd().split("\n");
    assert(lines.length <= CROWD_MS / 100 + 1, `${lines.length} lines`);
    for (const line of lines) {
      assertMatch(line, /^accept: Error: Too many open files[^\n]*$/);
    }
    for (const client of crowd) client.conn.close();
    await servesNext(server, script);
  }, { shell });
});

const [OFFERED, GROWTH] = [400_000_000, 64 * MIB];

test(`${OFFERED} bytes come without a line's end`, LINUX, async () => {
  await onEach(REVERBS, async (server) => {
    const before = await residentBytes(server.pid);
    using client = await server.connect();
    const answer = client.restUntilReset();
    await client.send("Hello\n");
    const block = new Uint8Array(MIB).fill("x".charCodeAt(0));
    const refused = (async () => {
      for (let sent = 0; sent < OFFERED; sent += MIB) await client.send(block);
    })().then(() => false, () => true);
    assert(await refused, "all of it was taken");
    assertEquals(await answer, voices("Hello").join(""));
    const growth = await peakBytes(server.pid) - before;
    assert(growth < GROWTH, `memory grew by ${growth} bytes`);
    assertEquals(server.log, "");
  });
});

const VANISHING = 2000;

test(
  `${VANISHING} clients vanish in the middle of an echo`,
  LINUX,
  async () => {
    await onEach(REVERBS, async (server, script) => {
      await times(VANISHING, WIDTH, async (i) => {
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
  },
  60,
);

const SLOW = { echoes: 1500, longest: 3000, bytes: 4096 };

test(
  `a slow reader of ${SLOW.echoes} echoes gets every line`,
  PROGRAM,
  async () => {
    await using server = await Server.start("reverb2.ts");
    const shouts = Array.from({ length: SLOW.echoes }, (_, i) => {
      const length = 2 + (i * 7919) % (SLOW.longest - 6);
      return `${i} ${"aBcDeFgHiJ".repeat(length / 10 + 1).slice(0, length)}`;
    });
    using client = await server.connect();
    const sending = client.send(shouts.join("\n"))
      .then(() => client.conn.closeWrite());
    await delay(3000); // by now, every voice is waiting to be read
    let text = "";
    while (true) {
      const part = await client.receive(SLOW.bytes);
      if (part === "") break;
      text += part;
      await delay(1);
    }
    await sending;
    const lines = text.split(/(?<=\n)/);
    assertEquals(lines.length, 3 * SLOW.echoes);
    const places = new Map(lines.map((line, place) => [line, place]));
    for (const shout of shouts) {
      const [first, second, third] = voices(shout).map((voice) =>
        places.get(voice)
      );
      assert(first! < second! && second! < third!, shout);
    }
    assertEquals(server.log, "");
  },
  60,
);

const HALF_CLOSED = 1000;

test(
  `${HALF_CLOSED} half-closed clients at once are answered in full`,
  PROGRAM,
  async () => {
    await onEach(REVERBS, async (server, script) => {
      const answerOf = script === "reverb1.ts" ? inTurn : overlapping;
      await times(HALF_CLOSED, HALF_CLOSED, async () => {
        const answer = await server.answer("Hello\nWorld\n");
        assertEquals(answer, answerOf("Hello", "World"));
      });
      assertEquals(server.log, "");
    });
  },
  60,
);

test(
  "bytes that are no text come back as far as they are",
  PROGRAM,
  async () => {
    await using server = await Server.start("reverb2.ts");
    // Random, but the same every time: a linear congruential generator.
    let seed = 1;
    const random = Uint8Array.from({ length: 20_000 }, () => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return seed >> 16;
    });
    await Promise.all(
      [random, bytes("\ufeffa\0b\n\r\n\ufeff\n")].map(async (sent) => {
        const lines = textOf(sent).split("\n")
          .map((line) => line.replace(/\r$/, ""));
        if (lines.at(-1) === "") lines.pop();
        assertEquals(await server.answer(sent), overlapping(...lines));
      }),
    );
    assertEquals(server.log, "");
  },
);
