// The files stand alone, and so they repeat what they share: in the same words.
// What differs within a pair is the lesson.

import { assert, assertEquals } from "jsr:@std/assert@1";
import { codeLines, read, SCRIPTS } from "./support/files.ts";
import { test } from "./support/testing.ts";

/** What the page of the book has, and each script has first. */
const LESSON = ["main", "handleConn", "echo", "mustCopy"];

/** The declarations of a script that have a name, with their comments. */
async function declarations(script: string): Promise<Map<string, string>> {
  // Each begins at the left margin, with its comment.
  const begin =
    /^(?=\/\*\*|(?<!\*\/\n)(?:export|async|function|const|let|class|type|if)\b)/m;
  const named =
    /^(?:export )?(?:async )?(?:function\*?|class|const|let|type) (\w+)/m;
  const parts = (await read(script)).split(begin);
  return new Map(
    parts.filter((part) => named.test(part))
      .map((part) => [part.match(named)![1], part.trim()]),
  );
}

/** The lines of code of `a` that are not among those of `b`. */
function without(a: string, b: string): string[] {
  const others = codeLines(b);
  return codeLines(a).filter((line) => {
    const at = others.indexOf(line);
    if (at >= 0) others.splice(at, 1);
    return at < 0;
  });
}

test("clock1 and clock2 differ in one word", ["read"], async () => {
  const [one, two] = [await read("clock1.ts"), await read("clock2.ts")];
  assertEquals(without(one, two), ["    await handleConn(conn);"]);
  assertEquals(without(two, one), ["    handleConn(conn);"]);
});

test("reverb1 and reverb2 differ in how they call echo", ["read"], async () => {
  const [one, two] = [await read("reverb1.ts"), await read("reverb2.ts")];
  assertEquals(without(one, two), ["      await echo(out, line, 1000);"]);
  assert(without(two, one).length <= 16, without(two, one).join("\n"));
  const ours = await declarations("reverb2.ts");
  for (const [name, text] of await declarations("reverb1.ts")) {
    if (name !== "handleConn") assertEquals(ours.get(name), text);
  }
});

test("what several scripts have is the same in each", ["read"], async () => {
  const seen = new Map<string, string>();
  let repeated = 0;
  for (const script of SCRIPTS) {
    for (const [name, text] of await declarations(script)) {
      if (LESSON.slice(0, 2).includes(name)) continue;
      if (seen.has(name)) repeated++;
      assertEquals(text, seen.get(name) ?? text, `${name} in ${script}`);
      seen.set(name, text);
    }
  }
  assert(repeated > 10, `only ${repeated} compared`);
});

test("the lesson comes first, and in 60 lines", ["read"], async () => {
  for (const script of SCRIPTS) {
    const found = await declarations(script);
    const functions = [...found].filter(([, text]) =>
      /^(export )?(async )?function/m.test(text)
    );
    const lesson = LESSON.filter((name) => found.has(name));
    const first = functions.slice(0, lesson.length);
    assertEquals(first.map(([name]) => name), lesson, script);
    const text = await read(script);
    const last = first.at(-1)![1];
    const end = text.slice(0, text.indexOf(last) + last.length);
    assert(end.split("\n").length <= 60, `${script}: ${end}`);
  }
});

test("what is exported says what it does", ["read"], async () => {
  for (const script of SCRIPTS) {
    for (const text of (await declarations(script)).values()) {
      assert(!/^export /m.test(text) || text.startsWith("/**"), text);
    }
  }
});

test("a script imports nothing but the line stream", ["read"], async () => {
  const stream = 'from "jsr:@std/streams@1/text-line-stream"';
  for (const script of SCRIPTS) {
    const imports = (await read(script)).match(
      /\b(from|import)\s*\(?["'].*["']/g,
    );
    assertEquals(imports, script.startsWith("reverb") ? [stream] : null);
  }
});
