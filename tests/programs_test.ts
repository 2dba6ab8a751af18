// The real programs, as processes, over real sockets.

import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1";
import {
  bytes,
  Client,
  CLIENTS,
  delay,
  freePort,
  inTurn,
  linux,
  overlapping,
  path,
  programTest,
  read,
  replay,
  residentBytes,
  REVERBS,
  run,
  SCRIPTS,
  Server,
  SERVERS,
  start,
  startClient,
  TICK,
  TIME,
  times,
  Transcript,
  voices,
  writeUntilEnded,
} from "./helpers.ts";

/** Whether nothing listens on the default port, which some tests need. */
const defaultPortFree = await isFree("localhost:8000");
const hasIPv6 = await isFree("[::1]:0");

async function isFree(address: string): Promise<boolean> {
  const { state } = await Deno.permissions.query({ name: "net" });
  if (state !== "granted") return false;
  const [, hostname, port] = address.match(/(.*):(\d+)/)!;
  try {
    Deno.listen({ hostname, port: Number(port) }).close();
    return true;
  } catch {
    return false;
  }
}

for (const script of SERVERS) {
  programTest(`${script} says where it listens, and nothing else`, async () => {
    await using server = await Server.start(script);
    assertMatch(server.greeting, /^listening on 127\.0\.0\.1:[1-9]\d*$/);
    using client = await server.connect();
    await client.send("Hello\n");
    await client.receive(TICK);
    assertEquals(server.log, "");
  });

  programTest(`${script} listens on an IPv6 address`, async () => {
    await using server = await Server.start(script, { args: ["[::1]:0"] });
    assertMatch(server.greeting, /^listening on \[::1\]:[1-9]\d*$/);
    (await Deno.connect({ hostname: "::1", port: server.port })).close();
  }, hasIPv6);

  programTest(`${script}: an address that is taken is one line`, async () => {
    await using server = await Server.start(script);
    assertEquals(await run(script, { args: [server.address] }), {
      code: 1,
      stdout: "",
      stderr: `${server.address}: ${
        reasonOf(() =>
          Deno.listen({ hostname: "127.0.0.1", port: server.port })
        )
      }\n`,
    });
  });
}

