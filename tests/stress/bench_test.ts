// The measuring tool: that it runs. What it measures is for people to judge.

import { assertEquals, assertMatch } from "jsr:@std/assert@1";
import { path } from "../support/files.ts";
import { PROGRAM, test } from "../support/testing.ts";
import { textOf } from "../support/text.ts";

/** Runs the bench with `args`. */
async function bench(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "bench", ...args],
    cwd: path(""),
    env: { NO_COLOR: "1" },
  }).output();
  return { code, stdout: textOf(stdout), stderr: textOf(stderr) };
}

test("the bench measures every script", PROGRAM, async () => {
  const theirs = `${Deno.execPath()} run --allow-net clock2.ts`;
  const all = await bench("--quick");
  if (all.stderr.includes("in use")) {
    return console.log(
      `left out: ${all.stderr}`,
    );
  }
  const beside = await bench("clock2", "--quick", "--against", theirs);
  assertEquals([all.stderr, beside.stderr], ["", ""]);
  const row = /^(\w+): .* (ours|theirs) +-?\d+\.\d\d( +\d+)?$/gm;
  const rows = [...(all.stdout + beside.stdout).matchAll(row)];
  assertEquals(rows.map(([, script, side]) => `${script} ${side}`), [
    ...Array(5).fill("reverb2 ours"),
    "clock2 ours",
    ...Array(2).fill("netcat1 ours"),
    "netcat2 ours",
    "clock2 ours",
    "clock2 theirs",
  ]);
}, 60);

test("the bench says in one line what is wrong", PROGRAM, async () => {
  const wrong: [string[], RegExp][] = [
    [["reverb3"], /^bench: reverb3 is not measured\n$/],
    [["--against", "x"], /^bench: --against needs a SCRIPT\n$/],
    [["clock2", "--against", "./nosuch"], /^bench: [^\n]*nosuch[^\n]*\n$/],
    [["--nosuch"], /^bench: [^\n]*nosuch[^\n]*\n$/],
  ];
  for (const [args, reason] of wrong) {
    const { code, stderr } = await bench(...args, "--quick");
    assertMatch(stderr, reason);
    assertEquals(code, 1);
  }
  using _ = Deno.listen({ hostname: "localhost", port: 8000 });
  const { code, stderr } = await bench("clock2");
  assertMatch(stderr, /^bench: localhost port 8000: [^\n]+\n$/);
  assertEquals(code, 1);
}, 60);
