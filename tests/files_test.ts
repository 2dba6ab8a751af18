// What the files have in common. They stand alone, and so they repeat what they
// share: in the same words.

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1";
import { connections } from "../clock2.ts";
import { Client } from "./support/client.ts";
import { memoryConn } from "./support/memory_conn.ts";
import {
  changed,
  CLIENTS,
  FOLDER,
  Program,
  read,
  run,
  SCRIPTS,
  Server,
  SERVERS,
} from "./support/program.ts";
import { programTest, serverTest } from "./support/test.ts";
import { all, stopwatch, within } from "./support/wait.ts";

/** A script's parts, by the blank lines between them. */
async function partsOf(script: string) {
  const parts = (await read(script)).split(/\n\n(?! )/).map((s) => s.trim());
  return parts.slice(1); // without the head
}

programTest("what differs in a pair is its lesson", async () => {
  const pairs: [string, string, RegExp[]][] = [
    ["clock1.ts", "clock2.ts", [/^async function main/]],
    ["netcat1.ts", "netcat2.ts", [/^async function main/]],
    ["reverb1.ts", "reverb2.ts", [
      /function handleConn/,
      /let memoryLeft/,
      /export class WaitGroup/,
    ]],
  ];
  for (const [one, two, lesson] of pairs) {
    const parts = await partsOf(one);
    const others = (await partsOf(two)).filter((part) => !parts.includes(part));
    assertEquals(others.length, lesson.length, two);
    for (const [i, part] of others.entries()) assertMatch(part, lesson[i]);
  }
  const word = (text: string) =>
    text.replace(/ \/\/.*/g, "").replace("await handle", "handle");
  const [one, two] = await Promise.all(["clock1.ts", "clock2.ts"].map(partsOf));
  assertEquals(word(one[1]), word(two[1]));
});

programTest("what several files have is the same in each", async () => {
  const seen = new Map<string, string>();
  for (const script of SCRIPTS) {
    for (const part of await partsOf(script)) {
      const name = part.match(/(?:function\*?|class|type|const) (\w+)/)?.[1] ??
        part;
      if (["main", "handleConn"].includes(name)) continue;
      assertEquals(part, seen.get(name) ?? part, `${name} in ${script}`);
      seen.set(name, part);
    }
  }
});

