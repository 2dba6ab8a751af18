// What the page says and shows is so, and its translation shows the same.

import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1";
import { changed, Program, read, run, Server } from "./support/program.ts";
import { programTest, serverTest } from "./support/declare.ts";
import { inTurn, overlapping } from "./support/voices.ts";
import { all, delay, until } from "./support/wait.ts";

/** The blocks of code of a page in a language: "sh", "ts", "text" … */
async function blocks(language: string, page = "README.md") {
  const block = RegExp(`^( *)\`\`\`${language}\n([^]*?)^\\1\`\`\`$`, "gm");
  return Array.from((await read(page)).matchAll(block), ([, , text]) => text);
}

programTest("both pages show the same code", async () => {
  const [english, chinese] = ["README.md", "README.zh-CN.md"];
  for (const language of ["sh", "ts", "diff", "console", "text"]) {
    const [one, other] = await Promise.all(
      [english, chinese].map((page) => blocks(language, page)),
    );
    const code = (text: string) => text.replace(/\/\/ .*/g, ""); // no comments
    assertEquals(other.map(code), one.map(code));
  }
  await read(english, `](${chinese})`);
  await read(chinese, `](${english})`);
});

programTest("files and tasks that a page names exist", async () => {
  const { tasks } = JSON.parse(await read("deno.json"));
  for (const page of ["README.md", "README.zh-CN.md"]) {
    const text = await read(page);
    for (const [, task] of text.matchAll(/deno task (\w+)/g)) {
      assert(tasks[task]);
    }
    for (const [name] of text.matchAll(/\b(tests\/)?\w+\.(ts|json)\b/g)) {
      if (name !== "naive.ts") await read(name); // it has its folder elsewhere
    }
  }
});

programTest("the diffs are those of the scripts", async () => {
  const pairs = [["clock1.ts", "clock2.ts"], ["reverb1.ts", "reverb2.ts"]];
  for (const [i, diff] of (await blocks("diff")).entries()) {
    for (const [k, other] of ["+", "-"].entries()) {
      const script = (await read(pairs[i][k])).replace(/ \/\/ .*/g, "");
      const shown = diff.replace(RegExp(`^\\${other}.*\\n`, "gm"), "")
        .replace(/^./gm, "");
      assert(script.includes(shown), `${pairs[i][k]} has no ${shown}`);
    }
  }
});

/** How the page starts the servers that its clients come to. */
const flags = ["--allow-net", "--v8-flags=--max-old-space-size=256"];

programTest("the page shows the loop of the naive program", async () => {
  const [shown] = await blocks("ts");
  await read("tests/naive.ts", shown);
  for (const script of ["tests/naive.ts", "reverb2.ts"]) {
    const command = `deno run ${flags.join(" ")} ${script}\n`;
    assert((await blocks("sh")).includes(command), command);
  }
});

for (const script of ["reverb2.ts", "tests/naive.ts"]) {
  serverTest(script, "holds the conversation", async (server) => {
    await using netcat = new Program("netcat2.ts", [server.port]);
    const [session] = await blocks("console");
    let heard = "";
    for (const line of session.match(/.+\n/g)!) {
      if (!line.startsWith("\t")) await netcat.type(line);
      else await netcat.stdout.shows(heard += line);
    }
    await netcat.endInput(); // ^D
    const { code, stdout } = await netcat.end();
    assertEquals([code, stdout], [0, heard]);
  });
}

programTest("reverb1 and reverb2 keep to the timeline", async () => {
  const [timeline] = await blocks("text");
  const rows = timeline.trimEnd().split("\n").slice(1);
  await all(2, async (i) => {
    await using server = await Server.start(`reverb${i + 1}.ts`);
    using client = await server.connect();
    const start = performance.now();
    await client.send("Hello\n");
    const receive = async () => {
      for (const row of rows) {
        const word = row.slice([6, 18][i], [18][i]).trim();
        if (word === "") continue;
        assertEquals(await client.receive(8), `\t ${word}\n`);
        const late = (performance.now() - start) / 1000 - parseFloat(row);
        assert(late > -0.01, `${word} ${late} s late`);
      }
    };
    const sent = delay(500).then(() => client.send("World\n"));
    await Promise.all([receive(), sent]);
  });
});

/** Lets a client of the page come: 1 to 5. */
const come = (client: number, server: Server) =>
  new Program("tests/clients.ts", [client, server.port]);

for (let client = 1; client <= 5; client++) {
  programTest(`client ${client} ends the naive program`, async () => {
    await using server = await Server.start("tests/naive.ts", { flags });
    await using _ = come(client, server);
    const { stderr } = await server.program.end(60);
    const row = (await read("README.md")).match(
      RegExp(`^\\| ${client} .*`, "m"),
    )!;
    const endings = Array.from(row[0].matchAll(/`([A-Z].*?)`/g));
    assert(endings.some(([, ending]) => stderr.includes(ending)), stderr);
  }, { seconds: 80 });
}

programTest("clients.ts without a client says what to type", async () => {
  await all(3, async (i) => {
    const args = [[], [6], [8010, 1]][i];
    const { code, stderr } = await run("tests/clients.ts", args);
    assertMatch(stderr, /^type: deno run --allow-net tests\/clients.ts .*\n$/);
    assertEquals(code, 1);
  });
});

serverTest("reverb2.ts", "outlives all of them", async (server) => {
  await using four = come(4, server);
  const told = () => four.stdout.text.trimEnd().split("\n");
  await until(() => told().length > 1 && told().at(-1) === told().at(-2));
  const sent = told().at(-1);
  const said: [number, RegExp][] = [
    [1, RegExp(`^${overlapping("Hello", "World")}$`)],
    [2, /^reset the connection\n$/],
    [3, /^sent \d\.\d MB; the connection was closed\n$/],
    [5, /^came and left 1,000 times\n$/],
  ];
  for (const [client, expected] of said) {
    await using program = come(client, server);
    const { code, stdout, stderr } = await program.end();
    assertMatch(stdout, expected);
    assertEquals([code, stderr], [0, ""]);
  }
  assertEquals(told().at(-1), sent); // it is made to wait still
}, { flags });

serverTest("reverb1.ts", "loses voices with a word less", async (server) => {
  const heard = await server.answer("Hello\nWorld\n");
  assertEquals(heard, "\t HELLO\n\t WORLD\n");
  using client = await server.connect();
  await client.send("Hello\nWorld\n");
  assertEquals(await client.receive(6 * 8), overlapping("Hello", "World"));
}, { change: ["await echo(", "echo("] });

programTest("netcat2 waits for all voices with another end", async () => {
  const folder = await Deno.makeTempDir();
  const change = ["Deno.exit()", "await conn.closeWrite()"] as const;
  const script = `${folder}/netcat.ts`;
  await Deno.writeTextFile(script, await changed("netcat2.ts", ...change));
  await using server = await Server.start("reverb2.ts");
  const { stdout } = await run(script, [server.port], {}, "Hello\n");
  assertEquals(stdout, inTurn("Hello"));
  await Deno.remove(folder, { recursive: true });
});

programTest("an ordinary echo server is one line", async () => {
  const [handleConn] = (await read("reverb2.ts"))
    .match(/^export async function handleConn[^]*?^}$/m)!;
  const [, ordinary] = await blocks("ts");
  assertMatch(ordinary, /pipeTo/);
  const change = [handleConn, ordinary] as const;
  await using server = await Server.start("reverb2.ts", { change });
  assertEquals(await server.answer("Hello\nWorld\n"), "Hello\nWorld\n");
  await server.stop();
});
