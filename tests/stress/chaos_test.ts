// Clients of every kind at once, for a minute, and then for another. What they
// do is drawn by chance; the seed is in the name of the test. To have it again:
// deno test --allow-net --allow-run --allow-read tests/stress/chaos_test.ts -- SEED

import { assert, assertEquals } from "jsr:@std/assert@1";
import { reset, resettable } from "../support/client.ts";
import { Dice } from "../support/conversation.ts";
import { read } from "../support/files.ts";
import { CHAOS } from "../support/limits.ts";
import { memoryOf } from "../support/linux.ts";
import { Server } from "../support/process.ts";
import { closesAll, secondsFor } from "../support/stress.ts";
import { LINUX_AND_FILES, test } from "../support/testing.ts";
import { voices } from "../support/text.ts";
import { delay, eventually, times } from "../support/time.ts";

/** What a client does from its first moment to its last. */
type Behaviour = (server: Server, dice: Dice) => Promise<unknown>;

/** Some milliseconds, up to three seconds. */
const aWhile = (dice: Dice) => delay(dice.below(3000));

/** Lines of one size between 1 and 60,000 bytes, some 64 KiB of them. */
function someLines(dice: Dice): string {
  const size = dice.oneOf([1, 2, 17, 100, 1000, 10_000, 60_000]);
  return ("x".repeat(size - 1) + "\n").repeat(Math.ceil(65_536 / size));
}

/** Sends lines as fast as it can for a while, and reads all or nothing. */
const flood = (reads: boolean): Behaviour => async (server, dice) => {
  const client = await server.connect();
  const left = () => {}; // it leaves amid its lines
  const sending = client.flood(someLines(dice)).catch(left);
  const reading = reads && client.skip(Infinity).catch(left);
  await aWhile(dice);
  client.conn.close();
  await Promise.all([sending, reading]);
};

/** Checks that the voices of `shouts` have come, whole, each in its order. */
function assertEchoed(text: string, shouts: string[]) {
  const lines = text.split(/(?<=\n)/);
  assertEquals(lines.toSorted(), shouts.flatMap(voices).sort());
  for (const shout of shouts) {
    const [one, two, three] = voices(shout).map((line) => lines.indexOf(line));
    assert(one < two && two < three, shout);
  }
}

const BEHAVIOURS: Record<string, Behaviour> = {
  // Sends lines in parts, half-closes, and checks every byte that comes.
  async honest(server, dice) {
    using client = await server.connect();
    const shouts = Array.from({ length: 1 + dice.below(20) }, (_, i) => {
      const length = dice.oneOf([1, 10, 100, 5000]);
      return `${i} ${
        dice.oneOf(["aB", "äÖ", "Ελ", "你aB", "👋bC"]).repeat(length)
      }`;
    });
    for (const shout of shouts) {
      await client.send(shout);
      if (dice.below(3) === 0) await delay(dice.below(300));
      await client.send(dice.oneOf(["\n", "\r\n"]));
    }
    await client.conn.closeWrite();
    assertEchoed(await client.rest(), shouts);
  },
  // Sends lines, and resets its connection at any moment of their echoes.
  async vanishing(server, dice) {
    const socket = await resettable(server.port);
    socket.write("Hello\n".repeat(1 + dice.below(100)));
    if (dice.below(2) === 0) socket.resume(); // reads until then
    await aWhile(dice);
    await reset(socket);
  },
  "reading flood": flood(true),
  "deaf flood": flood(false),
  // Sends one line without an end, until the server does not want any more.
  async endless(server) {
    using client = await server.connect();
    await client.flood("x".repeat(65_536)).catch(() => {});
  },
  // Sends much, and reads it little by little, to the last byte.
  async slow(server, dice) {
    using client = await server.connect();
    const line = `${"x".repeat(100 + dice.below(900))}\n`;
    const count = 100 + dice.below(200);
    const sending = client.send(line.repeat(count))
      .then(() => client.conn.closeWrite());
    let length = 3 * count * ("\t ".length + line.length);
    while (length > 0) {
      const part = Math.min(length, 4096);
      await client.skip(part);
      length -= part;
      await delay(5);
    }
    await sending;
  },
  async idle(server, dice) {
    using _ = await server.connect();
    await aWhile(dice);
  },
  async "gone before accept"(server) {
    await times(20, 5, async () => reset(await resettable(server.port)));
    await delay(500);
  },
};

/** How many clients of each kind there are at a time. */
const CLIENTS = { honest: 20, "gone before accept": 1, endless: 1 };
const OTHERS = 4;

/** Lets clients of every kind come and go for `seconds`. */
async function chaos(server: Server, dice: Dice, seconds: number) {
  const until = performance.now() + seconds * 1000;
  const running: Promise<void>[] = [];
  for (const [kind, behave] of Object.entries(BEHAVIOURS)) {
    const count = (CLIENTS as Record<string, number>)[kind] ?? OTHERS;
    for (let i = 0; i < count; i++) {
      const own = new Dice(dice.below(2 ** 32)); // its turns are its own
      running.push((async () => {
        while (performance.now() < until) await behave(server, own);
      })());
    }
  }
  await Promise.all(running);
}

/** Has a program say on SIGUSR2 how many bytes it has in use, without garbage. */
const SAY_USED = `Deno.addSignalListener("SIGUSR2", () => {
  gc();
  console.error("in use:", Deno.memoryUsage().heapUsed);
});`;

/** Megabytes that a server has in use. */
async function usedBy(server: Server): Promise<number> {
  const { length } = server.stderr.text;
  server.process.kill("SIGUSR2");
  await eventually(() => server.stderr.text.slice(length).endsWith("\n"));
  return Number(server.stderr.text.trim().split(" ").at(-1)) / 1e6;
}

const seed = Number(Deno.args[0] ?? Math.floor(Math.random() * 1e9));

test(`two minutes of chaos: seed ${seed}`, LINUX_AND_FILES, async () => {
  const source = `${SAY_USED}\n${await read("reverb2.ts")}`;
  const permissions = ["--allow-net", "--v8-flags=--expose-gc"];
  await using server = await Server.start("-", { source, permissions });
  server.mayLog = /^(in use: \d+\n)*$/;
  const dice = new Dice(seed);
  const before = await secondsFor(server, 20_000);
  const used: number[] = [];
  for (let minute = 1; minute <= 2; minute++) {
    await chaos(server, dice, 60);
    await closesAll(server);
    const after = await secondsFor(server, 20_000);
    assert(after < before + CHAOS.slower, `${before} s before, ${after} after`);
    await closesAll(server);
    used.push(await usedBy(server));
  }
  const [first, second] = used;
  assert(second < first + CHAOS.growth, `${first} MB grew to ${second}`);
  const { peak } = await memoryOf(server.pid);
  assert(peak < CHAOS.most, `${peak} MB`);
}, 240);
