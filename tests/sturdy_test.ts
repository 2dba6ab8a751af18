// Clients that misbehave, and shortages: none of them takes a server down, or
// loses a line of another.

import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1";
import {
  bytes,
  Client,
  CLIENTS,
  delay,
  eventually,
  inTurn,
  linux,
  node,
  overlapping,
  programTest,
  RawSocket,
  residentBytes,
  REVERBS,
  run,
  Server,
  SERVERS,
  start,
  startClient,
  tcpSockets,
  textOf,
  TICK,
  TIME,
  times,
  Transcript,
  voices,
  writeUntilEnded,
} from "./helpers.ts";

const MIB = 1024 * 1024;

/** Clients that are under way at once, where it does not matter how many. */
const WIDTH = 100;

/** Runs a test on several servers at once: most of them wait most of the time. */
async function onEach(
  scripts: string[],
  fn: (server: Server, script: string) => Promise<void>,
  options = {},
) {
  await Promise.all(scripts.map(async (script) => {
    await using server = await Server.start(script, options);
    await fn(server, script);
  }));
}

/** Checks that a server serves the next client as if nothing had happened. */
async function servesNext(server: Server, script: string) {
  using client = await server.connect();
  if (script.startsWith("clock")) {
    assertMatch(await client.receive(TICK), TIME);
  } else {
    await client.send("Hello\n");
    assertEquals(await client.receive(8), "\t HELLO\n");
  }
}

/** Waits until a server has no socket open but its listener's. */
function closesAll(server: Server) {
  const closed = () => tcpSockets(server.pid) === 1;
  return eventually("every connection closed", closed, 20);
}

const RESETS = 1000;

programTest(`${RESETS} clients reset before they are accepted`, async () => {
  await onEach(SERVERS, async (server, script) => {
    for (let i = 0; i < RESETS; i++) RawSocket.open(server.port).reset();
    await servesNext(server, script);
    await closesAll(server);
    assertEquals(server.log, "");
  });
}, linux);

const [DESCRIPTORS, CROWD, CROWD_MS, LOG_LINES] = [64, 100, 3000, 40];

programTest(`${CROWD} clients, ${DESCRIPTORS} descriptors`, async () => {
  // clock1 is not here: it has one connection open at a time.
  await onEach(["clock2.ts", ...REVERBS], async (server, script) => {
    await delay(2000); // Deno itself fails without descriptors as it starts
    const crowd: Client[] = [];
    await times(CROWD, CROWD, async () => {
      crowd.push(await server.connect());
    });
    await delay(CROWD_MS);
    const lines = server.log.trimEnd().split("\n");
    assert(lines.length <= LOG_LINES, `${lines.length} lines`);
    for (const line of lines) {
      assertMatch(line, /^accept: .*; retrying in \d+ ms$/);
    }
    for (const client of crowd) client.conn.close();
    await servesNext(server, script);
  }, { descriptors: DESCRIPTORS });
}, Deno.build.os !== "windows");

const [OFFERED, GROWTH] = [400_000_000, 64 * MIB];

programTest(`${OFFERED} bytes without a line's end`, async () => {
  await onEach(REVERBS, async (server) => {
    const before = residentBytes(server.pid);
    let peak = before;
    using client = await server.connect();
    const answer = client.restUntilReset().catch(String);
    await client.send("Hello\n");
    const block = new Uint8Array(MIB).fill("x".charCodeAt(0));
    const refused = (async () => {
      for (let sent = 0; sent < OFFERED; sent += block.length) {
        await client.send(block);
        peak = Math.max(peak, residentBytes(server.pid));
      }
      return false;
    })().catch(() => true);
    assert(await refused, "all of it was taken");
    assertEquals(await answer, voices("Hello").join(""));
    peak = Math.max(peak, residentBytes(server.pid));
    assert(peak - before < GROWTH, `memory grew by ${peak - before} bytes`);
    assertEquals(server.log, "");
  });
}, linux);

const [LONGEST, TOO_LONG] = [65_535, 128 * 1024];

programTest(
  `a line of ${LONGEST} bytes passes, ${TOO_LONG} do not`,
  async () => {
    await onEach(REVERBS, async (server) => {
      const line = "x".repeat(LONGEST);
      await Promise.all(["\n", "\r\n", ""].map(async (end) => {
        using client = await server.connect();
        await client.send(line + end);
        await client.halfClose();
        assertEquals(await client.rest(), voices(line).join(""));
      }));
      using client = await server.connect();
      await client.send("Hello\n" + "x".repeat(TOO_LONG));
      await client.halfClose();
      assertEquals(await client.restUntilReset(), voices("Hello").join(""));
      assertEquals(server.log, "");
    });
  },
);

const FLOOD = {
  sizes: [2, 17, 1001],
  ms: [15_000, 5000], // the first flood of a server, and the second
  peak: 256 * MIB,
  answerMs: 500,
  garbage: 64 * MIB, // what V8 may keep of the first flood
};

