// Clients that send more than they read, or than echoes fade: reverb2's memory
// stays bounded, others are answered, and nothing lasts longer than its cause.

import { assert, assertEquals } from "jsr:@std/assert@1";
import { Client } from "../support/client.ts";
import { peakBytes } from "../support/kernel.ts";
import { PROGRAM, Server } from "../support/process.ts";
import { closesAll, MIB, servesNext } from "../support/stress.ts";
import { cleanups, type Need, test } from "../support/testing.ts";
import { overlapping } from "../support/text.ts";
import { delay, stopwatch, times } from "../support/time.ts";

const LINUX: Need[] = [...PROGRAM, "linux"];

/** A program: CLIENTS of PORT that send lines of SIZE bytes, and read nothing. */
const FLOODER = `
  const [port, clients, size] = Deno.args.map(Number);
  const line = "x".repeat(size - 1) + "\\n";
  const lines = new TextEncoder().encode(line.repeat(${MIB} / 4 / size));
  for (let i = 0; i < clients; i++) {
    Deno.connect({ hostname: "127.0.0.1", port }).then(async (conn) => {
      while (true) await conn.write(lines);
    });
  }
`;

/** Starts a flood; it must be going on still when it is disposed. */
function flood(server: Server, clients: number, size: number) {
  const flooder = new Deno.Command(Deno.execPath(), {
    args: ["eval", FLOODER, ...[server.port, clients, size].map(String)],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const kill = () => flooder.kill("SIGKILL");
  cleanups.add(kill);
  return {
    async [Symbol.asyncDispose]() {
      cleanups.delete(kill);
      kill();
      assertEquals((await flooder.status).signal, "SIGKILL");
    },
  };
}

/** Checks that another client's five lines are answered at once, overlapping. */
async function answersFive(server: Server) {
  const took = await stopwatch(async () => {
    const answer = await server.answer("a\nb\nc\nd\ne\n");
    assertEquals(answer, overlapping("a", "b", "c", "d", "e"));
  });
  assert(took < 6, `five lines took ${took} s`);
}

async function assertPeak(server: Server, most: number) {
  const peak = await peakBytes(server.pid);
  assert(peak <= most * MIB, `${Math.round(peak / MIB)} MiB of memory`);
}

/** The most memory in MiB, and the slowest answer to another in milliseconds. */
const ONE = [
  { size: 2, memory: 360, answer: 1000 },
  { size: 17, memory: 256, answer: 500 },
  { size: 1001, memory: 256, answer: 500 },
];

for (const { size, memory, answer } of ONE) {
  test(
    `two floods with lines of ${size} bytes, one after the other`,
    LINUX,
    async () => {
      await using server = await Server.start("reverb2.ts");
      for (const seconds of [10, 4]) {
        await using _ = flood(server, 1, size);
        const until = performance.now() + seconds * 1000;
        while (performance.now() < until) {
          const took = await stopwatch(() => servesNext(server, "reverb2.ts"));
          assert(took * 1000 < answer, `an answer after ${took} s`);
          await delay(100);
        }
      }
      await closesAll(server);
      await assertPeak(server, memory);
      assertEquals(server.log, "");
    },
    90,
  );
}

for (const [clients, memory] of [[1, 320], [100, 1000], [400, 1400]]) {
  test(`${clients} clients flood and stay`, LINUX, async () => {
    await using server = await Server.start("reverb2.ts");
    await using _ = flood(server, clients, 17);
    await delay(2000);
    for (let i = 0; i < 3; i++) {
      await answersFive(server);
      await delay(1000);
    }
    await assertPeak(server, memory);
    assertEquals(server.log, "");
  }, 90);
}

/** Seconds until a client has all answers to `lines` short lines that it sends. */
async function secondsFor(server: Server, lines: number): Promise<number> {
  return await stopwatch(async () => {
    const answer = await server.answer("x\n".repeat(lines));
    assertEquals(answer.length, lines * 3 * "\t x\n".length);
  });
}

test(
  "1,000 lines beside 2,000 idle connections are not held back",
  LINUX,
  async () => {
    await using server = await Server.start("reverb2.ts");
    const idle: Client[] = [];
    await times(2000, 100, async () => {
      idle.push(await server.connect());
    });
    const took = await secondsFor(server, 1000);
    for (const client of idle) client.conn.close();
    assert(took < 3, `${took} s`);
  },
  60,
);

test(
  "20,000 lines take as long after 53,000 at once as before",
  PROGRAM,
  async () => {
    await using server = await Server.start("reverb2.ts");
    const before = await secondsFor(server, 20_000);
    await secondsFor(server, 53_000);
    const after = await secondsFor(server, 20_000);
    assert(after < before + 1, `${before} s before, ${after} s after`);
  },
  60,
);

test(
  "100,000 lines at once are answered as they come, of more some wait",
  PROGRAM,
  async () => {
    await using server = await Server.start("reverb2.ts");
    const took = await secondsFor(server, 100_000);
    assert(took < 6, `100,000 took ${took} s`);
    const more = await secondsFor(server, 100_200);
    assert(more > 3.5, `100,200 took ${more} s`); // 200 x 10 ms
  },
  60,
);
