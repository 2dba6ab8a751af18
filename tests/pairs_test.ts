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

/** The lines of code of `a` that are not among those of `b`, one for one. */
function without(a: string, b: string): string[] {
  const others = codeLines(b);
  return codeLines(a).filter((line) => {
    const at = others.indexOf(line);
    if (at >= 0) others.splice(at, 1);
    return at < 0;
  });
}

test("clock1 and clock2 differ in one word", FILES, async () => {
  const [one, two] = await Promise.all(CLOCKS.map(read));
  const changed = codeLines(two.replace("handleConn(conn);", "await $&"));
  assertEquals(changed, codeLines(one));
});

test("reverb1 and reverb2 differ in how they call echo", FILES, async () => {
  const [one, two] = await Promise.all(REVERBS.map(read));
  assertEquals(without(one, two), ["      await echo(out, line, 1000);"]);
  assert(without(two, one).length <= 16, without(two, one).join("\n"));
  const ours = await declarations("reverb2.ts");
  for (const [name, text] of await declarations("reverb1.ts")) {
    if (name !== "handleConn") assertEquals(ours.get(name), text);
  }
});

test("what several scripts have is the same in each", FILES, async () => {
  const seen = new Map<string, string>();
  const repeated: string[] = [];
  for (const script of SCRIPTS) {
    for (const [name, text] of await declarations(script)) {
      if (LESSON.slice(0, 2).includes(name)) continue;
      if (seen.has(name)) repeated.push(name);
      assertEquals(text, seen.get(name) ?? text, `${name} in ${script}`);
      seen.set(name, text);
    }
  }
  assert(repeated.length > 10, `only ${repeated}`);
});

test("the lesson comes first, and in 60 lines", FILES, async () => {
  for (const script of SCRIPTS) {
    const text = await read(script);
    const functions = /^(?:export |async )*function\*? (\w+)/gm;
    const names = Array.from(text.matchAll(functions), ([, name]) => name);
    const lesson = LESSON.filter((name) => names.includes(name));
    assertEquals(names.slice(0, lesson.length), lesson, script);
    const last = (await declarations(script)).get(lesson.at(-1)!)!;
    const end = text.slice(0, text.indexOf(last) + last.length);
    assert(end.split("\n").length <= 60, `${script}: ${end}`);
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