/** A program that sends lines of SIZE bytes to PORT, and reads nothing. */
const FLOODER = `
  const [port, size] = Deno.args.map(Number);
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const line = "x".repeat(size - 1) + "\\n";
  const lines = new TextEncoder().encode(line.repeat(${MIB} / 4 / size));
  while (true) await conn.write(lines);
`;

/**
 * Floods a server. Returns the most memory that it had in use, and the longest
 * wait of another client for an answer.
 */
async function flood(server: Server, size: number, ms: number) {
  const flooder = new Deno.Command(Deno.execPath(), {
    args: ["eval", FLOODER, String(server.port), String(size)],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let [peak, slowest] = [0, 0];
  const until = performance.now() + ms;
  while (performance.now() < until) {
    const from = performance.now();
    await servesNext(server, "reverb2.ts");
    slowest = Math.max(slowest, performance.now() - from);
    peak = Math.max(peak, residentBytes(server.pid));
    await delay(100);
  }
  flooder.kill("SIGKILL"); // it must not have ended by itself
  assertEquals((await flooder.status).signal, "SIGKILL");
  return { peak, slowest };
}

programTest("floods that are never read", async () => {
  for (const size of FLOOD.sizes) {
    await using server = await Server.start("reverb2.ts");
    const peaks: number[] = [];
    for (const ms of FLOOD.ms) {
      const { peak, slowest } = await flood(server, size, ms);
      assert(peak < FLOOD.peak, `${size}: ${peak} bytes of memory`);
      assert(
        slowest < FLOOD.answerMs,
        `${size}: an answer after ${slowest} ms`,
      );
      await closesAll(server);
      peaks.push(peak);
    }
    const [first, second] = peaks;
    assert(second < first + FLOOD.garbage, `${size}: it goes higher`);
    assertEquals(server.log, "");
  }
}, linux);

const VANISHING = 2000;

programTest(
  `${VANISHING} clients vanish in the middle of an echo`,
  async () => {
    await onEach(REVERBS, async (server, script) => {
      await times(VANISHING, WIDTH, async (i) => {
        if (i % 3 === 0) {
          const socket = RawSocket.open(server.port);
          socket.send("Hello\nWorld\n");
          await socket.receive();
          socket.reset();
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
  linux,
);

const SLOW = { echoes: 1500, longest: 3000, bytes: 4096, everyMs: 1 };

programTest(
  `a slow reader of ${SLOW.echoes} echoes gets every line`,
  async () => {
    await using server = await Server.start("reverb2.ts");
    const shouts = Array.from({ length: SLOW.echoes }, (_, i) => {
      const length = 2 + (i * 7919) % (SLOW.longest - 6);
      return `${i} ${"aBcDeFgHiJ".repeat(length / 10 + 1).slice(0, length)}`;
    });
    using client = await server.connect();
    const sending = client.send(shouts.join("\n")).then(() =>
      client.halfClose()
    );
    await delay(3000); // by now, every voice is waiting to be read
    let text = "";
    while (true) {
      const part = await client.receive(SLOW.bytes);
      if (part === "") break;
      text += part;
      await delay(SLOW.everyMs);
    }
    await sending;
    const lines = text.split(/(?<=\n)/);
    assertEquals(lines.length, 3 * SLOW.echoes);
    const places = new Map<string, number[]>();
    for (const [place, line] of lines.entries()) {
      places.set(line, [...places.get(line) ?? [], place]);
    }
    for (const shout of shouts) {
      const [first, second, third] = voices(shout).map((voice) =>
        places.get(voice)
      );
      assertEquals(
        [first?.length, second?.length, third?.length],
        [1, 1, 1],
        shout,
      );
      assert(first![0] < second![0] && second![0] < third![0], shout);
    }
    assertEquals(server.log, "");
  },
);

const HALF_CLOSED = 1000;

programTest(`${HALF_CLOSED} half-closed clients at once`, async () => {
  const expected: Record<string, string> = {
    "reverb1.ts": inTurn("Hello", "World"),
    "reverb2.ts": overlapping("Hello", "World"),
  };
  await onEach(REVERBS, async (server, script) => {
    await times(HALF_CLOSED, HALF_CLOSED, async () => {
      using client = await server.connect();
      await client.send("Hello\nWorld\n");
      await client.halfClose();
      assertEquals(await client.rest(), expected[script]);
    });
    assertEquals(server.log, "");
  });
});

programTest("bytes that are no text", async () => {
  await using server = await Server.start("reverb2.ts");
  // Random, but the same every time: a linear congruential generator.
  let seed = 1;
  const random = Uint8Array.from({ length: 20_000 }, () => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return seed >> 16;
  });
  const euro = bytes("€"); // three bytes
  const cases: Record<string, Uint8Array[]> = {
    "random bytes": [random],
    "NUL": [bytes("a\0b\n\0\n")],
    "a byte order mark": [bytes("\ufeffHello\n\ufeff\n")],
    "a character in two packets": [
      euro.slice(0, 1),
      euro.slice(1),
      bytes("\n"),
    ],
    "empty lines": [bytes("\n\r\n\n")],
  };
  await Promise.all(
    Object.entries(cases).map(async ([name, packets]) => {
      using client = await server.connect();
      for (const packet of packets) {
        await client.send(packet);
        await delay(50); // a packet of its own
      }
      await client.halfClose();
      const sent = Uint8Array.from(packets.flatMap((packet) => [...packet]));
      const lines = textOf(sent).split("\n")
        .map((line) => line.replace(/\r$/, ""));
      if (lines.at(-1) === "") lines.pop();
      assertEquals(await client.rest(), overlapping(...lines), name);
    }),
  );
  assertEquals(server.log, "");
});

const LEAK = { round: 2000, first: 4, rounds: 9, growth: 64 * MIB };

programTest(
  `${LEAK.round * LEAK.rounds} connections leave nothing behind`,
  async () => {
    await onEach(["clock2.ts", "reverb2.ts"], async (server, script) => {
      let before = 0;
      for (let round = 0; round < LEAK.rounds; round++) {
        if (round === LEAK.first) before = residentBytes(server.pid);
        await times(LEAK.round, WIDTH, () => servesNext(server, script));
        await closesAll(server);
      }
      const growth = residentBytes(server.pid) - before;
      assert(growth < LEAK.growth, `memory grew by ${growth} bytes`);
      assertEquals(server.log, "");
    });
  },
  linux,
);

const HUGE = 100_000_000;
const HUGE_MS = 60_000; // what is lost would be waited for in vain
const { createHash } = await node("crypto");

for (const script of CLIENTS) {
  programTest(`${script}: a server that resets is one line`, async () => {
    const listener = RawSocket.open();
    const { port } = listener;
    const process = start(script, { args: [`127.0.0.1:${port}`] });
    const stdout = new Transcript(process.stdout);
    const stderr = new Transcript(process.stderr);
    const socket = await listener.accept();
    listener.close();
    socket.send("Hello\n");
    await stdout.shows("Hello\n");
    socket.reset();
    const { code } = await process.status;
    await Promise.all([stdout.ended, stderr.ended]);
    await process.stdin.close().catch(() => {});
    assertEquals([code, stdout.text], [1, "Hello\n"]);
    assertMatch(stderr.text, new RegExp(`^127.0.0.1:${port}: [^\n]+\n$`));
  }, linux);

  programTest(
    `${script}: a stdout that was closed ends it quietly`,
    async () => {
      const { process, stderr, server } = await startClient(script);
      await process.stdout.cancel();
      const { code } = await writeUntilEnded(
        process,
        () => server.send("Hello\n"),
      );
      assertEquals(code, 0);
      await stderr.ended;
      await process.stdin.close().catch(() => {});
      assertEquals(stderr.text, "");
      server.conn.close();
    },
  );

  programTest(`${script}: 100 MB come through as they are`, async () => {
    const { process, stderr, server } = await startClient(script);
    const giveUp = setTimeout(() => process.kill("SIGKILL"), HUGE_MS);
    const stdin = process.stdin.getWriter();
    const ways = [
      Promise.all([
        send((block) => server.send(block)).finally(() => server.halfClose()),
        hashOf(process.stdout),
      ]),
    ];
    if (script === "netcat2.ts") {
      ways.push(Promise.all([
        send((block) => stdin.write(block)),
        hashOf(server.conn.readable.values({ preventCancel: true })),
      ]));
    }
    try {
      for (const [sent, received] of await Promise.all(ways)) {
        assertEquals(received, sent);
      }
    } finally {
      clearTimeout(giveUp);
    }
    await stdin.close().catch(() => {});
    assertEquals((await process.status).code, 0);
    await stderr.ended;
    assertEquals(stderr.text, "");
    server.conn.close();
  });
}

programTest("netcat2 with its input closed at once ends at once", async () => {
  await using server = await Server.start("clock2.ts");
  const { code, stderr } = await run("netcat2.ts", { args: [server.address] });
  assertEquals([code, stderr], [0, ""]);
});

/** Sends `HUGE` bytes that repeat nowhere; returns their hash. */
async function send(write: (block: Uint8Array) => Promise<void>) {
  const hash = createHash("sha256");
  const block = crypto.getRandomValues(new Uint8Array(50_000));
  for (let i = 0; i < HUGE / block.length; i++) {
    new DataView(block.buffer).setUint32(0, i);
    hash.update(block);
    await write(block.slice());
  }
  return hash.digest("hex");
}

/** Reads `HUGE` bytes, or to the end; returns their hash. */
async function hashOf(from: AsyncIterable<Uint8Array>) {
  const hash = createHash("sha256");
  let received = 0;
  for await (const block of from) {
    hash.update(block);
    received += block.length;
    if (received >= HUGE) break;
  }
  return hash.digest("hex");
}
