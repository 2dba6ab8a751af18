// What the files have in common. They stand alone, and so they repeat what they
// share: in the same words.

import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1";
import { Client } from "./support/client.ts";
import {
  CLIENTS,
  FOLDER,
  Program,
  read,
  run,
  SCRIPTS,
  SERVERS,
} from "./support/program.ts";
import { programTest } from "./support/declare.ts";

/** A script's parts, by the blank lines between them. */
async function partsOf(script: string) {
  const parts = (await read(script)).split("\n\n").map((s) => s.trim());
  return parts.slice(1); // without the head
}

/** What reverb2 has alone, or in a way of its own. */
const REVERB2 = ["function handleConn(", "class LineWriter", "write("]
  .concat("#writeWaiting(", "const ALL_MEMORY", "class Echoes", "add(", "wait(")
  .concat("room(", "const sleeps", "function sleep(");

programTest("what differs in a pair is its lesson", async () => {
  const pairs: [string, string, string[]][] = [
    ["clock1.ts", "clock2.ts", ["async function main("]],
    ["netcat1.ts", "netcat2.ts", ["async function main("]],
    ["reverb1.ts", "reverb2.ts", REVERB2],
  ];
  for (const [one, two, lesson] of pairs) {
    const parts = await partsOf(one);
    const others = (await partsOf(two)).filter((part) => !parts.includes(part));
    assertEquals(others.length, lesson.length, two);
    for (const [i, part] of others.entries()) {
      assertStringIncludes(part, lesson[i]);
    }
  }
});

programTest("what several files have is the same in each", async () => {
  const seen = new Map<string, string>();
  for (const script of SCRIPTS.filter((name) => name !== "reverb2.ts")) {
    for (const part of await partsOf(script)) {
      const name = part.match(/(?:function\*?|class|type|const) (\w+)/)?.[1];
      if (!name || ["main", "handleConn"].includes(name)) continue;
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
      ["-no such host", 8000], // which no resolver is asked for
      ["127.0.0.1", 99_999],
      ["127.0.0.1", "http"],
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

const pasted = "a copied file runs alone, with the permission for its address";
programTest(pasted, async () => {
  const cwd = await Deno.makeTempDir();
  // The import map stands for JSR, from where a copied file gets its import.
  const { imports } = JSON.parse(await read("deno.json"));
  await Deno.writeTextFile(`${cwd}/map.json`, JSON.stringify({ imports }));
  const map = ["--no-config", "--import-map=map.json"];
  const copied = async (script: string, port: number) => {
    await Deno.copyFile(`${FOLDER}/${script}`, `${cwd}/${script}`);
    const flags = [...map, `--allow-net=127.0.0.1:${port}`];
    return new Program(script, [port], { flags, cwd });
  };
  for (const script of SERVERS) {
    await using program = await copied(script, 0);
    await program.stderr.shows("\n");
    const [, port] = program.stderr.text.match(/^listening .* (\d+)\n$/)!;
    using client = await Client.connect(Number(port));
    await client.send("Hello\n");
    const said = await client.receive(8);
    assertMatch(said, script.startsWith("clock") ? /:/ : /HELLO/);
  }
  for (const script of CLIENTS) {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await using program = await copied(script, listener.addr.port);
    using client = new Client(await listener.accept());
    await client.send("Hello\n");
    await program.stdout.shows("Hello\n");
  }
  await Deno.remove(cwd, { recursive: true });
});
