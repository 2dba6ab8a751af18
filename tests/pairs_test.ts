// The files stand alone, and so they repeat what they share: in the same words.
// What differs within a pair is the lesson.

import { assert, assertEquals } from "jsr:@std/assert@1";
import {
  codeLines,
  difference,
  programTest,
  read,
  REVERBS,
  SCRIPTS,
} from "./helpers.ts";

/** How the code of one script becomes the code of another. */
async function changes(from: string, to: string): Promise<string[]> {
  const [a, b] = await Promise.all([from, to].map(read));
  return difference(codeLines(a), codeLines(b))
    .filter((line) => /^[-+] *\S/.test(line));
}

programTest("clock1 and clock2 differ in one word", async () => {
  assertEquals(await changes("clock1.ts", "clock2.ts"), [
    "-    await handleConn(conn);",
    "+    handleConn(conn);",
  ]);
});

programTest("reverb1 and reverb2 differ in the call of echo", async () => {
  const all = await changes("reverb1.ts", "reverb2.ts");
  const lesson = all.slice(all.indexOf("+  const echoes = new WaitGroup();"));
  assertEquals(lesson.slice(0, 6), [
    "+  const echoes = new WaitGroup();",
    "-      await echo(out, line, 1000);",
    "+      echoes.add(echo(out, line, 1000), line.length);",
    "+      await echoes.room();",
    "+      await out.ready;",
    "+    await echoes.wait();",
  ]);
});

programTest(
  "beside it, reverb2 has the wait group and its limits",
  async () => {
    const [one, two] = (await Promise.all(REVERBS.map(read)))
      .map(declarations);
    const added = [...two.keys()].filter((name) => !one.has(name));
    assertEquals(added, [
      "BURST_WEIGHT",
      "STEADY_WEIGHT",
      "ECHO_WEIGHT",
      "WaitGroup",
    ]);
    assertEquals([...one.keys()].filter((name) => !two.has(name)), []);
    const changed = [...one.keys()].filter((name) =>
      one.get(name) !== two.get(name)
    );
    assertEquals(changed, ["handleConn"]);
  },
);

/** What may differ from script to script, though it has the same name. */
const LESSON = ["main", "handleConn"];

programTest(
  "what stands in several scripts is the same text in each",
  async () => {
    const first = new Map<string, string>();
    let repeated = 0;
    for (const script of SCRIPTS) {
      for (const [name, text] of declarations(await read(script))) {
        if (LESSON.includes(name)) continue;
        if (first.has(name)) {
          assertEquals(text, first.get(name), `${name} in ${script}`);
          repeated++;
        } else {
          first.set(name, text);
        }
      }
    }
    assert(repeated > 20, `only ${repeated} compared`);
  },
);

programTest("the lesson comes first, in the order of the book", async () => {
  for (const script of SCRIPTS) {
    const names = [...declarations(await read(script)).keys()]
      .filter((name) => !/^[A-Z_]+$/.test(name));
    const lesson = script.startsWith("clock")
      ? ["main", "handleConn"]
      : script.startsWith("reverb")
      ? ["main", "handleConn", "echo"]
      : ["main", "mustCopy"];
    assertEquals(names.slice(0, lesson.length), lesson, script);
  }
});

programTest("every exported function says what it does", async () => {
  for (const script of SCRIPTS) {
    for (const [name, text] of declarations(await read(script))) {
      if (/^export /m.test(text)) {
        assert(text.startsWith("/**"), `${script}: ${name}`);
      }
    }
  }
});

/** The declarations at the top level of a script, with their comments. */
function declarations(text: string): Map<string, string> {
  const found = new Map<string, string>();
  const start =
    /^(?:\/\*\*(?:(?!\*\/)[^])*?\*\/\n)?(?:export )?(?:async )?(?:function\*?|class|const|let) (\w+)/gm;
  const matches = [...text.matchAll(start)];
  for (const [i, match] of matches.entries()) {
    const end = matches[i + 1]?.index ?? text.indexOf("if (import.meta.main)");
    found.set(match[1], text.slice(match.index, end).trim());
  }
  return found;
}
