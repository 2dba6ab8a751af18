// The files stand alone, and so they repeat what they share: in the same words.
// What differs within a pair is the lesson.

import { assert, assertEquals } from "jsr:@std/assert@1";
import { codeLines, read, SCRIPTS } from "./support/files.ts";
import { test } from "./support/testing.ts";

/** What the page of the book has, and each script has first. */
const LESSON = ["main", "handleConn", "echo", "mustCopy"];

/** A screen or two. */
const LESSON_LINES = 60;

/** The declarations of a script that have a name, with their comments. */
async function declarations(script: string): Promise<Map<string, string>> {
  const text = await read(script);
  // Each starts at the left margin, and what is in it is indented or closes it.
  const parts = text.split(
    /^(?=\/\*\*|(?<!\*\/\n)(?:export|async|function|const|let|class|type|if)\b)/m,
  );
  const named = parts.map((part) => [
    part.match(
      /^(?:export )?(?:async )?(?:function\*?|class|const|let|type) (\w+)/m,
    )?.[1],
    part.trim(),
  ]);
  return new Map(
    named.filter((entry): entry is [string, string] => !!entry[0]),
  );
}

/** The lines of code of one script that are not in the other, and the reverse. */
async function changes(from: string, to: string) {
  const [a, b] = (await Promise.all([from, to].map(read))).map(codeLines);
  const without = (lines: string[], others: string[]) => {
    const left = [...others];
    return lines.filter((line) => {
      const at = left.indexOf(line);
      if (at >= 0) left.splice(at, 1);
      return at < 0;
    });
  };
  return { gone: without(a, b), come: without(b, a) };
}

test("clock1 and clock2 differ in one word", ["read"], async () => {
  assertEquals(await changes("clock1.ts", "clock2.ts"), {
    gone: ["    await handleConn(conn);"],
    come: ["    handleConn(conn);"],
  });
});

test(
  "reverb1 and reverb2 differ in how handleConn calls echo, in at most 16 lines",
  ["read"],
  async () => {
    const { gone, come } = await changes("reverb1.ts", "reverb2.ts");
    assertEquals(gone, ["      await echo(out, line, 1000);"]);
    assert(come.length <= 16, come.join("\n"));
    const [one, two] = await Promise.all(
      ["reverb1.ts", "reverb2.ts"].map(declarations),
    );
    const changed = [...one.keys()]
      .filter((name) => one.get(name) !== two.get(name));
    assertEquals(changed, ["handleConn"]);
  },
);

test(
  "what stands in several scripts is the same text in each",
  ["read"],
  async () => {
    const seen = new Map<string, string>();
    let repeated = 0;
    for (const script of SCRIPTS) {
      for (const [name, text] of await declarations(script)) {
        if (name === "handleConn") continue;
        if (name === "main" && /^(clock1|netcat)/.test(script)) continue;
        if (seen.has(name)) {
          assertEquals(text, seen.get(name), `${name} in ${script}`);
          repeated++;
        }
        seen.set(name, text);
      }
    }
    assert(repeated > 10, `only ${repeated} compared`);
  },
);

test("the lesson comes first, and soon", ["read"], async () => {
  for (const script of SCRIPTS) {
    const found = await declarations(script);
    const functions = [...found.keys()]
      .filter((name) => /^(export )?(async )?function/m.test(found.get(name)!));
    const lesson = LESSON.filter((name) => found.has(name));
    assertEquals(functions.slice(0, lesson.length), lesson, script);
    const text = await read(script);
    const end = text.indexOf("\n}\n", text.indexOf(` ${lesson.at(-1)}(`) + 1);
    const lines = text.slice(0, end).split("\n").length + 1;
    assert(lines <= LESSON_LINES, `${script}: ${lines} lines`);
  }
});

test("what is exported says what it does", ["read"], async () => {
  for (const script of SCRIPTS) {
    for (const [name, text] of await declarations(script)) {
      if (/^export /m.test(text)) {
        assert(text.startsWith("/**"), `${script}: ${name}`);
      }
    }
  }
});

test("a script imports nothing but the line stream", ["read"], async () => {
  for (const script of SCRIPTS) {
    const imports = (await read(script))
      .match(/\b(from|import)\s*\(?["'].*["']/g) ?? [];
    const stream = 'from "jsr:@std/streams@1/text-line-stream"';
    assertEquals(imports, script.startsWith("reverb") ? [stream] : [], script);
  }
});
