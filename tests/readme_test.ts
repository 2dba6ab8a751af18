// What the two READMEs print is true, and the same in both.

import { assert, assertEquals, assertStringIncludes } from "jsr:@std/assert@1";
import { Client, freePort, listening } from "./support/client.ts";
import { codeLines, path, read, SCRIPTS } from "./support/files.ts";
import { PROGRAM, replay, Server, start, type } from "./support/process.ts";
import { type Need, test } from "./support/testing.ts";
import { bytes, textOf, TICK, voices } from "./support/text.ts";
import { delay } from "./support/time.ts";

const PAGES = ["README.md", "README.zh-CN.md"];
const PAGE: Need[] = [...PROGRAM, "read"];

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

/** The block, and the command, that have `part` in them. */
const blockWith = async (language: string, part: string) =>
  (await blocksOf(language)).find((text) => text.includes(part))!;
const commandWith = async (part: string) =>
  (await blocksOf("sh")).join("").split("\n")
    .find((command) => command.includes(part))!;

/** Runs a command of the page, with this Deno, on `port`. */
async function shell(command: string, port: number) {
  const { code, stdout } = await new Deno.Command("sh", {
    args: [
      "-c",
      command.replaceAll("deno ", `${Deno.execPath()} `)
        .replaceAll("8000", `${port}`),
    ],
    cwd: path(""),
    stderr: "null",
  }).output();
  return { code, stdout: textOf(stdout) };
}

/** Code as it can be compared: without comments and indentation. */
const bare = (text: string) =>
  "\n" + codeLines(text).map((line) => line.trim()).join("\n") + "\n";

test(
  "both languages show the same code, in the same order",
  ["read"],
  async () => {
    const [english, chinese] = (await Promise.all(PAGES.map(blocks)))
      .map((all) => all.map(({ text }) => bare(text)));
    assertEquals(chinese, english);
  },
);