/** The message that `fn` throws. */
function reasonOf(fn: () => unknown): string {
  try {
    fn();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("nothing was thrown");
}

for (const script of CLIENTS) {
  programTest(
    `${script}: a connection that is refused is one line`,
    async () => {
      const address = `127.0.0.1:${freePort()}`;
      const { code, stdout, stderr } = await run(script, { args: [address] });
      assertEquals([code, stdout], [1, ""]);
      assertMatch(
        stderr,
        new RegExp(`^${address}: Connection refused[^\n]*\n$`),
      );
    },
  );

  programTest(`${script} connects to an IPv6 address`, async () => {
    const listener = Deno.listen({ hostname: "::1", port: 0 });
    const process = run(script, { args: [`[::1]:${listener.addr.port}`] });
    (await listener.accept()).close();
    listener.close();
    assertEquals(await process, { code: 0, stdout: "", stderr: "" });
  }, hasIPv6);
}

for (const script of SCRIPTS) {
  programTest(`${script}: what is no host:port gets the usage`, async () => {
    const usage = `usage: deno run --allow-net ${script} [host:port]\n`;
    for (
      const args of [
        ["localhost"],
        ["localhost:"],
        [":8000"],
        ["localhost:http"],
        ["localhost:65536"],
        ["localhost:-1"],
        ["::1:8000"],
        ["[]:8000"],
        ["http://localhost:8000"],
        ["--help"],
        [""],
        ["localhost:8000", "localhost:8001"],
      ]
    ) {
      assertEquals(
        await run(script, { args }),
        { code: 2, stdout: "", stderr: usage },
        args.join(),
      );
    }
  });

  programTest(`${script}: no such host is one line`, async () => {
    const args = ["nosuchhost.invalid:8000"];
    const { code, stdout, stderr } = await run(script, { args });
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, /^nosuchhost\.invalid:8000: [^\n]+\n$/);
  });

  programTest(`${script}: no permission is one line`, async () => {
    const options = { permissions: ["--no-prompt"] };
    const { code, stdout, stderr } = await run(script, options);
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, /^localhost:8000: [^\n]*--allow-net[^\n]*\n$/);
  });

  programTest(`${script} imports nothing but the line stream`, async () => {
    const text = await read(script);
    const imports = text.match(/\b(from|import)\s*\(?["'].*["']/g) ?? [];
    const reverb = script.startsWith("reverb");
    assertEquals(
      imports,
      reverb ? ['from "jsr:@std/streams@1/text-line-stream"'] : [],
    );
  });
}

programTest(
  "a script runs alone in a folder with nothing but an import map",
  async () => {
    const folder = await Deno.makeTempDir();
    try {
      const { imports } = JSON.parse(await read("deno.json"));
      await Deno.writeTextFile(
        `${folder}/deno.json`,
        JSON.stringify({ imports }),
      );
      await Deno.copyFile(path("reverb2.ts"), `${folder}/reverb2.ts`);
      await using server = await Server.start("reverb2.ts", { folder });
      using client = await server.connect();
      await client.send("Hello");
      await client.halfClose();
      assertEquals(await client.rest(), voices("Hello").join(""));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

programTest(
  "the default address needs no more than its own permission",
  async () => {
    const permissions = ["--no-prompt", "--allow-net=localhost:8000"];
    for (const script of SERVERS) {
      const server = await Server.start(script, { args: [], permissions });
      assertMatch(
        server.greeting,
        /^listening on (127\.0\.0\.1|\[::1\]):8000$/,
      );
      for (const client of CLIENTS) {
        const process = start(client, { permissions });
        const stdout = new Transcript(process.stdout);
        const stderr = new Transcript(process.stderr);
        const stdin = process.stdin.getWriter();
        if (script.startsWith("reverb") && client === "netcat1.ts") {
          // Neither side of this pair says a word.
          await delay(100);
        } else {
          await stdin.write(bytes("Hello\n"));
          await stdout.shows("\n");
        }
        process.kill("SIGKILL");
        await process.status;
        await Promise.all([stdout.ended, stderr.ended, stdin.abort()]);
        assertEquals(stderr.text, "", `${script} and ${client}`);
      }
      await server[Symbol.asyncDispose]();
    }
  },
  defaultPortFree,
);

programTest(
  "clock1 serves one client at a time, in the order they came",
  async () => {
    await using server = await Server.start("clock1.ts");
    const clients = [];
    for (let i = 0; i < 3; i++) clients.push(await server.connect());
    const served: number[] = [];
    const first = clients.map(async (client, i) => {
      assertMatch(await client.receive(TICK), TIME);
      served.push(i);
    });
    for (const [i, client] of clients.entries()) {
      await first[i];
      assertMatch(await client.receive(TICK), TIME);
      assertEquals(served, [0, 1, 2].slice(0, i + 1));
      client.conn.close();
    }
    assertEquals(server.log, "");
  },
);

programTest("clock2 serves fifty clients at once, every second", async () => {
  await using server = await Server.start("clock2.ts");
  const from = performance.now();
  await times(50, 50, async () => {
    using client = await server.connect();
    const ticks = [];
    for (let i = 0; i < 3; i++) ticks.push(await client.receive(TICK));
    for (const tick of ticks) assertMatch(tick, TIME);
    const [a, b, c] = ticks.map(secondsOf);
    // A second may pass unseen, or be seen twice, where a wait ends late.
    assert((c - a + 86_400) % 86_400 >= 1 && b !== c + 1, ticks.join(""));
  });
  const took = performance.now() - from;
  assert(took >= 1990 && took < 4000, `three ticks within ${took} ms`);
  assertEquals(server.log, "");
});

/** The second of the day that a line of a clock server names. */
function secondsOf(tick: string): number {
  const [hours, minutes, seconds] = tick.trim().split(":").map(Number);
  return (hours * 60 + minutes) * 60 + seconds;
}

for (const script of ["clock1.ts", "clock2.ts"]) {
  programTest(`${script} tells the local time of its time zone`, async () => {
    const env = { TZ: "Asia/Kathmandu" }; // 5:45 ahead of UTC, all year round
    await using server = await Server.start(script, { env });
    using client = await server.connect();
    const seconds = secondsOf(await client.receive(TICK));
    const now = Math.floor(Date.now() / 1000) + (5 * 60 + 45) * 60;
    const behind = (now - seconds) % 86_400;
    assert(behind <= 5, `${behind} seconds behind`);
  });
}

programTest("netcat1 prints what comes, until the server closes", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const process = run("netcat1.ts", {
    args: [`127.0.0.1:${listener.addr.port}`],
  });
  using server = new Client(await listener.accept());
  listener.close();
  await server.send("Hello\nno end");
  await server.halfClose();
  assertEquals(await process, { code: 0, stdout: "Hello\nno end", stderr: "" });
});

programTest("netcat2 ends at once when its input ends", async () => {
  await using server = await Server.start("reverb2.ts");
  for (const input of ["", "Hello\n"]) {
    const from = performance.now();
    const args = [server.address];
    const { code, stderr } = await run("netcat2.ts", { args }, input);
    assertEquals([code, stderr], [0, ""]);
    const took = performance.now() - from;
    assert(took < 1900, `no earlier than the echo: ${took} ms`);
  }
});

programTest(
  "netcat2 outlives the end of the connection, until a write fails",
  async () => {
    const { address, process, stderr, server } = await startClient(
      "netcat2.ts",
    );
    const stdout = new Transcript(process.stdout);
    const stdin = process.stdin.getWriter();
    await server.send("bye\n");
    await server.halfClose();
    await stdout.shows("bye\n");
    // The other direction still works.
    await stdin.write(bytes("Hello\n"));
    assertEquals(await server.receive(6), "Hello\n");
    server.conn.close();
    const { code } = await writeUntilEnded(
      process,
      () => stdin.write(bytes("more\n")),
    );
    assertEquals(code, 1);
    await Promise.all([
      stdout.ended,
      stderr.ended,
      stdin.abort().catch(() => {}),
    ]);
    assertEquals(stdout.text, "bye\n");
    assertMatch(stderr.text, new RegExp(`^${address}: [^\n]+\n$`));
  },
);

programTest(
  "reverb1: a half-closed client gets every echo, one by one",
  async () => {
    await using server = await Server.start("reverb1.ts");
    const { text, seconds } = await halfClosed(server, "Hello\nWorld\n");
    assertEquals(text, inTurn("Hello", "World"));
    assert(seconds >= 3.9, `${seconds} seconds`);
  },
);

programTest(
  "reverb2: a half-closed client gets every echo, overlapping",
  async () => {
    await using server = await Server.start("reverb2.ts");
    const { text, seconds } = await halfClosed(server, "Hello\nWorld\n");
    assertEquals(text, overlapping("Hello", "World"));
    assert(seconds >= 1.9 && seconds < 3.9, `${seconds} seconds`);
  },
);

/** Sends `text`, half-closes, and reads to the end. */
async function halfClosed(server: Server, text: string) {
  using client = await server.connect();
  const from = performance.now();
  await client.send(text);
  await client.halfClose();
  const answer = await client.rest();
  assertEquals(server.log, "");
  return { text: answer, seconds: (performance.now() - from) / 1000 };
}

programTest("the book's session with reverb1", () =>
  replay(
    "reverb1.ts",
    "Hello?\n" +
      "\t HELLO?\n" +
      "\t Hello?\n" +
      "\t hello?\n" +
      "Is there anybody there?\n" +
      "\t IS THERE ANYBODY THERE?\n" +
      "Yooo-hooo!\n" +
      "\t Is there anybody there?\n" +
      "\t is there anybody there?\n" +
      "\t YOOO-HOOO!\n" +
      "\t Yooo-hooo!\n" +
      "\t yooo-hooo!\n",
  ));

// There, the second line is begun before the second voice, and entered after.
programTest("the book's session with reverb2", () =>
  replay(
    "reverb2.ts",
    "Is there anybody there?\n" +
      "\t IS THERE ANYBODY THERE?\n" +
      "\t Is there anybody there?\n" +
      "Yooo-hooo!\n" +
      "\t YOOO-HOOO!\n" +
      "\t is there anybody there?\n" +
      "\t Yooo-hooo!\n" +
      "\t yooo-hooo!\n",
  ));

for (const script of REVERBS) {
  programTest(`${script} echoes all connections at once`, async () => {
    await using server = await Server.start(script);
    await times(20, 20, async (i) => {
      const { text, seconds } = await halfClosed(server, `Hello ${i}\n`);
      assertEquals(text, voices(`Hello ${i}`).join(""));
      assert(seconds >= 1.9 && seconds < 3.9, `${seconds} seconds`);
    });
  });
}

programTest("reverb2 keeps nothing of the lines it has answered", async () => {
  const [ROUNDS, LINES, GROWTH_BYTES] = [12, 20_000, 64 * 1024 * 1024];
  await using server = await Server.start("reverb2.ts");
  using client = await server.connect();
  const shouts = Array.from({ length: LINES }, (_, i) => `${i % 10}\n`).join(
    "",
  );
  let after4 = 0;
  for (let round = 0; round < ROUNDS; round++) {
    if (round === 4) after4 = residentBytes(server.pid);
    await client.send(shouts);
    await client.receive(LINES * 3 * "\t 0\n".length);
  }
  const growth = residentBytes(server.pid) - after4;
  assert(growth < GROWTH_BYTES, `${growth} bytes`);
}, linux);
