// What the two READMEs print is true, and the same in both.

import {
  assert,
  assertArrayIncludes,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1";
import {
  CLOCKS,
  codeLines,
  declarations,
  read,
  REVERBS,
  SCRIPTS,
} from "./support/files.ts";
import { Program, run, Server, sh, startChanged } from "./support/process.ts";
import { FILES, PROGRAM_AND_FILES, test } from "./support/testing.ts";
import { TIME, voices } from "./support/text.ts";
import { delay } from "./support/time.ts";

const ENGLISH = "README.md"; // which the tests go by
const PAGES = [ENGLISH, "README.zh-CN.md"];
const TESTS = "tests/README.md"; // the page for those who change a script

/** A block of code in a page, such as "ts" or "mermaid". */
interface Block {
  language: string;
  text: string;
}

/** The blocks of code in the text of a page. */
function blocksOf(page: string): Block[] {
  const block = /^```(\w+).*\n([^]*?)^```$/gm;
  return Array.from(page.matchAll(block), ([, language, text]) => {
    return { language, text };
  });
}

/** The first block in `language` that stands after `start`, with `part` in it. */
async function block(language: string, { start = "", part = "" }) {
  const page = await read(ENGLISH);
  assertStringIncludes(page, start);
  const found = blocksOf(page.slice(page.indexOf(start)))
    .find((block) => block.language === language && block.text.includes(part));
  if (found) return found.text;
  throw new Error(`no ${language} block with "${part}" after "${start}"`);
}

const blockWith = (language: string, part: string) => block(language, { part });
const blockAfter = (start: string, language: string) =>
  block(language, { start });

/** The first command that has `part` in it. */
const commandWith = async (part: string) =>
  (await blockWith("sh", part)).split("\n")
    .find((line) => line.includes(part))!;

/** Runs a command of the page, with `port` for its 8000. */
const runCommand = (command: string, port: number) =>
  sh(command.replaceAll("8000", String(port)));

/** Code as it can be compared: without comments and indentation. */
const bare = (text: string) =>
  "\n" + codeLines(text).map((line) => line.trim()).join("\n") + "\n";

/** What is the same in both languages of a block of code. */
function shown({ language, text }: Block) {
  if (language === "mermaid") return { names: namesIn(text) };
  if (language !== "text") return { language, code: bare(text) };
  // A timeline may have words in brackets, in the language of its page.
  return {
    language,
    words: text.match(/\([^)]*\)|[^\s()]+/g)!.map(unbracketed),
  };
}

const unbracketed = (word: string) => word.replace(/^\(.*\)$/, "()");

/** The names of the scripts that a picture has, each once. */
function namesIn(picture: string): string[] {
  // The first line says which picture it is, and an arrow's end may be an "x".
  const words = picture.replace(/^(%%.*\n)?.*\n/, "").replace(/-+x/g, " ");
  const name =
    /\b[a-z]+\.[a-z]+\b|\b[A-Za-z]*[a-z][A-Z]\w*|\b(?:echo|sleep)\b/g;
  return [...new Set(words.match(name))].sort();
}

test("both languages show the same code", FILES, async () => {
  const [english, chinese] = (await Promise.all(PAGES.map(read)))
    .map((page) => blocksOf(page).map(shown));
  assertEquals(chinese, english);
  for (const [i, page] of PAGES.entries()) {
    const top = (await read(page)).split("\n").slice(0, 5).join("\n");
    assertStringIncludes(top, `](${PAGES[1 - i]})`);
  }
});

test("names in the pictures are names in the scripts", FILES, async () => {
  const pictures = blocksOf(await read(ENGLISH))
    .filter(({ language }) => language === "mermaid")
    .map(({ text }) => namesIn(text));
  const naive = await blockWith("ts", LISTEN);
  const code = codeLines(await read("reverb2.ts") + naive).join("\n");
  for (const name of pictures.flat()) {
    if (!name.endsWith(".ts")) assertStringIncludes(code, name);
  }
  const needed = [
    ["echo", "handleConn", "sleep"],
    ["conn.close", "conn.readable", "echo", "handleConn"],
    ["TextLineStream", "LineWriter", "conn.read", "conn.write", "echo"]
      .concat("handleConn", "waitForRoom", "wholeLines"),
  ];
  assertEquals(pictures.length, needed.length);
  for (const [i, names] of needed.entries()) {
    assertArrayIncludes(pictures[i], names);
  }
});

