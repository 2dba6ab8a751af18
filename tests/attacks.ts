// Clients that misbehave: none of these takes a server down, or more memory than is
// said here, or makes another client wait longer. Four minutes: deno task stress
//
// Of each limit, what was seen stands beside it: on two cores of a shared machine.

import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1";
import { type Client, connectNode, reset } from "./support/client.ts";
import { openOf, peakOf } from "./support/linux.ts";
import { REVERBS, Server, SERVERS } from "./support/program.ts";
import { serverTest } from "./support/declare.ts";
import { inTurn, overlapping, voices } from "./support/voices.ts";
import { all, delay, stopwatch, until } from "./support/wait.ts";

async function assertPeak(server: Server, most: number) {
  const peak = await peakOf(server.pid);
  assert(peak < most, `${peak} MB`);
}

/** Checks that a server serves its next client, within the seconds of `receive`. */
async function servesNext(server: Server) {
  using client = await server.connect();
  await client.send("Hello\n");
  assertMatch(await client.receive(8), /^(\t HELLO\n|\d\d:\d\d:\d\d)$/);
}

const REVERB2 = ["reverb2.ts"];

/** Attacks a server, which must then be as it was before. */
function attackTest(
  scripts: string[],
  name: string,
  attack: (server: Server) => Promise<unknown>,
  options: Parameters<typeof serverTest>[3] = {},
) {
  for (const script of scripts) {
    serverTest(script, name, async (server) => {
      await servesNext(server);
      const before = await openOf(server.pid);
      await attack(server);
      await servesNext(server);
      // Deno opens a few of its own in the meantime.
      await until(async () => await openOf(server.pid) < before + 8);
    }, { linux: true, seconds: 150, ...options });
  }
}

attackTest(SERVERS, "outlives 1,000 resets before accept", async (server) => {
  for (let i = 0; i < 100; i++) {
    await all(10, async () => reset(await connectNode(server.port)));
  }
});

const TOO_MANY = /^(accept: Too many open files.*\n)+$/;
// Not clock1, which has one connection open at a time.
attackTest(SERVERS.slice(1), "outlives lack of descriptors", async (server) => {
  await delay(1000); // Deno itself fails without descriptors as it starts
  const took = await stopwatch(async () => {
    const crowd = await all(100, server.connect);
    await delay(2000);
    for (const client of crowd) client.conn.close();
  });
  const lines = server.program.stderr.text.split("\n").length;
  assert(lines < 12 * took + 3, `${lines} lines`); // ten a second
}, { shell: 'ulimit -n 64; exec "$@"', said: TOO_MANY });

attackTest(REVERBS, "takes no line without an end", async (server) => {
  const before = await peakOf(server.pid);
  using client = await server.connect();
  const hungUp = client.flood("x".repeat(1e6)).then(() => true);
  assert(await Promise.race([hungUp, delay(20_000)]), "it reads for ever");
  assert(client.sent < 10e6, `${client.sent} bytes`);
  await assertPeak(server, before + 64); // seen: 8
});

attackTest(REVERBS, "outlives 2,000 clients that vanish", async (server) => {
  for (let i = 0; i < 20; i++) {
    await all(100, async (k) => {
      const socket = await connectNode(server.port);
      socket.write("Hello\nWorld\n");
      await new Promise((resolve) => socket.once("data", resolve));
      if (k % 2 === 0) await reset(socket);
      else socket.destroy();
    });
  }
});

for (const [i, script] of REVERBS.entries()) {
  attackTest([script], "answers 1,000 half-closed clients", async (server) => {
    await all(1000, async () => {
      const heard = await server.answer("Hello\nWorld\n");
      assertEquals(heard, [inTurn, overlapping][i]("Hello", "World"));
    });
  });
}

/** Checks that the voices of `shouts` have come, whole and in their order. */
function assertEchoed(text: string, shouts: string[]) {
  const lines = text.split(/(?<=\n)/);
  const at = new Map(lines.map((line, i) => [line, i]));
  assertEquals(lines.length, 3 * shouts.length);
  for (const shout of shouts) {
    const [one, two, three] = voices(shout).map((line) => at.get(line) ?? NaN);
    assert(one < two && two < three, shout.slice(0, 20));
  }
}

/** Lines that are all different, and up to `longest` characters long. */
const differentLines = (count: number, longest: number) =>
  Array.from({ length: count }, (_, i) => {
    const length = (i * 7919) % longest;
    return `Line ${i} ${"aBcDeFgHiJ".repeat(longest / 10).slice(0, length)}`;
  });

/** Lets a client of reverb2 read slowly, and checks that it gets every line. */
async function readSlowly(server: Server) {
  const shouts = differentLines(1500, 3000);
  using client = await server.connect();
  let text = "";
  const read = async () => {
    await delay(3000); // by now, every voice is waiting to be read
    for (let part; (part = await client.receive(4096)) !== ""; text += part) {
      await delay(1);
    }
  };
  const sent = client.send(shouts.join("\n"));
  await Promise.all([read(), sent.then(() => client.conn.closeWrite())]);
  assertEchoed(text, shouts);
}

attackTest(REVERB2, "writes whole lines to a slow reader", readSlowly);

/** Seconds until another client has all voices of `count` lines of 16 bytes. */
const secondsFor = (server: Server, count: number) =>
  stopwatch(async () => {
    using client = await server.connect();
    await client.burst("x".repeat(15), count);
  });

/**
 * Checks that a client waits at most `times` as long for the voices of `count`
 * lines, beside what `attack` leaves or after it, as it does alone.
 */