programTest("a file imports nothing but the line stream", async () => {
  for (const script of SCRIPTS) {
    const imports = (await read(script)).match(/\bfrom ".*"|import\(.*/g);
    const stream = 'from "jsr:@std/streams@1/text-line-stream"';
    assertEquals(imports, script.startsWith("reverb") ? [stream] : null);
  }
});

for (const script of SCRIPTS) {
  programTest(`importing ${script} runs nothing`, async () => {
    const seen = await run("-", [], {
      flags: [],
      source: `import "./${script}";`,
    });
    assertEquals(seen, { code: 0, stdout: "", stderr: "" });
  });

  programTest(`${script}: a bad address is one line`, async () => {
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const bad = [
      [CLIENTS.includes(script) ? 1 : taken.addr.port],
      ["nosuchhost.invalid", 8000],
      ["127.0.0.1", 99_999],
      ["127.0.0.1", "http"],
      ["-port", 8010],
    ];
    await Promise.all(bad.map(async (args) => {
      const { code, stdout, stderr } = await run(script, args);
      const [port, hostname = "127.0.0.1"] = args.toReversed();
      assertMatch(stderr, RegExp(`^${hostname} port ${port}: .+\n$`));
      assertEquals([code, stdout], [1, ""]);
    }));
    const { code, stderr } = await run(script, [], { flags: [] });
    assertMatch(stderr, /^127.0.0.1 port 8000: Requires net access .+\n$/);
    assertEquals(code, 1);
  });
}

for (const script of SERVERS) {
  for (const hostname of ["127.0.0.1", "::1"]) {
    programTest(`${script} listens on ${hostname}`, async () => {
      await using program = Program.script(script, [hostname, 0]);
      await program.stderr.shows("\n");
      const said = program.stderr.text;
      const [, port] = said.match(/ port (\d+)\n$/)!;
      assertEquals(said, `listening on ${hostname} port ${port}\n`);
      (await Deno.connect({ hostname, port: Number(port) })).close();
    }, { address: { hostname, port: 0 } });
  }

  serverTest(script, "lets 1,000 clients wait", async (server) => {
    server.program.process.kill("SIGSTOP");
    const coming = all(1000, server.connect);
    for (const client of await within(10, coming, () => "less than 1,000")) {
      client.conn.close();
    }
    server.program.process.kill("SIGCONT");
  }, { linux: true });
}

/** Where a mistake may be made: in the loop of a server, amid other clients. */
const LOOPS: Record<string, string> = {
  "clock1.ts": "await sleep(1000);",
  "clock2.ts": "await sleep(1000);",
  "reverb1.ts": "if (out.failed)",
  "reverb2.ts": "if (out.failed)",
};

/** Mistakes, and what is said of them. The last two are errors with a `code`. */
const MISTAKES = [
  ["oops();", "ReferenceError: oops is not defined"],
  ['await Deno.readTextFile("none.txt");', "NotFound: No such file"],
  ["await Deno.connect({ port: 1 });", "ConnectionRefused: Connection refused"],
];

for (const [script, loop] of Object.entries(LOOPS)) {
  programTest(`${script} shows mistakes, with their stacks`, async () => {
    const flags = ["--allow-net", "--allow-read"];
    await Promise.all(MISTAKES.map(async ([mistake, said]) => {
      const guard = loop.startsWith("if") ? 'if (line === "oops") ' : "";
      const source = await changed(script, loop, `${guard}${mistake}\n${loop}`);
      await using server = await Server.start(script, { source, flags });
      using client = await server.connect();
      await client.send("Hello\n");
      await client.receive(1); // the first echo is under way
      const took = await stopwatch(async () => {
        await client.send("oops\n").catch(() => {});
        const { code, stderr } = await server.program.end();
        assertStringIncludes(stderr, said);
        assertMatch(stderr, /at (async )?handleConn /);
        assertEquals(code, 1);
      });
      assert(script === "reverb1.ts" || took < 1.5, `after ${took} s`);
    }));
  });
}

programTest("reverb2.ts shows a mistake in echo, with its stack", async () => {
  const [from, to] = ["await sleep(delay);", "oops();"];
  const source = await changed("reverb2.ts", from, to);
  await using server = await Server.start("reverb2.ts", { source });
  using client = await server.connect();
  await client.send("Hello\n");
  const { code, stderr } = await server.program.end();
  assertMatch(stderr, /ReferenceError: oops is not defined[^]*at echo /);
  assertEquals(code, 1);
});

Deno.test("an accept that fails is tried again", async () => {
  const [first, second] = [memoryConn(), memoryConn()];
  const left = new Deno.errors.NotConnected("left");
  const accepts = [left, first, new Error("Too many open files"), second];
  const listener = {
    async *[Symbol.asyncIterator]() {
      for (let next; (next = accepts.shift());) {
        if (next instanceof Error) throw next;
        yield next;
      }
    },
  } as unknown as Deno.TcpListener;
  const said: unknown[] = [];
  const { error } = console;
  console.error = (line) => said.push(line);
  try {
    const conns = connections(listener);
    assert((await conns.next()).value === first);
    const wait = await stopwatch(async () => {
      assert((await conns.next()).value === second);
    });
    assert(wait >= 0.1, `after ${wait} s`);
    assert((await conns.next()).done);
  } finally {
    console.error = error;
  }
  assertEquals(said, ["accept: Too many open files"]);
});

const pasted = "a copied file runs alone, with the permission for its address";
programTest(pasted, async () => {
  const cwd = await Deno.makeTempDir();
  // The import map stands for JSR, from where a copied file gets its import.
  const flags = ["--no-config", `--import-map=${FOLDER}/deno.json`]
    .concat("--allow-net=127.0.0.1:8000");
  const copied = async (script: string) => {
    await Deno.copyFile(`${FOLDER}/${script}`, `${cwd}/${script}`);
    return Program.script(script, [], { flags, cwd });
  };
  for (const script of SERVERS) {
    await using server = await copied(script);
    await server.stderr.shows("listening on 127.0.0.1 port 8000\n");
    using client = await Client.connect(8000);
    await client.send("Hello\n");
    const said = await client.receive(8);
    assertMatch(said, script.startsWith("clock") ? /:/ : /HELLO/);
  }
  for (const script of CLIENTS) {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 8000 });
    await using program = await copied(script);
    using client = new Client(await listener.accept());
    await client.send("Hello\n");
    await program.stdout.shows("Hello\n");
  }
  await Deno.remove(cwd, { recursive: true });
}, { address: { hostname: "127.0.0.1", port: 8000 } });
