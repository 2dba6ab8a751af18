// The files stand alone, and so they repeat what they share: in the same words.

import { assert, assertEquals } from "jsr:@std/assert@1";
import {
  CLOCKS,
  codeLines,
  declarations,
  read,
  REVERBS,
  SCRIPTS,
} from "./support/files.ts";
import { FILES, test } from "./support/testing.ts";

/** What the page of the book has, and each script has first. */
const LESSON = ["main", "handleConn", "echo", "mustCopy"];

test("clock1 and clock2 differ in one word", FILES, async () => {
  const [one, two] = await Promise.all(CLOCKS.map(read));
  const awaited = two.replace("handleConn(conn);", "await handleConn(conn);");
  assertEquals(codeLines(awaited), codeLines(one));
});

test(
  "reverb1 and reverb2 have the same echo, but for the writing",
  FILES,
  async () => {
    const [one, two] = await Promise.all(
      REVERBS.map(async (script) => (await declarations(script)).get("echo")!),
    );
    const handed = one.replace("conn: Deno.Conn", "out: LineWriter")
      .replaceAll("await writeAll(conn, ", "out.write(");
    assertEquals(codeLines(handed), codeLines(two));
  },
);

test("what several scripts have is the same in each", FILES, async () => {
  const seen = new Map<string, string>();
  const repeated = new Set<string>();
  for (const script of SCRIPTS) {
    for (const [name, text] of await declarations(script)) {
      if (["main", "handleConn", "echo"].includes(name)) continue;
      if (seen.has(name)) repeated.add(name);
      assertEquals(text, seen.get(name) ?? text, `${name} in ${script}`);
      seen.set(name, text);
    }
  }
  for (
    const name of ["sleep", "connections", "lines", "writeAll", "mustCopy"]
  ) {
    assert(repeated.has(name), `${name} was not found twice`);
  }
});

test("the lesson comes first", FILES, async () => {
  for (const script of SCRIPTS) {
    const functions = /^(?:export |async )*function\*? (\w+)/gm;
    const names = Array.from(
      (await read(script)).matchAll(functions),
      ([, name]) => name,
    );
    const lesson = LESSON.filter((name) => names.includes(name));
    assertEquals(names.slice(0, lesson.length), lesson, script);
    assert(lesson.length >= 2, `${script} has only ${lesson}`);
  }
});

test("what is exported says what it does", FILES, async () => {
  for (const script of SCRIPTS) {
    assertEquals((await read(script)).match(/(?<!\*\/\n)^export .*/gm), null);
  }
});

test("a script imports nothing but the line stream", FILES, async () => {
  const stream = 'from "jsr:@std/streams@1/text-line-stream"';
  for (const script of SCRIPTS) {
    const text = await read(script);
    const imports = text.match(/\b(from|import)\s*\(?["'].*["']/g);
    assertEquals(imports, script.startsWith("reverb") ? [stream] : null);
  }
});