async function assertServed(
  server: Server,
  count: number,
  times: number,
  attack: () => Promise<Disposable | void>,
) {
  const alone = await secondsFor(server, count);
  using _ = await attack() ?? null;
  const took = await secondsFor(server, count);
  assert(took < times * alone, `${took} s, alone ${alone} s`);
}

/**
 * Lets `count` clients send lines of `size` bytes for ever: all at once, or one
 * after the other, as soon as the server takes no more of the one before. Each
 * reads for `reads` milliseconds.
 */
async function flood(
  server: Server,
  count: number,
  size: number,
  reads = 0,
  oneByOne = false,
) {
  const block = ("x".repeat(size - 1) + "\n").repeat(Math.ceil(65_536 / size));
  const clients: Client[] = [];
  for (let i = 0; i < count; i++) {
    const client = await server.connect();
    clients.push(client);
    client.flood(block);
    readFor(client, reads);
    if (!oneByOne) continue;
    await delay(reads);
    for (let before = -1; client.sent > before; await delay(250)) {
      before = client.sent;
    }
  }
  return {
    [Symbol.dispose]() {
      for (const client of clients) client.conn.close();
    },
  };
}

/** Reads and drops what comes, for `ms` milliseconds. */
async function readFor({ conn }: Client, ms: number) {
  const buffer = new Uint8Array(256 * 1024);
  const end = performance.now() + ms;
  while (performance.now() < end) {
    const n = await conn.read(buffer).catch(() => null);
    if (n === null) break;
  }
}

/** Floods that never read, and stay: how many, and the MB that are permitted. */
const FLOODS = [
  [1, 400], // seen: 190
  [100, 1100], // seen: 710
  [400, 1800], // seen: 980
];
for (const [count, most] of FLOODS) {
  const name = `bears ${count} floods that stay`;
  attackTest(REVERB2, name, async (server) => {
    await assertServed(server, 5, 2.5, async () => { // seen: 1.3
      const floods = await flood(server, count, 17);
      await delay(3000);
      const answer = await server.answer("a\nb\nc\nd\ne");
      assertEquals(answer, overlapping("a", "b", "c", "d", "e"));
      return floods;
    });
    await assertPeak(server, most);
  });
}

/** Clients that never read, and stay: how many, and how much longer others wait. */
const STUCK = [
  [5, 3.5], // seen: 2
  [10, 4.5], // seen: 3
];
for (const [count, times] of STUCK) {
  const name = `serves others beside ${count} that are stuck`;
  attackTest(REVERB2, name, async (server) => {
    const attack = () => flood(server, count, 17, 0, true);
    await assertServed(server, 20_000, times, attack);
    await assertPeak(server, 900); // seen: 530
  });
}

/** Floods that read all: how many, of which size, and the MB permitted. */
const READERS = [
  [1, 2, 600], // seen: 415
  [1, 60_000, 1300], // seen: 500
  [10, 60_000, 1300], // seen: 580
];
for (const [count, size, most] of READERS) {
  const name = `bears ${count} that flood with ${size} B, and read`;
  attackTest(REVERB2, name, async (server) => {
    await assertServed(server, 2000, 3, async () => { // seen: 1.2
      const floods = await flood(server, count, size, 6000);
      await delay(4000);
      return floods;
    });
    await delay(1000);
    await assertPeak(server, most);
  });
}

attackTest(REVERB2, "bears 20 that read, stop and stay", async (server) => {
  using _ = await flood(server, 20, 65_000, 2000, true);
  await assertPeak(server, 900); // seen: 520
});

serverTest("reverb2.ts", "has nothing left of six floods", async (server) => {
  // What echoes might leave behind would fill a heap of 150 MB.
  for (let i = 0; i < 6; i++) {
    using _ = await flood(server, 1, 2);
    await delay(1500);
  }
}, { flags: ["--allow-net", "--v8-flags=--max-old-space-size=150"] });

const MANY = ["clock2.ts", "reverb2.ts"];
attackTest(MANY, "has nothing left of 10,000 clients", async (server) => {
  const rounds = async (count: number) => {
    for (let i = 0; i < count; i++) await all(100, () => servesNext(server));
  };
  await rounds(40);
  const before = await peakOf(server.pid);
  await rounds(60);
  await assertPeak(server, before + 64); // seen: 30
});

/** What the clients of the chaos do, each for some milliseconds. */
const KINDS: ((server: Server, ms: number) => Promise<unknown>)[] = [
  async (server) => {
    const shouts = differentLines(20, 5000);
    assertEchoed(await server.answer(shouts.join("\r\n")), shouts);
  },
  readSlowly,
  ...[0, 1].map((reads) => async (server: Server, ms: number) => {
    using _ = await flood(server, 1, [1, 17, 1000, 60_000][ms % 4], reads * ms);
    await delay(ms);
  }),
  async (server, ms) => {
    const socket = await connectNode(server.port);
    socket.write("Hello\n".repeat(100));
    await delay(ms);
    await reset(socket);
  },
  async (server) => {
    using client = await server.connect();
    await client.flood("x".repeat(65_536)); // a line without an end
  },
  async (server, ms) => {
    using _ = await server.connect();
    await delay(ms);
  },
  async (server) => reset(await connectNode(server.port)),
];

attackTest(REVERB2, "bears a minute of chaos", async (server) => {
  await assertServed(server, 20_000, 2, async () => { // seen: 1.1
    const end = performance.now() + 60_000;
    await all(5 * KINDS.length, async (i) => {
      while (performance.now() < end) {
        await KINDS[i % KINDS.length](server, Math.floor(Math.random() * 3000));
      }
    });
  });
  await assertPeak(server, 1200); // seen: 570
});
