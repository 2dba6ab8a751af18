// What the two READMEs print is true, and the same in both.

import { assert, assertEquals } from "jsr:@std/assert@1";
import {
  Client,
  codeLines,
  delay,
  difference,
  freePort,
  path,
  programTest,
  read,
  replay,
  REVERBS,
  SCRIPTS,
  Server,
  textOf,
  voices,
} from "./helpers.ts";

const PAGES = ["README.md", "README.zh-CN.md"];

/** The code blocks of a page: their languages and contents. */
async function blocks(page: string) {
  const fence = /^```(\w+)\n([^]*?)^```$/gm;
  const matches = (await read(page)).matchAll(fence);
  return Array.from(matches, ([, language, text]) => ({ language, text }));
}

/** The contents of the blocks in one language. */
async function blocksOf(language: string): Promise<string[]> {
  const all = await blocks("README.md");
  const texts = all.filter((b) => b.language === language).map((b) => b.text);
  assert(texts.length > 0, `no ${language} in the README`);
  return texts;
}

programTest(
  "both languages show the same code, in the same order",
  async () => {
    const [english, chinese] = await Promise.all(PAGES.map(blocks));
    assertEquals(chinese, english);
  },
);

programTest("each language links to the other, at its top", async () => {
  for (const [i, page] of PAGES.entries()) {
    const top = (await read(page)).split("\n").slice(0, 5).join("\n");
    assert(top.includes(`](${PAGES[1 - i]})`), page);
  }
});

programTest("the diffs are those of the scripts", async () => {
  const pairs = [["clock1.ts", "clock2.ts"], REVERBS];
  const diffs = await blocksOf("diff");
  assertEquals(diffs.length, pairs.length);
  for (const [i, pair] of pairs.entries()) {
    const [a, b] = (await Promise.all(pair.map(read))).map(codeLines);
    const real = difference(a, b).join("\n") + "\n";
    assert(real.includes(`\n${diffs[i]}`), `${diffs[i]} is not in ${real}`);
  }
});

programTest("the session is what the programs print", async () => {
  const sessions = await blocksOf("console");
  assertEquals(sessions.length, 1);
  await replay("reverb2.ts", sessions[0]);
});

programTest(
  "the echoes come in the order of the timeline, and no earlier",
  async () => {
    const timeline = (await blocksOf("text")).find((text) =>
      text.includes("reverb1")
    );
    const rows = timeline!.trimEnd().split("\n");
    const columns = ["reverb1", "reverb2"].map((name) => rows[0].indexOf(name));
    await Promise.all(columns.map(async (column, i) => {
      const expected = rows.slice(1)
        .map((
          row,
        ) => [
          Number(row.slice(0, columns[0])),
          row.slice(column, column + 12).trim(),
        ])
        .filter(([, word]) => word !== "");
      await using server = await Server.start(`reverb${i + 1}.ts`);
      using client = await server.connect();
      const from = performance.now();
      await client.send("Hello\n");
      delay(500).then(() => client.send("World\n"));
      for (const [seconds, word] of expected) {
        const received = await client.receive("\t Hello\n".length);
        assertEquals(received.trim(), word);
        const took = performance.now() - from;
        assert(took >= Number(seconds) * 1000 - 10, `${word} after ${took} ms`);
      }
    }));
  },
);

programTest("the snippets pass the type check, and run", async () => {
  const snippets = await blocksOf("ts");
  assertEquals(snippets.length, 1);
  const folder = await Deno.makeTempDir();
  try {
    const port = freePort();
    const file = `${folder}/echo.ts`;
    await Deno.writeTextFile(file, snippets[0].replace("8000", String(port)));
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--check", "--no-config", "--allow-net", file],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    using client = await Client.whenUp(port);
    await client.send("Hello\n");
    assertEquals(await client.receive(6), "Hello\n");
    process.kill("SIGKILL");
    await process.status;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

programTest("an open pipe shows the whole echo", async () => {
  const commands = (await blocksOf("sh")).join("").split("\n");
  const pipe = commands.find((command) => command.includes("|"))!;
  await using server = await Server.start("reverb2.ts");
  const real = `${pipe} ${server.address}`
    .replace("deno run", `${Deno.execPath()} run`);
  const { code, stdout } = await new Deno.Command("sh", {
    args: ["-c", real],
    cwd: path("."),
  }).output();
  assertEquals(code, 0);
  assertEquals(textOf(stdout), voices("Hello").join(""));
}, Deno.build.os !== "windows");

programTest("every file, task and function that is named exists", async () => {
  const { tasks } = JSON.parse(await read("deno.json"));
  const scripts = (await Promise.all(SCRIPTS.map(read))).join("\n");
  for (const page of PAGES) {
    const text = await read(page);
    for (const [, name] of text.matchAll(/\bdeno task (\w+)/g)) {
      assert(name in tasks, `${page}: task ${name}`);
    }
    for (const [name] of text.matchAll(/\b[\w/.-]+\.(ts|json|md)\b/g)) {
      assert((await Deno.stat(path(name))).isFile, `${page}: ${name}`);
    }
    const ours = [...text.matchAll(/(?:see|见)((?:[ ,、和]*`\w+`)+)/g)]
      .flatMap(([, names]) => names.match(/\w+/g)!);
    assert(ours.length > 0, `${page} names no function`);
    for (const name of ours) {
      assert(new RegExp(`(function\\*?|class) ${name}\\b`).test(scripts), name);
    }
  }
});