test("each language links to the other, at its top", ["read"], async () => {
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

test(
  "the session is what reverb2 prints, and the naive one too",
  PAGE,
  async () => {
    const [session] = await blocksOf("console");
    await replay("reverb2.ts", session);
    const { port, process } = await startNaive();
    using client = await Client.connect(port);
    const [first, second] = session.split("\n").filter((line) =>
      /^\S/.test(line)
    );
    await client.send(`${first}\n`);
    await client.receive(2 * voices(first)[0].length);
    await client.send(`${second}\n`);
    const rest = [
      voices(second)[0],
      voices(first)[2],
      ...voices(second).slice(1),
    ];
    assertEquals(
      await client.receive(bytes(rest.join("")).length),
      rest.join(""),
    );
    process.kill("SIGKILL");
    await process.output();
  },
);

/** What stands in the columns of a timeline, with the seconds that begin its rows. */
function columnsOf(timeline: string, heads: RegExp) {
  const rows = timeline.trimEnd().split("\n");
  const head = rows.findIndex((row) => row.startsWith("s "));
  const starts = Array.from(rows[head].matchAll(heads), ({ index }) => index);
  return starts.map((start) =>
    rows.slice(head + 1)
      .map((row) => ({
        at: parseFloat(row),
        word: row.slice(start).split(/ {2,}/)[0].trim(),
      }))
      .filter(({ word }) => /^\w/.test(word))
  );
}

/** Checks that what comes is no earlier than a timeline has it. */
function assertNotBefore(at: number, from: number, what: string) {
  const took = (performance.now() - from) / 1000;
  assert(took >= at - 0.01, `${what} after ${took} s, not ${at}`);
}

test("the ticks come to three clients as in the timeline", PAGE, async () => {
  const columns = columnsOf(await blockWith("text", "tick"), /[ABC]/g);
  await Promise.all(["clock1.ts", "clock2.ts"].map(async (script, i) => {
    await using server = await Server.start(script);
    const clients: Client[] = [];
    for (let k = 0; k < 3; k++) clients.push(await server.connect());
    const from = performance.now();
    await Promise.all(clients.map(async (client, k) => {
      for (const { at } of columns[3 * i + k]) {
        assertEquals((await client.receive(TICK)).length, TICK);
        assertNotBefore(at - 0.1, from, `${script}: a tick of ${"ABC"[k]}`);
      }
      if (k === 0) await delay(from + 2500 - performance.now());
      client.conn.close();
    }));
  }));
});

test(
  "the echoes come in the order of the timeline, and no earlier",
  PAGE,
  async () => {
    const columns = columnsOf(await blockWith("text", "HELLO"), /reverb\d/g);
    await Promise.all(columns.map(async (column, i) => {
      await using server = await Server.start(`reverb${i + 1}.ts`);
      using client = await server.connect();
      const from = performance.now();
      await client.send("Hello\n");
      const second = delay(500).then(() => client.send("World\n"));
      for (const { at, word } of column) {
        assertEquals((await client.receive("\t Hello\n".length)).trim(), word);
        assertNotBefore(at, from, word);
      }
      await second;
    }));
  },
);

/** Starts the reverb2 of the page that is ported as it comes, with a small heap. */
async function startNaive() {
  const port = freePort();
  const command = await commandWith("naive.ts");
  const source = (await blockWith("ts", "port: 8000"))
    .replace("8000", `${port}`);
  const permissions = command.match(/--\S+/g)!;
  const process = start("naive.ts", { source, permissions });
  await type(process, source);
  await listening(port);
  return { port, process };
}

const sendForever = async (port: number, data: string) => {
  using client = await Client.connect(port);
  while (true) await client.send(data);
};

/** What ends the naive reverb2, as the page has it, and its place there. */
const DEADLY: Record<string, (port: number) => Promise<unknown>> = {
  "a client that half-closes": async (port) => {
    using client = await Client.connect(port);
    await client.send("Hello\nWorld\n");
    await client.conn.closeWrite();
    await client.rest();
  },
  "a client that resets": async (port) =>
    shell(await commandWith("deno eval"), port),
  "a line without an end": (port) => sendForever(port, "y".repeat(1e6)),
  "a client that does not read": (port) => sendForever(port, "y\n".repeat(1e5)),
};

for (const [i, [name, attack]] of Object.entries(DEADLY).entries()) {
  test(`the naive reverb2 ends by ${name}, as printed`, PAGE, async () => {
    const { port, process } = await startNaive();
    const [, stderr] = await Promise.all([
      attack(port).catch(() => {}), // the connection breaks
      process.output().then((output) => textOf(output.stderr)),
    ]);
    const printed = (await blocksOf("text")).filter((text) =>
      /^(error|#)/.test(text)
    );
    for (const line of printed[i].trimEnd().split("\n")) {
      assertStringIncludes(stderr, line.replace(/ …$/, ""));
    }
  }, 60);
}

test("reverb2 outlives the client that resets", PAGE, async () => {
  await using server = await Server.start("reverb2.ts");
  const { code } = await shell(await commandWith("deno eval"), server.port);
  assertEquals(code, 0);
  assertEquals(await server.answer("Hello"), voices("Hello").join(""));
  assertEquals(server.log, "");
});

/** What the pieces of code on the page take from around them. */
const AROUND = `
import { TextLineStream } from "jsr:@std/streams@1/text-line-stream";
declare const listener: Deno.TcpListener, conn: Deno.TcpConn;
declare const bytes: Uint8Array, out: Deno.TcpConn;
declare const line: string, text: ReadableStream<string>;
declare function handleConn(conn: Deno.TcpConn): Promise<void>;
declare function echo(out: Deno.TcpConn, line: string, delay: number): Promise<void>;
declare function lines(conn: Deno.Conn, out: Deno.TcpConn): ReadableStream<string>;
`;

test("code of the page stands in the scripts, or passes the type check", [
  ...PAGE,
  "write",
], async () => {
  const scripts = (await Promise.all(SCRIPTS.map(read))).map(bare);
  const all = await blocksOf("ts");
  const others = all.filter((text) =>
    !scripts.some((script) => script.includes(bare(text)))
  );
  assert(all.length - others.length >= 7, "ours are hardly shown");
  const folder = await Deno.makeTempDir();
  try {
    await Deno.copyFile(path("deno.json"), `${folder}/deno.json`);
    const files = others.map((text, i) => [`${folder}/${i}.ts`, text]);
    for (const [file, text] of files) {
      const whole = /^(import|async)/.test(text);
      const source = whole
        ? text
        : `${AROUND}export async function f() {${
          text.replace("text +=", "let t = '' +")
        }}`;
      await Deno.writeTextFile(file, source);
    }
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["check", ...files.map(([file]) => file)],
      cwd: folder,
    }).output();
    assertEquals(code, 0, textOf(stderr));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

test("an open pipe shows the whole echo", PAGE, async () => {
  await using server = await Server.start("reverb2.ts");
  const { code, stdout } = await shell(
    `${await commandWith("sleep 5")} ${server.port}`,
    0,
  );
  assertEquals([code, stdout], [0, voices("Hello").join("")]);
});

test(
  "the first edit: without its await, the echoes of reverb1 overlap",
  PAGE,
  async () => {
    const source = (await read("reverb1.ts")).replace("await echo(", "echo(");
    await using server = await Server.start("reverb1.ts", { source });
    using client = await server.connect();
    await client.send("Hello\nWorld\n");
    assertEquals(await client.receive(16), "\t HELLO\n\t WORLD\n");
  },
);

test("the last edit: reverb2 becomes an echo server", PAGE, async () => {
  const [ours, plain] = await Promise.all(
    ["LineWriter(conn)", "pipeTo"].map((part) => blockWith("ts", part)),
  );
  const text = await read("reverb2.ts");
  assertStringIncludes(text, ours);
  const source = text.replace(ours, () => plain);
  await using server = await Server.start("reverb2.ts", { source });
  assertEquals(await server.answer("Hello"), "Hello");
});

test("what is named exists", ["read"], async () => {
  const { tasks, imports } = JSON.parse(await read("deno.json"));
  const [english] = await Promise.all(PAGES.map(read));
  const code = (await Promise.all(SCRIPTS.map(read))).join("\n") +
    (await blocksOf("ts")).join("\n");
  const version = JSON.stringify(imports).match(/deno-std@([\d.]+)/)![1];
  assertStringIncludes(english, version);
  for (const page of PAGES) {
    const text = await read(page);
    for (const [, name] of text.matchAll(/\bdeno task (\w+)/g)) {
      assert(name in tasks, `${page}: task ${name}`);
    }
    for (const [name] of text.matchAll(/\b[\w/.-]+\.(ts|json|md)\b/g)) {
      if (name === "naive.ts") continue;
      assert((await Deno.stat(path(name))).isFile, `${page}: ${name}`);
    }
    // Those that begin an item of a list explain a name of ours.
    for (const [, name] of text.matchAll(/^- `(\w+)/gm)) {
      assert(new RegExp(`\\b${name}\\b`).test(code), `${page}: ${name}`);
    }
  }
});