test("the diff is that of clock1 and clock2", FILES, async () => {
  const diff = await blockWith("diff", "await handleConn");
  for (const [script, other] of [["clock1.ts", "+"], ["clock2.ts", "-"]]) {
    const lines = diff.split("\n").filter((line) => !line.startsWith(other));
    const text = lines.map((line) => line.slice(1)).join("\n");
    assertStringIncludes(bare(await read(script)), bare(text));
  }
});

/** What the page's straight port of reverb2 has, and no other block. */
const LISTEN = "Deno.listen({ port: 8000 })";

/** Starts that port, which is made to say where it listens. */
async function startNaive() {
  const text = await blockWith("ts", LISTEN);
  const source = `const listener = ${LISTEN.replace("8000", "0")};
    console.error("port", listener.addr.port);
    ${text.replace(LISTEN, "listener")}`;
  const options = (await commandWith("naive.ts")).match(/--\S+/g)!;
  const permissions = [...options, "--check", "--quiet"];
  return await Server.start("naive.ts", { source, permissions });
}

test(
  "the session is reverb2's, and the naive one's",
  PROGRAM_AND_FILES,
  async () => {
    const session = await blockAfter("--allow-net netcat2.ts", "console");
    for (const start of [() => Server.start("reverb2.ts"), startNaive]) {
      await using server = await start();
      const netcat = new Program("netcat2.ts", { port: server.port });
      let stdout = "";
      for (const line of session.match(/.+\n/g)!) {
        if (line.startsWith("\t")) {
          await netcat.stdout.shows(stdout += line);
        } else {
          assertEquals(netcat.stdout.text, stdout);
          await netcat.type(line);
        }
      }
      await netcat.endInput(); // ^D
      assertEquals(await netcat.over(), { code: 0, stdout, stderr: "" });
    }
  },
  60,
);

/** What comes to each client of a timeline, and at which second. */
async function columnsOf(part: string) {
  const timeline = await blockWith("text", part);
  const [head, ...rows] = timeline.match(/^(s |\d).*$/gm)!;
  const starts = Array.from(head.matchAll(/[ABC]|reverb\d/g), (m) => m.index);
  return starts.map((start) =>
    rows.flatMap((row) => {
      const words = row.slice(start).match(/^\w+/) ?? [];
      return words.map((word) => ({ at: parseFloat(row), word }));
    })
  );
}

const timelines = [["tick", ...CLOCKS], ["HELLO", ...REVERBS]];
for (const [part, ...scripts] of timelines) {
  test(
    `${scripts.join(" and ")} keep to the timeline`,
    PROGRAM_AND_FILES,
    async () => {
      const columns = await columnsOf(part);
      assert(columns.flat().length >= 12, "little is in the timeline");
      const width = columns.length / 2;
      await Promise.all(scripts.map(async (script, i) => {
        await using server = await Server.start(script);
        const from = performance.now();
        const clients = await Array.fromAsync(
          { length: width },
          server.connect,
        );
        await Promise.all(clients.map(async (client, k) => {
          await client.send("Hello\n"); // which a clock does not read
          const leaving = delay(2500);
          const second = delay(500).then(() => client.send("World\n"));
          for (const { at, word } of columns[width * i + k]) {
            const line = word === "tick" ? "15:04:05\n" : `\t ${word}\n`;
            const heard = await client.receive(line.length);
            assertEquals(heard.replace(TIME, "15:04:05\n"), line);
            const took = (performance.now() - from) / 1000;
            assert(took >= at - 0.01, `${word} after ${took} s, not ${at}`);
          }
          await Promise.all([second, leaving]);
          client.conn.close();
        }));
      }));
    },
  );
}

/** What ends the naive reverb2. */
interface Crash {
  client: string;
  command: string; // of the page, or its beginning; the listing follows it
  attack(server: Server): Promise<unknown>;
}

const CRASHES: Crash[] = [
  {
    client: "a client that half-closes",
    command: "printf 'Hello\\nWorld\\n' | nc -N",
    attack: (server) => server.answer("Hello\nWorld\n"),
  },
  {
    client: "a client that resets",
    command: "deno eval",
    attack: async ({ port }) =>
      runCommand(await commandWith("deno eval"), port),
  },
  {
    client: "a line without an end",
    command: "yes | tr -d",
    attack: async (server) => (await server.connect()).flood("y".repeat(1e5)),
  },
  {
    client: "a client that does not read",
    command: "yes | nc",
    attack: async (server) => (await server.connect()).flood("y\n".repeat(1e5)),
  },
];

