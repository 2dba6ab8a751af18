// What the page says and shows is so, and its translation shows the same.

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1";
import { changed, Program, read, Server } from "./support/program.ts";
import { programTest } from "./support/test.ts";
import { voices } from "./support/voices.ts";
import { all, delay, stopwatch } from "./support/wait.ts";

const needs = { linux: true, command: "nc" }; // Linux has `timeout`

/** The blocks of code of a page in a language: "sh", "ts", "text" … */
async function blocks(language: string, page = "README.md") {
  const block = RegExp(`^( *)\`\`\`${language}\n([^]*?)^\\1\`\`\`$`, "gm");
  return Array.from((await read(page)).matchAll(block), ([, , text]) => text);
}

programTest(
  "both pages show the same code, and link to each other",
  async () => {
    const [english, chinese] = ["README.md", "README.zh-CN.md"];
    for (const language of ["sh", "ts", "diff", "console", "text"]) {
      const code = (texts: string[]) =>
        texts.map((text) => text.replace(/(#|\/\/) .*/g, "$1")); // their comments
      assertEquals(
        code(await blocks(language, chinese)),
        code(await blocks(language, english)),
      );
    }
    assertStringIncludes(await read(english), `](${chinese})`);
    assertStringIncludes(await read(chinese), `](${english})`);
  },
);

programTest("files and tasks that a page names exist", async () => {
  const { tasks } = JSON.parse(await read("deno.json"));
  for (const page of ["README.md", "README.zh-CN.md"]) {
    const text = await read(page);
    for (const [, task] of text.matchAll(/deno task (\w+)/g)) {
      assert(tasks[task]);
    }
    for (const [name] of text.matchAll(/\b\w+\.(ts|json)\b/g)) {
      if (name !== "naive.ts") await read(name);
    }
  }
});

programTest("the diff is that of the clocks", async () => {
  const [diff] = await blocks("diff");
  for (const [script, other] of [["clock1.ts", "+"], ["clock2.ts", "-"]]) {
    const lines = diff.split("\n").filter((line) => !line.startsWith(other));
    const text = await read(script);
    for (const line of lines) assertStringIncludes(text, line.slice(1));
  }
});

/** Starts the naive program of the page, with the options that it names. */
async function startNaive() {
  const [source] = await blocks("ts");
  const listen = 'Deno.listen({ hostname: "127.0.0.1", port: 8000 })';
  assertStringIncludes(source, listen);
  const flags = (await read("README.md")).match(/(--\S+ )+(?=naive.ts;)/)![0];
  return await Server.start("naive.ts", {
    flags: flags.trim().split(" "),
    source: `const listener = ${listen.replace("8000", "0")};
      console.error("port", listener.addr.port);
      ${source.replace(listen, "listener")}`,
  });
}

for (
  const [name, start] of [
    ["reverb2", () => Server.start("reverb2.ts")],
    ["naive", startNaive],
  ] as const
) {
  programTest(`the conversation is ${name}'s`, async () => {
    await using server = await start();
    await using netcat = Program.script("netcat2.ts", [server.port]);
    const [session] = await blocks("console");
    let heard = "";
    for (const line of session.match(/.+\n/g)!) {
      if (!line.startsWith("\t")) await netcat.type(line);
      else await netcat.stdout.shows(heard += line);
    }
    await netcat.endInput(); // ^D
    const { code, stdout } = await netcat.end();
    assertEquals([code, stdout], [0, heard]);
    await server.stop();
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
    const second = delay(500).then(() => client.send("World\n"));
    for (const row of rows) {
      const word = row.slice([6, 18][i], [18][i]).trim();
      if (word === "") continue;
      assertEquals(await client.receive(8), `\t ${word}\n`);
      const late = (performance.now() - start) / 1000 - parseFloat(row);
      assert(late > -0.01 && late < 0.4, `${word} ${late} s late`);
    }
    await second;
  });
});

/** The commands of the page's clients, for a server on `port`. */
async function clients(port: number): Promise<string[]> {
  const text = (await blocks("sh")).find((text) => text.startsWith("# 1"))!;
  const commands = text.split("\n").filter((line) => /^[^#]/.test(line));
  assertEquals(commands.length, 5);
  return commands.map((command) => command.replaceAll("8000", `${port}`));
}

/** Runs a command of the page, where `deno` is this Deno, for some seconds. */
const shell = (command: string) => {
  const script = `deno() { "${Deno.execPath()}" "$@"; }\n${command}`;
  return new Program("timeout", ["60", "sh", "-c", script]);
};

/** With what each of them ends the naive program: the table's second column. */
async function endings(): Promise<string[]> {
  const rows = (await read("README.md")).matchAll(/^\| \d \| `(.+?)`/gm);
  return Array.from(rows, ([, ending]) => ending);
}

for (let i = 0; i < 5; i++) {
  programTest(`client ${i + 1} ends the naive program`, async () => {
    await using server = await startNaive();
    await using _ = shell((await clients(server.port))[i]);
    const { stderr } = await server.program.end(60);
    assertStringIncludes(stderr, (await endings())[i]);
  }, needs);
}

programTest("reverb2 outlives all of them", async () => {
  await using server = await Server.start("reverb2.ts");
  const [one, two, three, four, five] = await clients(server.port);
  await using waits = shell(four);
  await using answered = shell(one);
  const { stdout } = await answered.end();
  const echoes = [0, 1, 2].map((k) => voices("Hello")[k] + voices("World")[k]);
  assertEquals(stdout, echoes.join(""));
  for (const command of [two, three, five]) {
    await using client = shell(command);
    const { code, stdout, stderr } = await client.end();
    assertEquals([stdout, stderr], ["", ""]);
    assert(code !== 124, "it was made to wait"); // until `timeout` ended it
  }
  const ended = await Promise.race([waits.process.status, undefined]);
  assertEquals(ended, undefined); // it is made to wait
  await server.stop();
}, needs);

programTest("a word less in reverb1 loses voices", async () => {
  const source = await changed("reverb1.ts", "await echo(", "echo(");
  await using server = await Server.start("reverb1.ts", { source });
  assertEquals(await server.answer("Hello\nWorld\n"), "\t HELLO\n\t WORLD\n");
  using client = await server.connect();
  const took = await stopwatch(async () => {
    await client.send("Hello\nWorld\n");
    await client.receive(6 * 8);
  });
  assert(took < 3, `${took} s`); // they overlap
});

programTest("an ordinary echo server is one line", async () => {
  const text = await read("reverb2.ts");
  const [handleConn] = text.match(
    /^export async function handleConn[^]*?^}$/m,
  )!;
  const [, ordinary] = await blocks("ts");
  assertMatch(ordinary, /pipeTo/);
  const source = text.replace(handleConn, () => ordinary);
  await using server = await Server.start("reverb2.ts", { source });
  assertEquals(await server.answer("Hello\nWorld\n"), "Hello\nWorld\n");
  await server.stop();
});
