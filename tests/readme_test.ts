// What the two READMEs print is true, and the same in both.

import { assert, assertEquals } from "jsr:@std/assert@1";
import { assertStringIncludes } from "jsr:@std/assert@1";
import { Client, freePort, listening } from "./support/client.ts";
import { codeLines, path, read, SCRIPTS } from "./support/files.ts";
import { Program, replay, Server } from "./support/process.ts";
import { READING, test } from "./support/testing.ts";
import { textOf, TICK, voices } from "./support/text.ts";
import { delay } from "./support/time.ts";

const PAGES = ["README.md", "README.zh-CN.md"];

/** The code blocks of a page, and what begins each: its language. */
const blocks = async (page: string) =>
  Array.from(
    (await read(page)).matchAll(/^```(\w+)\n([^]*?)^```$/gm),
    ([, language, text]) => ({ language, text }),
  );

/** The blocks of the page in one language, and the first with `part` in it. */
const blocksOf = async (language: string) =>
  (await blocks("README.md")).filter((block) => block.language === language)
    .map(({ text }) => text);
const blockWith = async (language: string, part: string) =>
  (await blocksOf(language)).find((text) => text.includes(part))!;
const commandWith = async (part: string) =>
  (await blockWith("sh", part)).split("\n").find((line) =>
    line.includes(part)
  )!;

/** Runs a command of the page with this Deno, and `port` for 8000. */
async function shell(command: string, port: number) {
  const ours = command.replaceAll("deno ", `${Deno.execPath()} `)
    .replaceAll("8000", `${port}`);
  const { code, stdout } = await new Deno.Command("sh", {
    args: ["-c", ours],
    cwd: path(""),
    stderr: "null",
  }).output();
  return { code, stdout: textOf(stdout) };
}

/** Code as it can be compared: without comments and indentation. */
const bare = (text: string) =>
  "\n" + codeLines(text).map((line) => line.trim()).join("\n") + "\n";

test("both languages show the same code", ["read"], async () => {
  const [english, chinese] = (await Promise.all(PAGES.map(blocks)))
    .map((all) => all.map(({ text }) => bare(text)));
  assertEquals(chinese, english);
  for (const [i, page] of PAGES.entries()) {
    const top = (await read(page)).split("\n").slice(0, 5).join("\n");
    assertStringIncludes(top, `](${PAGES[1 - i]})`);
  }
});

test("the diff is that of clock1 and clock2", ["read"], async () => {
  const [diff] = await blocksOf("diff");
  for (const [script, other] of [["clock1.ts", "+"], ["clock2.ts", "-"]]) {
    const lines = diff.split("\n").filter((line) => !line.startsWith(other));
    const text = lines.map((line) => line.slice(1)).join("\n");
    assertStringIncludes(bare(await read(script)), bare(text));
  }
});

test("the session is reverb2's, and the naive one's", READING, async () => {
  const [session] = await blocksOf("console");
  await replay("reverb2.ts", session);
  const { program, port } = await startNaive();
  using client = await Client.connect(port);
  let heard = "";
  for (const line of session.split(/(?<=\n)/)) {
    if (line.startsWith("\t")) heard += await client.receive(line.length);
    else await client.send(line);
  }
  assertEquals(heard, session.replace(/^\S.*\n/gm, ""));
  program.process.kill("SIGKILL");
  await program.over();
});

/** The columns of a timeline: what comes, and at which second. */
function columnsOf(timeline: string, heads: RegExp) {
  const rows = timeline.trimEnd().split("\n");
  const head = rows.findIndex((row) => row.startsWith("s "));
  return Array.from(
    rows[head].matchAll(heads),
    ({ index }) =>
      rows.slice(head + 1)
        .map((row) => ({
          at: parseFloat(row),
          word: row.slice(index).match(/^\w+/)?.[0],
        }))
        .filter(({ word }) => word !== undefined),
  );
}

/** Checks that what comes is no earlier than a timeline has it. */
function assertNotBefore(at: number, from: number, what: string) {
  const took = (performance.now() - from) / 1000;
  assert(took >= at - 0.01, `${what} after ${took} s, not ${at}`);
}

test("ticks come as in the timeline, and no earlier", READING, async () => {
  const columns = columnsOf(await blockWith("text", "tick"), /[ABC]/g);
  await Promise.all(["clock1.ts", "clock2.ts"].map(async (script, i) => {
    await using server = await Server.start(script);
    const from = performance.now();
    const clients: Client[] = [];
    for (let k = 0; k < 3; k++) clients.push(await server.connect());
    await Promise.all(clients.map(async (client, k) => {
      for (const { at } of columns[3 * i + k]) {
        assertEquals((await client.receive(TICK)).length, TICK);
        assertNotBefore(at, from, `${script}: a tick`);
      }
      if (k === 0) await delay(from + 2500 - performance.now());
      client.conn.close();
    }));
  }));
});

test("echoes come as in the timeline, and no earlier", READING, async () => {
  const columns = columnsOf(await blockWith("text", "HELLO"), /reverb\d/g);
  await Promise.all(columns.map(async (column, i) => {
    await using server = await Server.start(`reverb${i + 1}.ts`);
    using client = await server.connect();
    const from = performance.now();
    await client.send("Hello\n");
    const second = delay(500).then(() => client.send("World\n"));
    for (const { at, word } of column) {
      assertEquals(await client.receive("\t Hello\n".length), `\t ${word}\n`);
      assertNotBefore(at, from, word!);
    }
    await second;
  }));
});