for (const { client, command, attack } of CRASHES) {
  test(`the naive reverb2 dies of ${client}`, PROGRAM_AND_FILES, async () => {
    const listing = await blockAfter(command, "text");
    const server = await startNaive();
    attack(server).catch(() => {}); // the connection breaks
    const { stderr } = await server.over();
    for (const line of listing.trimEnd().split("\n")) {
      assertStringIncludes(stderr, line.replace(/ …$/, ""));
    }
  }, 60);
}

/** What the pieces of code on the page take from around them. */
const AROUND = `
import { TextLineStream } from "jsr:@std/streams@1/text-line-stream";
import { echo, handleConn, lines, LineWriter } from "./reverb2.ts";
declare const listener: Deno.TcpListener, conn: Deno.TcpConn, out: LineWriter;
declare const line: string, bytes: Uint8Array, text: ReadableStream<string>;
`;

test(
  "code of the page is ours, or type-checks",
  PROGRAM_AND_FILES,
  async () => {
    const ours = (await Promise.all(SCRIPTS.map(read))).map(bare).join("");
    const naive = await blockWith("ts", LISTEN); // type-checked where it runs
    const all = blocksOf(await read(ENGLISH))
      .filter(({ language, text }) => language === "ts" && text !== naive);
    const others = all.filter(({ text }) => !ours.includes(bare(text)));
    assert(all.length - others.length >= 7, "ours are hardly shown");
    const functions = others.map(({ text }) => `(async () => {${text}});`);
    const source = AROUND + functions.join("");
    const permissions = ["--check", "--quiet"];
    const seen = await run("-", { source, permissions });
    assertEquals(seen, { code: 0, stdout: "", stderr: "" });
  },
);

test("an open pipe shows the whole echo", PROGRAM_AND_FILES, async () => {
  await using server = await Server.start("reverb2.ts");
  const command = `${await commandWith("sleep 5")} 8000`;
  const stdout = voices("Hello").join("");
  const seen = await runCommand(command, server.port);
  assertEquals(seen, { code: 0, stdout, stderr: "" });
});

test("the edits that one is to try do as told", PROGRAM_AND_FILES, async () => {
  const handleConn = (await declarations("reverb2.ts")).get("handleConn")!;
  const edits = [
    ["reverb1.ts", "await echo(", "echo(", "\t A\n\t B\n"],
    ["reverb2.ts", handleConn, await blockWith("ts", "pipeTo"), "a\nb\n"],
  ];
  for (const [script, from, to, heard] of edits) {
    await using server = await startChanged(script, from, to);
    using client = await server.connect();
    await client.send("a\nb\n");
    assertEquals(await client.receive(heard.length), heard);
  }
});

test("what is named exists", FILES, async () => {
  const { tasks, imports } = JSON.parse(await read("deno.json"));
  const code = (await Promise.all(SCRIPTS.map(read))).join("\n");
  const version = JSON.stringify(imports).match(/deno-std@([\d.]+)/)![1];
  for (const page of [...PAGES, TESTS]) {
    const text = await read(page);
    if (PAGES.includes(page)) assertStringIncludes(text, version);
    for (const [, name] of text.matchAll(/\bdeno task (\w+)/g)) {
      assert(name in tasks, `${page}: task ${name}`);
    }
    for (const [name] of text.matchAll(/\b[\w/.-]+\.(ts|json|md)\b/g)) {
      if (name !== "naive.ts") assert(await read(name), name);
    }
    // A name that begins an item of a list is explained there.
    for (const [, name] of text.matchAll(/^- `(\w+)/gm)) {
      if (!/^(deno|jsr)$/.test(name)) assertStringIncludes(code, name);
    }
  }
});

test("the commands for single tests run them", PROGRAM_AND_FILES, async () => {
  const commands = blocksOf(await read(TESTS))
    .flatMap(({ text }) => text.trim().split("\n"));
  assert(commands.length >= 4, `only ${commands}`);
  for (const command of commands) {
    const { code, stdout } = await sh(command);
    assertEquals(code, 0, `${command}: ${stdout}`);
    const seed = command.match(/-- (\d+)$/)?.[1];
    if (seed) assertStringIncludes(stdout, `seed ${seed} ... ok`);
    const count = command.includes("--filter") ? "1" : "[1-9]\\d*";
    assertMatch(stdout, RegExp(`\\| ${count} passed \\|`), command);
  }
});