/** Starts the page's port of reverb2 with the options that the page has. */
async function startNaive() {
  const port = freePort();
  const source = (await blockWith("ts", "port: 8000"))
    .replace("8000", `${port}`);
  const permissions = (await commandWith("naive.ts")).match(/--\S+/g)!;
  const program = new Program("naive.ts", { source, permissions });
  await listening(port);
  return { program, port };
}

const flood = async (port: number, data: string) =>
  await (await Client.connect(port)).flood(data);

/** What ends the naive reverb2, in the order of the page. */
const DEADLY: Record<string, (port: number) => Promise<unknown>> = {
  "a client that half-closes": async (port) => {
    using client = await Client.connect(port);
    await client.send("Hello\nWorld\n");
    await client.conn.closeWrite();
    await client.rest();
  },
  "a client that resets": async (port) =>
    shell(await commandWith("deno eval"), port),
  "a line without an end": (port) => flood(port, "y".repeat(1e6)),
  "one that does not read": (port) => flood(port, "y\n".repeat(1e5)),
};

for (const [i, [name, attack]] of Object.entries(DEADLY).entries()) {
  test(`the naive reverb2 dies of ${name}`, READING, async () => {
    const { program, port } = await startNaive();
    attack(port).catch(() => {}); // the connection breaks
    const { stderr } = await program.over();
    const ends = (await blocksOf("text")).filter((text) =>
      /^(error|#)/.test(text)
    );
    for (const line of ends[i].trimEnd().split("\n")) {
      assertStringIncludes(stderr, line.replace(/ …$/, ""));
    }
  }, 60);
}

/** What the pieces of code on the page take from around them. */
const AROUND = `
import { TextLineStream } from "jsr:@std/streams@1/text-line-stream";
declare const listener: Deno.TcpListener, conn: Deno.TcpConn, out: Deno.TcpConn;
declare const line: string, bytes: Uint8Array, text: ReadableStream<string>;
declare function handleConn(conn: Deno.TcpConn): Promise<void>;
declare function echo(out: Deno.Conn, line: string, ms: number): Promise<void>;
declare function lines(conn: Deno.Conn, out: Deno.Conn): ReadableStream<string>;
`;

test("code of the page is ours, or type-checks", [
  ...READING,
  "write",
], async () => {
  const ours = (await Promise.all(SCRIPTS.map(read))).map(bare).join("");
  const all = await blocksOf("ts");
  const others = all.filter((text) => !ours.includes(bare(text)));
  assert(all.length - others.length >= 7, "ours are hardly shown");
  const folder = await Deno.makeTempDir();
  await Deno.copyFile(path("deno.json"), `${folder}/deno.json`);
  for (const [i, text] of others.entries()) {
    const whole = /^(import|async)/.test(text);
    const source = whole
      ? text
      : `${AROUND}export async function f() {${text}}`;
    await Deno.writeTextFile(`${folder}/${i}.ts`, source);
  }
  const command = { args: ["check", folder], cwd: folder };
  const checked = await new Deno.Command(Deno.execPath(), command).output();
  assertEquals(checked.code, 0, textOf(checked.stderr));
  await Deno.remove(folder, { recursive: true });
});

test("an open pipe shows the whole echo", READING, async () => {
  await using server = await Server.start("reverb2.ts");
  const command = `${await commandWith("sleep 5")} ${server.port}`;
  const stdout = voices("Hello").join("");
  assertEquals(await shell(command, 0), { code: 0, stdout });
});

test("the edits that one is to try do as told", READING, async () => {
  const edits = [["await echo(", "echo("], [
    await blockWith("ts", "LineWriter(conn)"),
    await blockWith("ts", "pipeTo"),
  ]];
  const heard = ["\t A\n\t B\n", "a\nb\n"];
  for (const [i, [from, to]] of edits.entries()) {
    const text = await read(`reverb${i + 1}.ts`);
    const source = text.replace(from, () => to);
    await using server = await Server.start("an edit", { source });
    using client = await server.connect();
    await client.send("a\nb\n");
    assertEquals(await client.receive(heard[i].length), heard[i]);
  }
});

test("what is named exists", ["read"], async () => {
  const { tasks, imports } = JSON.parse(await read("deno.json"));
  const code = (await Promise.all(SCRIPTS.map(read))).join("\n");
  const version = JSON.stringify(imports).match(/deno-std@([\d.]+)/)![1];
  for (const page of PAGES) {
    const text = await read(page);
    assertStringIncludes(text, version);
    for (const [, name] of text.matchAll(/\bdeno task (\w+)/g)) {
      assert(name in tasks, `${page}: task ${name}`);
    }
    for (const [name] of text.matchAll(/\b[\w/.-]+\.(ts|json|md)\b/g)) {
      if (name !== "naive.ts") assert((await Deno.stat(path(name))).isFile);
    }
    // A name that begins an item of a list is explained there.
    for (const [, name] of text.matchAll(/^- `(\w+)/gm)) {
      if (!/^(deno|jsr)$/.test(name)) assertStringIncludes(code, name);
    }
  }
});
